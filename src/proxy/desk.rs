//! Where requests are worked at. The future of a request is large, so those that are done take another one up: to
//! allocate and fill a new one would cost more than to find the route.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use crate::proxy::enter;
use crate::proxy::serve::Done;
use crate::proxy::serve::Job;
use crate::proxy::serve::abandoned;
use crate::proxy::serve::deliver;
use crate::proxy::serve::is_for_nobody;
use crate::proxy::serve::or_gone;
use crate::proxy::way::Way;

/// One worker's desks that nobody sits at.
pub(crate) struct Desks<W>(RefCell<Vec<Desk<W>>>);

/// A future that takes up one request after another, and what it is handed and hands back.
struct Desk<W> {
    work: Pin<Box<dyn Future<Output = ()>>>,
    tray: Rc<Tray<W>>,
}

struct Tray<W> {
    job: Cell<Option<Job<W>>>,
    done: Cell<Option<Done<W>>>,
}

impl<W> Default for Desks<W> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<W: Way> Desks<W> {
    /// Desks kept for requests to come.
    const KEPT: usize = 256;

    /// Does `job`. Dropped before its end, the desk goes with it and all that lies on it.
    pub(crate) async fn work(&self, job: Job<W>) -> Done<W> {
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

impl<W: Way> Desk<W> {
    fn new() -> Self {
        let tray = Rc::new(Tray { job: Cell::default(), done: Cell::default() });
        Self { work: Box::pin(sit(Rc::clone(&tray))), tray }
    }
}

/// One request after another. All that is done to one stands here and in no future of its own, which would be moved
/// about before it begins.
async fn sit<W: Way>(tray: Rc<Tray<W>>) {
    loop {
        // Nobody needs to wake it: whoever hands it a job also polls it.
        let mut job = poll_fn(|_| tray.job.take().map_or(Poll::Pending, Poll::Ready)).await;
        let Job { client, exchange, head } = &mut job;
        let stopped = match client.way.arrival().cloned() {
            Some(arrival) => enter::stopped(exchange, &arrival, &client.alarm).await,
            None => None,
        };
        let answered = match stopped {
            Some(response) => Some(response),
            None => or_gone(&client.way, exchange, pin!(client.way.decide(exchange, &client.alarm))).await,
        };
        let after = match answered {
            Some(response) if !is_for_nobody(exchange, &response) => deliver(client, exchange, response, *head).await,
            _ => abandoned(exchange),
        };
        tray.done.set(Some((job.client, after)));
    }
}
