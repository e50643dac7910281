//! What the system allows this process.

use rustix::process::Resource;
use rustix::process::Rlimit;

use crate::telemetry::log;

/// Raises the number of open files to what the system permits, and says so when that is little.
pub(crate) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let raised = rustix::process::setrlimit(Resource::Nofile, wanted);
    let now = rustix::process::getrlimit(Resource::Nofile).current;
    if let (Err(error), Some(now)) = (raised, now) {
        log::warn("cannot raise the number of open files", &[("limit", &now), ("cause", &error)]);
    }
    if let Some(now) = now.filter(|&now| now < FEW) {
        log::warn("few open files are allowed; each connection needs one or two", &[("limit", &now)]);
    }
}

const FEW: u64 = 4096;
