//! Notices that a file the script is made of has changed, however it was saved.
//!
//! Events only mean "something may have changed": directories are watched (of every file and every symlink on the
//! way to it), and after a short quiet the contents are hashed. A slow poll stands behind it where no events come.

mod hops;
mod prints;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future as _;
use std::future::poll_fn;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::time::SystemTime;

use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher as _;
use notify::event::AccessKind;
use notify::event::AccessMode;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::telemetry::log;
use hops::Hops;
use prints::Prints;

/// A set of files under watch.
pub(crate) struct Watch {
    clock: Clock,
    system: Option<RecommendedWatcher>,
    events: mpsc::Receiver<()>,
    /// Device and inode of each directory under watch: another directory may have taken the name.
    directories: BTreeMap<PathBuf, (u64, u64)>,
    names: Arc<Mutex<Names>>,
    prints: Prints,
    /// Something may have changed since the last look.
    pending: bool,
}

/// What the event handler needs to know.
#[derive(Default)]
struct Names {
    ours: BTreeSet<PathBuf>,
    /// An event named one of ours since the last look.
    touched: bool,
}

impl Watch {
    /// Watches nothing yet. Where the system gives no events, the files are polled.
    pub(crate) fn new(clock: Clock) -> Self {
        let (sender, events) = mpsc::channel(1);
        let names = Arc::<Mutex<Names>>::default();
        let system = listen(sender, Arc::clone(&names)).inspect_err(polling).ok();
        Self { clock, system, events, directories: BTreeMap::new(), names, prints: Prints::default(), pending: false }
    }

    /// Watches exactly `files` from now on. What was loaded was read after `since`.
    pub(crate) fn follow(&mut self, files: &[PathBuf], since: SystemTime) {
        self.pending |= self.prints.retarget(files, since);
        self.rewatch();
    }

    /// Waits until the contents of a file differ from what was seen last; the files that do.
    ///
    /// May be dropped and called again: what was noticed is not lost.
    pub(crate) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            if !self.pending {
                let poll = if self.system.is_some() { BACKSTOP } else { POLL };
                self.pending = self.clock.timeout(poll, self.events.recv()).await.is_some();
            }
            if self.pending {
                self.settle().await;
            }
            let changed = self.look().await;
            self.pending = false;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// Watches what `follow` says, and tells `changed`, until one of them has no more interest.
    pub(crate) async fn run(
        mut self,
        mut follow: mpsc::UnboundedReceiver<(Vec<PathBuf>, SystemTime)>,
        changed: impl Fn(Vec<PathBuf>) -> bool,
    ) {
        loop {
            let next = {
                let mut news = pin!(self.changed());
                poll_fn(|cx| match follow.poll_recv(cx) {
                    Poll::Ready(files) => Poll::Ready(Err(files)),
                    Poll::Pending => news.as_mut().poll(cx).map(Ok),
                })
                .await
            };
            match next {
                Ok(files) => {
                    if !changed(files) {
                        return;
                    }
                }
                Err(Some((files, since))) => self.follow(&files, since),
                Err(None) => return,
            }
        }
    }

    /// Waits for quiet: an editor's save is several events. What happens to other files nearby does not delay us.
    async fn settle(&mut self) {
        let latest = self.clock.now().after(MOST);
        let mut due = self.clock.now().after(QUIET);
        self.names.lock().touched = false;
        while due > self.clock.now() {
            if self.clock.timeout(due.since(self.clock.now()), self.events.recv()).await.is_none() {
                return;
            }
            if std::mem::take(&mut self.names.lock().touched) {
                due = self.clock.now().after(QUIET).min(latest);
            }
        }
    }

    async fn look(&mut self) -> Vec<PathBuf> {
        for _ in 0..PATIENCE {
            let now = self.read().await;
            self.rewatch();
            let changed = now.changed_since(&self.prints);
            if !now.lost_since(&self.prints) {
                self.prints = now;
                return changed;
            }
            // Between the removal of the old file and the arrival of the new one.
            self.clock.sleep(QUIET).await;
        }
        let now = self.read().await;
        let changed = now.changed_since(&self.prints);
        self.prints = now;
        changed
    }

    async fn read(&self) -> Prints {
        let files: Vec<_> = self.prints.files().cloned().collect();
        tokio::task::spawn_blocking(move || Prints::take(&files)).await.unwrap_or_default()
    }

    /// Brings the watched directories in line with where the files lie now.
    fn rewatch(&mut self) {
        let hops = Hops::of(self.prints.files());
        self.names.lock().ours = hops.names;
        let mut wanted = BTreeMap::new();
        for directory in hops.directories {
            if let Ok(facts) = std::fs::metadata(&directory) {
                wanted.insert(directory, (facts.dev(), facts.ino()));
            }
        }
        let Some(system) = &mut self.system else { return };
        for (directory, identity) in &self.directories {
            if wanted.get(directory) != Some(identity) {
                // Gone already when the directory itself was removed.
                let _ = system.unwatch(directory);
            }
        }
        let mut failed = None;
        for (directory, identity) in &wanted {
            if self.directories.get(directory) != Some(identity)
                && let Err(error) = system.watch(directory, RecursiveMode::NonRecursive)
            {
                failed = Some(error);
            }
        }
        self.directories = wanted;
        if let Some(error) = failed {
            polling(&error);
            self.system = None;
        }
    }
}

/// Sends a note for each event; one that waits already is enough.
fn listen(sender: mpsc::Sender<()>, names: Arc<Mutex<Names>>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let mut names = names.lock();
        match event {
            // Reading is not changing; we read these files ourselves.
            Ok(event) if is_read(event.kind) => return,
            Ok(event) => names.touched |= event.paths.iter().any(|path| names.ours.contains(path)),
            // Events were lost.
            Err(_) => names.touched = true,
        }
        drop(names);
        let _ = sender.try_send(());
    })
}

fn is_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn polling(error: &notify::Error) {
    log::warn("no file events here, polling instead", &[("cause", error)]);
}

/// Nothing must happen for this long before we look.
const QUIET: Duration = Duration::from_millis(100);
/// But we look after this long at the latest.
const MOST: Duration = Duration::from_secs(1);
/// Looks at a file that vanished before its absence counts.
const PATIENCE: usize = 5;
/// Without any event (network file systems) we look this often.
const BACKSTOP: Duration = Duration::from_secs(5);
/// Where there are no events at all.
const POLL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
