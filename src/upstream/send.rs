//! From a request to an answer: which host, which connection, and what happens when it fails.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::Response;
use crate::http::message::Origin;
use crate::upstream::Address;
use crate::upstream::Answer;
use crate::upstream::Balance;
use crate::upstream::Outbound;
use crate::upstream::Retry;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::balance::Ask;
use crate::upstream::connect::Failed;
use crate::upstream::connect::connect;
use crate::upstream::echo;
use crate::upstream::eject::Said;
use crate::upstream::h1::Attempt;
use crate::upstream::h1::Broke;
use crate::upstream::h1::Head;
use crate::upstream::h1::Reply;
use crate::upstream::h1::Upload;
use crate::upstream::pool::Conn;
use crate::upstream::pool::Got;
use crate::upstream::pool::Lane;
use crate::upstream::pool::Pools;
use crate::upstream::pool::Want;
use crate::upstream::retry;
use crate::upstream::retry::Next;
use crate::upstream::retry::Setback;
use crate::upstream::retry::Standing;
use crate::upstream::socket::Socket;
use crate::upstream::view::View;

/// One worker's view of an upstream: what a request is sent through.
pub struct Upstream {
    name: Rc<str>,
    shared: Arc<Shared>,
    pools: Rc<Pools>,
    view: RefCell<View>,
    /// Whether what attempts come to is noted.
    notes: bool,
}

/// An attempt without an answer.
struct Lost {
    error: SendError,
    /// What it means for another attempt; `None`: there will be none.
    setback: Option<Setback>,
    upload: Upload,
}

/// Where a request stands between attempts.
struct Course {
    attempts: u32,
    /// Attempts that count against `retry.times`.
    spent: u32,
    resent: bool,
    /// Hosts that failed it.
    tried: Vec<u64>,
    want: Want,
}

impl Upstream {
    /// This worker's way to `shared`, over its pools.
    pub fn new(shared: Arc<Shared>, pools: Rc<Pools>) -> Self {
        let name = Rc::from(shared.config().name.as_str());
        let notes = shared.config().eject.is_some() || shared.config().balance == Balance::Ewma;
        Self { name, shared, pools, view: RefCell::new(View::new()), notes }
    }

    /// Its name in the script.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// What all workers know of it.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sends `outbound` to one of the hosts, on a failure to another as far as the retry policy goes, and returns when
    /// the answer's head is known. Dropping the future or the answer's body ends the work and closes the connection.
    pub async fn send(&self, mut outbound: Outbound) -> Result<Answer, SendError> {
        let own = outbound.retry.take();
        let policy = own.as_ref().unwrap_or_else(|| &self.shared.config().retry);
        let may_repeat = outbound.repeatable || policy.is_unsafe;
        let body = std::mem::take(&mut outbound.body);
        let mut upload = Upload::new(body, may_repeat && policy.times > 0);
        let want = if may_repeat { Want::Any } else { Want::Settled };
        let mut course = Course { attempts: 0, spent: 0, resent: false, tried: Vec::new(), want };
        self.shared.budget().earn(policy.budget);
        loop {
            course.attempts += 1;
            course.spent += 1;
            let start = self.pools.clock.now();
            let Some(lane) = self.choose(outbound.key, start, &course.tried) else { return Err(self.nobody()) };
            if lane.host.address == Address::Echo && !self.has_stand_in() {
                let response = Box::pin(echo::answer(&outbound, &mut upload)).await?;
                let took = self.pools.clock.now().since(start);
                return Ok(self.answer(response, &lane, course.attempts, took, None));
            }
            match self.attempt(&lane, &outbound, upload, course.want, start, policy).await {
                Ok((mut reply, arrived)) => {
                    self.note(&lane, start, arrived, Some(Said::status(reply.head.status)));
                    if let Some(spare) = reply.upload.take()
                        && self.again(&mut course, policy, Setback::Status(reply.head.status), &outbound, &spare, &lane)
                        && Box::pin(self.pause(&mut course, policy, &outbound)).await
                    {
                        upload = *spare;
                        upload.rewind();
                        continue;
                    }
                    let response = Response {
                        status: reply.head.status,
                        headers: reply.head.headers,
                        body: reply.body,
                        ..Response::default()
                    };
                    self.pools.buffers.give(outbound.fields);
                    let took = arrived.since(start);
                    return Ok(self.answer(response, &lane, course.attempts, took, reply.tunnel));
                }
                Err(lost) => {
                    self.lament(&lane, start, &lost.error);
                    let Some(setback) = lost.setback else { return Err(lost.error) };
                    if !self.again(&mut course, policy, setback, &outbound, &lost.upload, &lane)
                        || !Box::pin(self.pause(&mut course, policy, &outbound)).await
                    {
                        return Err(lost.error);
                    }
                    upload = lost.upload;
                }
            }
        }
    }

    /// Whether something stands in for it (asked for the built-in service only, which needs no connection).
    fn has_stand_in(&self) -> bool {
        self.pools.connector().is_some_and(|connector| connector.stands_for(&self.name))
    }

    /// Whether another attempt follows; notes on `course` how it is to be made.
    fn again(
        &self,
        course: &mut Course,
        policy: &Retry,
        setback: Setback,
        outbound: &Outbound,
        upload: &Upload,
        lane: &Lane,
    ) -> bool {
        let standing = Standing {
            repeatable: outbound.repeatable,
            replayable: upload.is_replayable(),
            spent: course.spent,
            resent: course.resent,
        };
        match retry::next(policy, setback, standing) {
            Next::Stop => false,
            Next::Resend => {
                (course.resent, course.want) = (true, Want::Fresh);
                course.spent -= 1;
                true
            }
            Next::Again => {
                course.want = Want::Fresh;
                self.shared.budget().spend()
            }
            Next::Elsewhere { paid } => {
                course.tried.push(lane.host.id);
                !paid || self.shared.budget().spend()
            }
        }
    }

    /// Waits before an attempt at a host that failed already, and from the second retry on; `false` when there is no
    /// time for it.
    async fn pause(&self, course: &mut Course, policy: &Retry, outbound: &Outbound) -> bool {
        let everyone = self.view.borrow().is_exhausted(&course.tried);
        if everyone {
            course.tried.clear();
        }
        let clock = &self.pools.clock;
        if !everyone && course.spent < 2 {
            return clock.now() < outbound.deadline;
        }
        let wait = retry::backoff(policy, course.spent, self.pools.chance());
        if clock.now().after(wait) >= outbound.deadline {
            return false;
        }
        clock.sleep(wait).await;
        true
    }

    async fn attempt(
        &self,
        lane: &Rc<Lane>,
        outbound: &Outbound,
        upload: Upload,
        want: Want,
        now: Moment,
        policy: &Retry,
    ) -> Result<(Reply, Moment), Box<Lost>> {
        let guard = lane.host.enter();
        let conn = match self.connection(lane, outbound, want, now).await {
            Ok(conn) => conn,
            Err((error, setback)) => return Err(Box::new(Lost { error, setback, upload })),
        };
        let reused = conn.reused;
        let head = Head::of(outbound, &lane.host.authority);
        let (clock, timeouts) = (&self.pools.clock, &self.shared.config().timeout);
        let mut attempt = Attempt::new(conn, &head, upload, &self.pools.buffers, guard, now);
        match poll_fn(|cx| attempt.poll(cx, timeouts, outbound.deadline, clock)).await {
            Ok((head, length)) => {
                let now = clock.now();
                let again = policy.on_status.contains(&head.status);
                Ok((attempt.finish(head, length, timeouts.idle, now, again), now))
            }
            Err(broke) => {
                let host = lane.label.to_string();
                let unsent = matches!(broke, Broke::Unsent);
                let (error, setback) = match broke {
                    Broke::Unsent => (SendError::Reset { host, reused }, Some(Setback::Unsent)),
                    Broke::Reset { silent } => {
                        let reused = reused && silent;
                        if reused {
                            lane.distrust();
                        }
                        (SendError::Reset { host, reused }, reused.then_some(Setback::Reset))
                    }
                    Broke::Protocol(cause) => (SendError::Protocol { host, cause }, None),
                    Broke::Late => (SendError::Timeout { host, phase: "answer" }, None),
                    Broke::Body(error) => (SendError::Body(error), None),
                };
                Err(Box::new(Lost { error, setback, upload: attempt.into_upload(unsent) }))
            }
        }
    }

    /// An idle connection, a new one, or one that was waited for.
    async fn connection(
        &self,
        lane: &Rc<Lane>,
        outbound: &Outbound,
        want: Want,
        now: Moment,
    ) -> Result<Box<Conn>, (SendError, Option<Setback>)> {
        let got = match lane.take(want, now) {
            Some(got) => got,
            // rare paths are boxed: the future of an ordinary request stays small
            None => Box::pin(self.wait(lane, outbound, want, now)).await.map_err(|error| (error, None))?,
        };
        let slot = match got {
            Got::Idle(conn) => return Ok(conn),
            Got::Place(slot) => slot,
        };
        let clock = &self.pools.clock;
        let limit = self.shared.config().timeout.connect.min(outbound.deadline.since(clock.now()));
        let made = match self.pools.connector() {
            Some(stand_in) => {
                stand_in.connect(&self.name, &lane.host.label).map(Socket::Memory).map_err(Failed::Refused)
            }
            None => Box::pin(connect(&lane.host, self.shared.tls(), limit, clock)).await,
        };
        let socket = made.map_err(|failed| {
            let host = lane.label.to_string();
            let error = match failed {
                Failed::Refused(cause) => SendError::Connect { host, cause },
                Failed::Tls(cause) => SendError::Tls { host, cause },
                Failed::Late => SendError::Timeout { host, phase: "connection" },
            };
            (error, Some(Setback::Connect))
        })?;
        Ok(Conn::new(socket, slot, &self.pools))
    }

    /// Waits in line for a connection, as long as making one may take.
    async fn wait(&self, lane: &Rc<Lane>, outbound: &Outbound, want: Want, now: Moment) -> Result<Got, SendError> {
        let busy = || SendError::Overload { host: lane.label.to_string() };
        let mut turn = lane.queue().ok_or_else(busy)?;
        let clock = &self.pools.clock;
        let (patience, left) = (self.shared.config().timeout.connect, outbound.deadline.since(now));
        let mut sleep = clock.sleep(patience.min(left));
        poll_fn(|cx| {
            if let Poll::Ready(got) = turn.poll(cx, want, || clock.now()) {
                return Poll::Ready(Ok(got));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| {
                let late = || SendError::Timeout { host: lane.label.to_string(), phase: "free connection" };
                Err(if left < patience { late() } else { busy() })
            })
        })
        .await
    }

    /// A host that has not failed this request, as long as there is one.
    fn choose(&self, key: u64, now: Moment, tried: &[u64]) -> Option<Rc<Lane>> {
        let mut view = self.view.borrow_mut();
        view.refresh(&self.shared, &self.pools, now);
        let ask = Ask { key, now, chance: || self.pools.chance() };
        view.choose(&self.shared, &ask, tried)
    }

    /// What an attempt says about its host.
    fn note(&self, lane: &Lane, start: Moment, now: Moment, said: Option<Said>) {
        if self.notes
            && let Some(said) = said
        {
            self.shared.note(&lane.host, said, start, now);
        }
    }

    fn lament(&self, lane: &Lane, start: Moment, error: &SendError) {
        let now = self.pools.clock.now();
        self.note(lane, start, now, Said::error(error, now.since(start), &self.shared.config().timeout));
    }

    fn nobody(&self) -> SendError {
        match self.shared.config().hosts.first() {
            None => SendError::NoneHealthy,
            Some(_) if !self.view.borrow().is_empty() => SendError::NoneHealthy,
            Some(host) => SendError::Connect {
                host: crate::upstream::host::written(&host.address),
                cause: "its name has no address".into(),
            },
        }
    }

    fn answer(
        &self,
        mut response: Response,
        lane: &Lane,
        attempts: u32,
        took: Duration,
        tunnel: Option<crate::upstream::Tunnel>,
    ) -> Answer {
        response.origin = Origin::Upstream;
        response.upstream = Some(Rc::clone(&self.name));
        response.host = Some(Rc::clone(&lane.label));
        Answer { response, attempts, took, tunnel }
    }
}
