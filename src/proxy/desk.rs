//! Where requests are worked at. The future of a request is large, so those that are done take another one up: to
//! allocate and fill a new one would cost more than to find the route.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::proxy::serve::Done;
use crate::proxy::serve::Job;
use crate::proxy::serve::live;

/// One worker's desks that nobody sits at.
#[derive(Default)]
pub(crate) struct Desks(RefCell<Vec<Desk>>);

/// A future that takes up one request after another, and what it is handed and hands back.
struct Desk {
    work: Pin<Box<dyn Future<Output = ()>>>,
    tray: Rc<Tray>,
}

#[derive(Default)]
struct Tray {
    job: Cell<Option<Job>>,
    done: Cell<Option<Done>>,
}

impl Desks {
    /// Desks kept for requests to come.
    const KEPT: usize = 256;

    /// Does `job`. Dropped before its end, the desk goes with it and all that lies on it.
    pub(crate) async fn work(&self, job: Job) -> Done {
        let spare = self.0.borrow_mut().pop();
        let mut desk = spare.unwrap_or_else(Desk::new);
        desk.tray.job.set(Some(job));
        let done = poll_fn(|cx| {
            // It waits for the next job when this one is done; it never ends.
            let _ = desk.work.as_mut().poll(cx);
            desk.tray.done.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        let mut spare = self.0.borrow_mut();
        if spare.len() < Self::KEPT {
            spare.push(desk);
        }
        done
    }
}

impl Desk {
    fn new() -> Self {
        let tray = Rc::<Tray>::default();
        Self { work: Box::pin(sit(Rc::clone(&tray))), tray }
    }
}

async fn sit(tray: Rc<Tray>) {
    loop {
        // Nobody needs to wake it: whoever hands it a job also polls it.
        let job = poll_fn(|_| tray.job.take().map_or(Poll::Pending, Poll::Ready)).await;
        let done = live(job).await;
        tray.done.set(Some(done));
    }
}
