//! Loading a script beside everything that runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::gateway::control::Control;
use crate::script::LoadOptions;
use crate::script::Loaded;
use crate::script::diagnose::Faults;
use crate::script::load;

impl Control {
    /// Reads and runs a script, away from everything that must answer, and behind it once anything does.
    pub(super) async fn load(&self, file: PathBuf) -> Result<Loaded, Faults> {
        let options = LoadOptions {
            env: self.options.env.clone(),
            secrets_dir: self.options.secrets.clone(),
            clock: self.options.clock.clone(),
            dev: self.options.dev,
            ..LoadOptions::default()
        };
        let serves = self.running.is_some();
        let (tell, told) = oneshot::channel();
        // A thread of its own: what it gave up of its priority it cannot take back.
        let loader = std::thread::Builder::new().name("loader".into()).spawn(move || {
            // Elsewhere it would be the process's.
            if serves && cfg!(target_os = "linux") {
                let _ = rustix::process::setpriority_process(None, BEHIND);
            }
            let _ = tell.send(load(&file, &options));
        });
        if let Err(error) = loader {
            return Err(Faults::plain(format!("no thread to load the script: {error}")));
        }
        // Said on stderr already; a loader with a bug must not take down what serves.
        told.await.unwrap_or_else(|_| {
            Err(Faults::plain("a bug of the gateway ended the load; please report it with the script"))
        })
    }
}

/// What to watch: the script itself in any case.
pub(super) fn files(running: &[PathBuf], failed: &[PathBuf], script: &Path) -> Vec<PathBuf> {
    let all: BTreeSet<_> = running.iter().chain(failed).cloned().chain([script.to_owned()]).collect();
    all.into_iter().collect()
}

/// The nice value of a load beside requests: it gets a third of what they get, and the whole core where they leave it.
const BEHIND: i32 = 5;
