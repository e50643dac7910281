//! From a request to an answer: which host, which connection, and what happens when it fails.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::http::Response;
use crate::http::message::Origin;
use crate::upstream::Answer;
use crate::upstream::Balance;
use crate::upstream::Outbound;
use crate::upstream::Retry;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::Unanswered;
use crate::upstream::attempt::Errand;
use crate::upstream::attempt::attempt;
use crate::upstream::balance::Ask;
use crate::upstream::echo;
use crate::upstream::eject::Said;
use crate::upstream::h1::Reply;
use crate::upstream::h2::attempt as attempt_h2;
use crate::upstream::pool::Lane;
use crate::upstream::pool::Pools;
use crate::upstream::pool::Want;
use crate::upstream::pool::Way;
use crate::upstream::retry;
use crate::upstream::retry::Next;
use crate::upstream::retry::Setback;
use crate::upstream::retry::Standing;
use crate::upstream::upload::Upload;
use crate::upstream::verdict;
use crate::upstream::verdict::Eye;
use crate::upstream::verdict::Tried;
use crate::upstream::view::View;

/// One worker's view of an upstream: what a request is sent through.
pub struct Upstream {
    name: Rc<str>,
    shared: Arc<Shared>,
    pools: Rc<Pools>,
    view: RefCell<View>,
    /// Whether what attempts come to is noted.
    notes: bool,
    names_clients: bool,
    /// Whether requests are sent as they are: nothing bounds or watches them.
    plain: bool,
    /// Who looks on.
    eye: Option<Eye>,
}

/// Where a request stands between attempts.
struct Course {
    attempts: u32,
    /// Attempts that count against `retry.times`.
    spent: u32,
    resent: bool,
    /// Hosts that failed it.
    tried: Vec<u64>,
    /// For how many seconds the host that failed it last wants to be left alone.
    leave: u32,
    want: Want,
}

impl Course {
    /// The answer whose last attempt began at `start`.
    #[inline]
    fn comes_to(&self, response: Response, start: Moment, arrived: Moment) -> Answer {
        Answer { response, attempts: self.attempts, arrived, took: arrived.since(start), held: None }
    }

    fn ends(&self, error: SendError) -> Unanswered {
        Unanswered { error, attempts: self.attempts }
    }
}

/// Two attempts at one request that run side by side.
#[derive(Default)]
pub(super) struct Beside {
    /// The host this one is at.
    pub(super) at: Cell<u64>,
    /// The host the other one is at.
    pub(super) avoid: Option<u64>,
}

impl Upstream {
    /// This worker's way to `shared`, over its pools.
    pub fn new(shared: Arc<Shared>, pools: Rc<Pools>) -> Self {
        let name = Rc::from(shared.config().name.as_str());
        let notes = judges(&shared);
        let plain = shared.config().limit.is_none();
        let names_clients = shared.config().proxy_protocol.is_some();
        Self { name, shared, pools, view: RefCell::new(View::new()), notes, names_clients, plain, eye: None }
    }

    /// The same upstream for a request that is watched; what its attempts come to is told to `eye`.
    pub fn watched(&self, eye: Option<Eye>) -> Self {
        let (name, shared, pools) = (Rc::clone(&self.name), Arc::clone(&self.shared), Rc::clone(&self.pools));
        let (notes, names_clients) = (self.notes || eye.is_some(), self.names_clients);
        Self { name, shared, pools, view: RefCell::new(View::new()), notes, names_clients, plain: false, eye }
    }

    /// Whether its hosts are told who a connection is made for.
    pub fn names_clients(&self) -> bool {
        self.names_clients
    }

    /// Whether requests are sent as they are: nothing bounds or watches them.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Its name in the script.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.pools.clock
    }

    /// What all workers know of it.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sends `outbound` to one of the hosts, on a failure to another as far as the retry policy goes, and returns when
    /// the answer's head is known. Dropping the future or the answer's body ends the work and closes the connection.
    pub async fn send(&self, mut outbound: Outbound) -> Result<Answer, Unanswered> {
        self.pursue(&mut outbound, None).await
    }

    /// The same with a request that stays where it is, which makes the future of an ordinary one smaller.
    pub fn send_in_place(&self, outbound: &mut Outbound) -> impl Future<Output = Result<Answer, Unanswered>> {
        self.pursue(outbound, None)
    }

    /// The same beside another attempt at the same request, which goes to another host.
    pub(super) async fn pursue(&self, outbound: &mut Outbound, beside: Option<&Beside>) -> Result<Answer, Unanswered> {
        let own = outbound.retry.take();
        let policy = own.as_deref().unwrap_or_else(|| &self.shared.config().retry);
        let may_repeat = outbound.repeatable || policy.is_unsafe;
        let body = std::mem::take(&mut outbound.body);
        let mut upload = Upload::new(body, may_repeat && policy.times > 0);
        let want = if may_repeat { Want::Any } else { Want::Settled };
        let mut course = Course { attempts: 0, spent: 0, resent: false, tried: Vec::new(), leave: 0, want };
        course.tried.extend(beside.and_then(|beside| beside.avoid));
        self.shared.budget().earn(policy.budget);
        loop {
            course.attempts += 1;
            course.spent += 1;
            let start = self.pools.clock.turn();
            outbound.began.get_or_insert(start);
            let Some(lane) = self.choose(outbound.key, start, &course.tried) else {
                course.attempts -= 1;
                return Err(course.ends(self.nobody()));
            };
            if let Some(beside) = beside {
                beside.at.set(lane.host.id);
            }
            let errand = Errand {
                pools: &self.pools,
                shared: &self.shared,
                lane: &lane,
                outbound,
                want: course.want,
                now: start,
                policy,
            };
            let attempt = match self.way(&lane) {
                Way::Http1 => attempt(&errand, upload).await,
                // what is rare is boxed: the future of an ordinary request stays small
                Way::Http2 => Box::pin(attempt_h2(&errand, upload)).await,
                Way::Echo => {
                    let response = Box::pin(echo::answer(outbound, &mut upload))
                        .await
                        .map_err(|error| course.ends(error.into()))?;
                    let response = Response {
                        headers: response.headers,
                        body: response.body,
                        ..self.blank(response.status, &lane)
                    };
                    return Ok(course.comes_to(response, start, self.pools.clock.now()));
                }
            };
            match attempt {
                Ok((mut reply, arrived)) => {
                    if self.notes {
                        self.hear(&lane, start, arrived, &mut reply);
                    }
                    if let Some(spare) = reply.upload.take() {
                        let (setback, clock) = (Setback::Status(reply.head.status), &self.pools.clock);
                        course.leave = retry::retry_after(&reply.head.headers, || clock.unix());
                        if self.again(&mut course, policy, setback, outbound, &spare, &lane)
                            && Box::pin(self.pause(&mut course, policy, outbound, start)).await
                        {
                            upload = *spare;
                            upload.rewind();
                            continue;
                        }
                    }
                    self.pools.buffers.give(std::mem::take(&mut outbound.fields));
                    let response = Response {
                        headers: reply.head.headers,
                        body: reply.body,
                        tunnel: reply.tunnel,
                        ..self.blank(reply.head.status, &lane)
                    };
                    return Ok(course.comes_to(response, start, arrived));
                }
                Err(lost) => {
                    self.lament(&lane, start, &lost.error);
                    let Some(setback) = lost.setback else { return Err(course.ends(lost.error)) };
                    if !self.again(&mut course, policy, setback, outbound, &lost.upload, &lane)
                        || !Box::pin(self.pause(&mut course, policy, outbound, start)).await
                    {
                        return Err(course.ends(lost.error));
                    }
                    upload = lost.upload;
                }
            }
        }
    }

    /// How requests go to `lane`; what stands in for a service speaks HTTP/1.1.
    fn way(&self, lane: &Lane) -> Way {
        match self.pools.connector() {
            Some(stand_in) if lane.way != Way::Echo || stand_in.stands_for(&self.name) => Way::Http1,
            _ => lane.way,
        }
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
                if self.has_other(&course.tried, lane) {
                    course.tried.push(lane.host.id);
                }
                self.shared.budget().spend()
            }
            Next::Aside => {
                course.want = Want::Fresh;
                let other = self.has_other(&course.tried, lane);
                course.tried.push(lane.host.id);
                other && self.shared.budget().spend()
            }
            Next::Elsewhere { paid } => {
                course.tried.push(lane.host.id);
                !paid || self.shared.budget().spend()
            }
        }
    }

    /// Waits before an attempt at a host that failed already, and from the second retry on; `false` when there is no
    /// time for it, or nobody left to ask: then what the attempt before, begun at `start`, came to stands.
    async fn pause(&self, course: &mut Course, policy: &Retry, outbound: &mut Outbound, start: Moment) -> bool {
        let everyone = self.view.borrow().is_exhausted(&course.tried);
        if everyone {
            course.tried.clear();
        }
        let clock = &self.pools.clock;
        if everyone || course.spent >= 2 {
            let mut wait = retry::backoff(policy, course.spent, self.pools.chance());
            if everyone {
                // a client has more patience than we have, and is told the same
                let leave = Duration::from_secs(course.leave.into());
                if leave > policy.backoff.1 {
                    return false;
                }
                wait = wait.max(leave);
            }
            if clock.now().after(wait) >= outbound.deadline {
                return false;
            }
            clock.sleep(wait).await;
        }
        let now = clock.now();
        outbound.spend(now.since(start));
        self.view.borrow_mut().refresh(&self.shared, &self.pools, now);
        now < outbound.deadline && self.has_beside(&[])
    }

    /// Whether there is a host beside `lane` that has not failed this request.
    fn has_other(&self, tried: &[u64], lane: &Lane) -> bool {
        self.has_beside(&[tried, &[lane.host.id]].concat())
    }

    /// Whether there is a host beside these that may be asked.
    pub(super) fn has_beside(&self, hosts: &[u64]) -> bool {
        !self.view.borrow().is_exhausted(hosts)
    }

    /// A host that has not failed this request, as long as there is one.
    fn choose(&self, key: u64, now: Moment, tried: &[u64]) -> Option<Rc<Lane>> {
        let mut view = self.view.borrow_mut();
        view.refresh(&self.shared, &self.pools, now);
        let ask = Ask { key, now, chance: || self.pools.chance() };
        view.choose(&self.shared, &ask, tried)
    }

    /// What an answer's head says about its host; where there is more to come, its end has the last word.
    #[cold]
    fn hear(&self, lane: &Lane, start: Moment, now: Moment, reply: &mut Reply) {
        self.tell(lane, start, now, Ok(reply.head.status));
        if judges(&self.shared) {
            let said = Said::status(reply.head.status);
            verdict::hear(&self.shared, &lane.host, said, (start, now), &self.pools.clock, &mut reply.body);
        }
    }

    /// What an attempt without an answer says about its host.
    #[cold]
    fn lament(&self, lane: &Lane, start: Moment, error: &SendError) {
        let now = self.pools.clock.now();
        self.tell(lane, start, now, Err(error));
        if judges(&self.shared)
            && let Some(said) = Said::error(error, now.since(start), &self.shared.config().timeout)
        {
            self.shared.note(&lane.host, said, start, now);
        }
    }

    /// Tells who looks on what an attempt came to.
    fn tell(&self, lane: &Lane, start: Moment, end: Moment, outcome: Result<u16, &SendError>) {
        if let Some(eye) = &self.eye {
            eye(Tried { host: &lane.label, start, end, outcome });
        }
    }

    fn nobody(&self) -> SendError {
        match self.shared.config().hosts.first() {
            // those that are found later were not found yet
            None => SendError::NoneHealthy,
            Some(_) if !self.view.borrow().is_empty() => SendError::NoneHealthy,
            Some(host) => SendError::Connect {
                host: crate::upstream::host::written(&host.address),
                cause: "its name has no address".into(),
            },
        }
    }

    /// What every answer of `lane`'s host says of itself.
    #[inline]
    fn blank(&self, status: u16, lane: &Lane) -> Response {
        let (upstream, host) = (Some(Rc::clone(&self.name)), Some(Rc::clone(&lane.label)));
        Response { status, origin: Origin::Upstream, upstream, host, ..Response::default() }
    }
}

/// Whether hosts are judged by what attempts come to.
fn judges(shared: &Shared) -> bool {
    shared.config().eject.is_some() || shared.config().balance == Balance::Ewma
}
