//! The sketches of all files of a load, drawn beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::sketch;
use super::sketch::Sketch;

/// Sketches that are being drawn: of sources that Luau has compiled already, so that their nesting is bounded.
pub(crate) struct Sketches {
    sources: mpsc::Sender<(String, Arc<str>)>,
    thread: JoinHandle<BTreeMap<String, Sketch>>,
}

impl Sketches {
    /// Draws whatever is added from now on. The parser recurses, so it gets a thread with a large stack of its own;
    /// `None` where no thread is to be had.
    pub(crate) fn begin() -> Option<Self> {
        let (sources, queue) = mpsc::channel::<(String, Arc<str>)>();
        let work = move || queue.iter().filter_map(|(name, text)| Some((name, sketch::parse(&text)?))).collect();
        let thread = std::thread::Builder::new().name("sketch".into()).stack_size(STACK).spawn(work).ok()?;
        Some(Self { sources, thread })
    }

    /// One more file.
    pub(crate) fn add(&self, name: &str, text: Arc<str>) {
        let _ = self.sources.send((name.to_owned(), text));
    }

    /// What was drawn; files that cannot be parsed are left out.
    pub(crate) fn done(self) -> BTreeMap<String, Sketch> {
        drop(self.sources);
        self.thread.join().unwrap_or_default()
    }
}

/// One source; `None` where it is no Luau.
pub(crate) fn read(source: &Arc<str>) -> Option<Sketch> {
    let sketches = Sketches::begin()?;
    sketches.add("", Arc::clone(source));
    sketches.done().remove("")
}

/// Of address space; only what is used becomes memory.
const STACK: usize = 256 << 20;
