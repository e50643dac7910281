//! Requests that a test has started and not yet waited for, and the sockets it holds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Stage;
use super::client::Seat;
use crate::proxy::websocket::Caller;
use crate::proxy::websocket::Side;
use crate::script::suite::Answered;
use crate::script::suite::Asked;
use crate::script::suite::Socket;
use crate::script::suite::Ticket;

/// By the port they come from.
#[derive(Default)]
pub(super) struct UnderWay(RefCell<HashMap<Ticket, Started>>);

struct Started {
    seat: Rc<Seat>,
    work: JoinHandle<Result<Answered, String>>,
}

impl Stage {
    pub(super) fn set_out(&self, asked: Asked) -> Result<Ticket, String> {
        self.begin()?;
        let seat = Rc::new(self.client.seat(&asked)?);
        self.ledger.begin(&seat, &asked);
        let (client, of, ticket) = (Rc::clone(&self.client), Rc::clone(&seat), seat.from.port());
        let work = self.runtime.spawn_local(async move { client.send(&of, &asked).await });
        self.under_way.0.borrow_mut().insert(ticket, Started { seat, work });
        self.driver.settle(&self.runtime)?;
        self.blameless(ticket)
    }

    pub(super) fn is_back(&self, ticket: Ticket) -> bool {
        self.under_way.0.borrow().get(&ticket).is_none_or(|started| started.work.is_finished())
    }

    pub(super) fn bring_home(&self, ticket: Ticket) -> Result<Answered, String> {
        let started = self.under_way.0.borrow_mut().remove(&ticket);
        let Started { seat, work } = started.ok_or("its answer was taken already")?;
        let outcome = self.driver.run(&self.runtime, &self.workers, work);
        let outcome = outcome.and_then(|done| done.map_err(|fault| fault.to_string())?);
        self.complete(&seat, outcome)
    }

    /// What a request came to, once it is over.
    pub(super) fn complete(&self, seat: &Seat, outcome: Result<Answered, String>) -> Result<Answered, String> {
        let settled = self.driver.settle(&self.runtime);
        let entry = self.ledger.end(seat);
        self.blameless(())?;
        settled?;
        let mut answered = outcome?;
        if let Some(route) = entry.route() {
            self.seen.borrow_mut().push((route, answered.status, entry.steps().to_vec()));
        }
        entry.complete(&mut answered, &self.shared.plan);
        Ok(answered)
    }

    /// `value`, unless the test has done something wrong.
    fn blameless<T>(&self, value: T) -> Result<T, String> {
        self.mocks.trouble().map_or(Ok(value), Err)
    }

    pub(super) fn open_socket(&self, asked: &Asked) -> Result<(Answered, Option<Socket>), String> {
        self.begin()?;
        let seat = self.client.seat(asked)?;
        self.ledger.begin(&seat, asked);
        let opened = self.driver.run(&self.runtime, &self.workers, self.client.open(&seat, asked));
        let (outcome, tunnel) = match opened.and_then(|opened| opened) {
            Ok((answered, tunnel)) => (Ok(answered), tunnel),
            Err(fault) => (Err(fault), None),
        };
        let socket = tunnel.map(|stream| {
            let socket = Socket { caller: Rc::new(Caller::new(Side::Service)), heard: Rc::default() };
            let Socket { caller, heard } = socket.clone();
            self.runtime.spawn_local(async move {
                caller.attend(stream, Vec::new(), |message| heard.borrow_mut().push_back(message)).await;
            });
            socket
        });
        Ok((self.complete(&seat, outcome)?, socket))
    }

    pub(super) fn let_happen(&self, until: &dyn Fn() -> bool, within: Option<Duration>) -> Result<bool, String> {
        let Some(within) = within else {
            let met = poll_fn(|_| if until() { Poll::Ready(true) } else { Poll::Pending });
            let met = self.driver.run(&self.runtime, &self.workers, met);
            return self.blameless(()).and(met);
        };
        let end = self.driver.now().after(within);
        loop {
            self.driver.settle(&self.runtime)?;
            if until() {
                return self.blameless(true);
            }
            match self.driver.next_due(&self.workers) {
                Some(due) if due <= end => self.turn(Some(due.since(self.driver.now()))),
                _ => break,
            }
        }
        self.turn(Some(end.since(self.driver.now())));
        self.driver.settle(&self.runtime)?;
        self.blameless(until())
    }
}
