//! What the system allows this process, and what it shall not do for it.

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

/// Memory comes in small pages. In huge ones a buffer that holds a few bytes counts in full: thousands of idle connections
/// take twice as much, and requests are no faster.
pub(crate) fn use_small_pages() {
    // A system that knows none has nothing to turn off.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

const FEW: u64 = 4096;
