//! A conversation from its first message to its close: one task, two peers at most, functions between them.
//!
//! Of each peer's messages the next is begun when the last is dealt with; the two directions do not wait for each other.
//! Nothing is read from a peer while what it said last has nowhere to go.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use super::Close;
use super::Fate;
use super::Line;
use super::Message;
use super::Side;
use super::Talk;
use super::end::End;
use super::end::Leaving;
use super::end::Work;
use super::frames::Event;
use super::frames::Frames;
use crate::clock::Alarm;
use crate::clock::Moment;
use crate::downstream::tools::Seat;
use crate::http::message::Duplex;
use crate::plan::Upgrade;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::proxy::respond;

/// How long a peer that was told of the close may take to answer.
const FAREWELL: Duration = Duration::from_secs(5);

/// Talks until the socket is closed; then the last function runs.
pub(crate) async fn converse(
    exchange: Rc<Exchange>,
    client: Box<dyn Duplex>,
    early: Vec<u8>,
    service: Option<Box<dyn Duplex>>,
) {
    let Some(route) = exchange.route.get() else { return };
    let Some(terms) = exchange.site.shared.plan.routes[route].upgrade.clone() else { return };
    let line = Rc::new(Line::default());
    let Some(talk) = exchange.site.hooks.talk(&exchange, &line) else { return };
    exchange.upgraded.set(true);
    exchange.end.set(Moment::NEVER);
    let alarm = exchange.worker.alarms.alarm(&exchange.worker.clock);
    let limit = exchange.site.shared.plan.gateway.limits.buffer;
    let end = |side, stream, early| End::new(side, Frames::new(stream, early, side, limit));
    let mut ends = vec![end(Side::Client, client, early)];
    ends.extend(service.map(|service| end(Side::Service, service, Vec::new())));
    let now = exchange.worker.clock.now();
    let mut conversation = Conversation {
        started: now,
        last: now,
        talk: Rc::clone(&talk),
        line: Rc::clone(&line),
        exchange: Rc::clone(&exchange),
        ends,
        opening: None,
        leaver: None,
        farewell: None,
        seat: Seat::default(),
        alarm,
        terms,
    };
    conversation.open();
    let close = poll_fn(|cx| conversation.poll(cx)).await;
    line.hang_up();
    let Conversation { alarm, .. } = conversation;
    let due = begin(&exchange);
    let outcome = in_time(&alarm, due, talk.closed(&close)).await;
    if let Err(failure) = outcome {
        tell(&exchange, &failure);
    }
}

/// A function of a socket begins: it has the time that an answer's head may take.
fn begin(exchange: &Exchange) -> Moment {
    let limit = exchange.setting().map_or(exchange.site.shared.plan.gateway.timeout, |setting| setting.timeout);
    let due = exchange.worker.clock.now().after(limit.head);
    exchange.deadline.set(due);
    due
}

fn tell(exchange: &Exchange, failure: &Failure) {
    exchange.worker.meter.failed(&exchange.worker, failure.code.as_str());
    respond::report(exchange, failure);
}

fn late() -> Failure {
    Failure::new(Code::RouteTimeout, "a function of the socket took too long")
}

async fn in_time<T>(alarm: &Alarm, due: Moment, run: Run<Result<T, Failure>>) -> Result<T, Failure> {
    let mut work = match run {
        Run::Done(done) => return done,
        Run::Wait(work) => work,
    };
    alarm.set(due);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => alarm.poll(cx).map(|()| Err(late())),
    })
    .await
}

struct Conversation {
    exchange: Rc<Exchange>,
    talk: Rc<dyn Talk>,
    line: Rc<Line>,
    /// The client, then the service if there is one.
    ends: Vec<End>,
    opening: Option<(Work<()>, Moment)>,
    /// Who left without a proper close.
    leaver: Option<Side>,
    /// When the last answer to our close must be there.
    farewell: Option<Moment>,
    started: Moment,
    /// When the last byte passed.
    last: Moment,
    seat: Seat,
    alarm: Alarm,
    terms: Upgrade,
}

impl Conversation {
    fn now(&self) -> Moment {
        self.exchange.worker.clock.now()
    }

    fn open(&mut self) {
        let due = begin(&self.exchange);
        match self.talk.opened() {
            Run::Done(outcome) => self.settle(outcome),
            Run::Wait(work) => self.opening = Some((work, due)),
        }
    }

    /// Ready when both peers are gone and no function works any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        loop {
            if self.exchange.worker.drain.poll(&mut self.seat, cx).is_ready() {
                self.close(Close::new(1001, "going away"));
            }
            let mut moved = self.poll_opening(cx);
            for index in 0..self.ends.len() {
                moved |= self.poll_work(index, cx);
                moved |= self.deal(index, cx);
            }
            let (ending, now) = (self.line.ending(), self.now());
            for end in &mut self.ends {
                let told = ending.as_ref().map(|close| farewell(close, self.leaver, end.side));
                moved |= end.poll_send(cx, &self.line, told.as_ref(), now);
                moved |= end.poll_read(cx);
            }
            // Who waits to be heard by one that is gone must hear of it, whatever is still to be dealt with.
            if let (None, Some(gone)) = (&ending, self.ends.iter().find(|end| end.leaving == Leaving::Gone)) {
                self.leaver = self.leaver.or(Some(gone.side));
                self.close(Close::new(1006, ""));
                continue;
            }
            if moved {
                continue;
            }
            self.line.watch(cx);
            if let Some(close) = ending {
                let idle = self.opening.is_none() && self.ends.iter().all(|end| end.handling.is_none());
                if idle && self.ends.iter().all(|end| end.leaving == Leaving::Gone) {
                    return Poll::Ready(close);
                }
                self.farewell.get_or_insert_with(|| now.after(FAREWELL));
            }
            let due = self.due(now);
            self.alarm.set(due);
            match self.alarm.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.overdue(),
            }
        }
    }

    /// The next moment at which something is too late.
    fn due(&mut self, now: Moment) -> Moment {
        for end in &mut self.ends {
            if end.touched() {
                self.last = now;
            }
        }
        let after = |since: Moment, limit: Option<Duration>| limit.map_or(Moment::NEVER, |limit| since.after(limit));
        let life = match self.farewell {
            Some(farewell) => {
                let all = self.ends.iter().all(|end| end.leaving == Leaving::Gone);
                if all { Moment::NEVER } else { farewell }
            }
            None => after(self.last, self.terms.idle).min(after(self.started, self.terms.max)),
        };
        let slow = self.exchange.site.shared.plan.gateway.limits.body_timeout;
        let work = self.opening.as_ref().map_or(Moment::NEVER, |(_, due)| *due);
        self.ends.iter().fold(life.min(work), |due, end| {
            let work = end.handling.as_ref().map_or(Moment::NEVER, |(_, _, due)| *due);
            due.min(end.patience(slow)).min(work)
        })
    }

    /// Something is too late.
    fn overdue(&mut self) {
        let now = self.now();
        let slow = self.exchange.site.shared.plan.gateway.limits.body_timeout;
        if self.opening.as_ref().is_some_and(|(_, due)| *due <= now) {
            self.opening = None;
            self.settle(Err(late()));
        }
        for index in 0..self.ends.len() {
            let end = &mut self.ends[index];
            if end.patience(slow) <= now {
                end.leaving = Leaving::Gone;
            }
            if end.handling.as_ref().is_some_and(|(_, _, due)| *due <= now) {
                end.handling = None;
                self.settle(Err(late()));
            }
        }
        match self.farewell {
            Some(farewell) if farewell <= now => self.ends.iter_mut().for_each(|end| end.leaving = Leaving::Gone),
            Some(_) => {}
            None if self.terms.idle.is_some_and(|limit| self.last.after(limit) <= now) => {
                self.close(Close::new(1001, "idle for too long"));
            }
            None if self.terms.max.is_some_and(|limit| self.started.after(limit) <= now) => {
                self.close(Close::new(1001, "open for too long"));
            }
            None => {}
        }
    }

    fn poll_opening(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((work, _)) = &mut self.opening else { return false };
        let Poll::Ready(outcome) = work.as_mut().poll(cx) else { return false };
        self.opening = None;
        self.settle(outcome);
        true
    }

    fn poll_work(&mut self, index: usize, cx: &mut Context<'_>) -> bool {
        let Some((_, work, _)) = &mut self.ends[index].handling else { return false };
        let Poll::Ready(outcome) = work.as_mut().poll(cx) else { return false };
        if let Some((message, ..)) = self.ends[index].handling.take() {
            self.done(self.ends[index].side, message, outcome);
        }
        true
    }

    /// Deals with what a peer said, when its turn has come.
    fn deal(&mut self, index: usize, cx: &mut Context<'_>) -> bool {
        let side = self.ends[index].side;
        if self.opening.is_some() || self.ends[index].handling.is_some() {
            return false;
        }
        let over = self.line.is_shut();
        if matches!(self.ends[index].held, Some(Event::Message(_))) && !over && !self.line.has_room(self.towards(side))
        {
            return false;
        }
        match self.ends[index].held.take() {
            None => return false,
            Some(Event::Message(_)) if over => {}
            Some(Event::Message(message)) => self.hear(index, message),
            Some(Event::Close(close)) => {
                self.ends[index].agree(cx, None);
                self.close(close);
            }
            Some(Event::Broken(close)) => {
                self.ends[index].agree(cx, Some(&close));
                self.leaver.get_or_insert(side);
                self.close(close);
            }
            Some(Event::Gone) => {
                self.ends[index].leaving = Leaving::Gone;
                if !over {
                    self.leaver.get_or_insert(side);
                }
                self.close(Close::new(1006, ""));
            }
        }
        true
    }

    fn hear(&mut self, index: usize, message: Message) {
        let side = self.ends[index].side;
        if !self.talk.hears(side) {
            return self.done(side, message, Ok(Fate::Pass));
        }
        let due = begin(&self.exchange);
        match self.talk.message(side, &message) {
            Run::Done(outcome) => self.done(side, message, outcome),
            Run::Wait(work) => self.ends[index].handling = Some((message, work, due)),
        }
    }

    /// Where the messages of a side go: without a service, what is said comes back.
    fn towards(&self, side: Side) -> Side {
        if self.ends.len() > 1 { side.other() } else { Side::Client }
    }

    fn done(&mut self, side: Side, message: Message, outcome: Result<Fate, Failure>) {
        let said = match outcome {
            Ok(Fate::Drop) => None,
            // Without a service nothing goes on by itself.
            Ok(Fate::Pass) => (self.ends.len() > 1).then_some(message),
            Ok(Fate::Replace(other)) => Some(other),
            Err(failure) => return self.settle(Err(failure)),
        };
        if let Some(message) = said {
            // A socket that is about to close takes nothing more.
            let _ = self.line.say(self.towards(side), message);
        }
    }

    /// A function that failed ends the socket: a refusal as such, anything else as an error of ours.
    fn settle(&mut self, outcome: Result<(), Failure>) {
        let Err(failure) = outcome else { return };
        tell(&self.exchange, &failure);
        self.close(match failure.status {
            400..=499 => Close { code: 1008, reason: short(failure.facts().detail) },
            _ => Close::new(1011, ""),
        });
    }

    fn close(&self, close: Close) {
        // Whoever came first has decided.
        let _ = self.line.close(close);
    }
}

/// What `to` is told of how the socket ends.
fn farewell(close: &Close, leaver: Option<Side>, to: Side) -> Close {
    match leaver {
        Some(Side::Client) if to == Side::Service => Close::new(1001, ""),
        Some(Side::Service) if to == Side::Client => Close::new(1011, ""),
        _ => close.clone(),
    }
}

/// A reason that fits a close frame.
fn short(mut reason: String) -> String {
    const MOST: usize = 123;
    let end = (0..=MOST.min(reason.len())).rev().find(|&end| reason.is_char_boundary(end));
    reason.truncate(end.unwrap_or_default());
    reason
}
