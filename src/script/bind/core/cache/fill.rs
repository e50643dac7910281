//! Bringing an answer for everybody: a task of its own, with a twin of the request that wanted it first. It goes on when
//! that client leaves, as long as what it brings can be stored.

mod confirm;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mlua::Value;
use tokio::sync::oneshot;

use super::How;
use super::Job;
use super::Policy;
use super::identified;
use super::options;
use super::options::Said;
use super::stored;
use crate::cache::Entry;
use crate::cache::Key;
use crate::cache::answer;
use crate::cache::content::Content;
use crate::cache::control::Control;
use crate::cache::freshness;
use crate::cache::freshness::Arrival;
use crate::cache::freshness::Asked;
use crate::cache::freshness::Life;
use crate::cache::freshness::Why;
use crate::cache::key;
use crate::cache::purge;
use crate::cache::space::Lead;
use crate::cache::space::Turn;
use crate::clock::Moment;
use crate::http::Body;
use crate::http::Headers;
use crate::http::Response;
use crate::http::conditional;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::respond;
use crate::script::driver;
use crate::script::handle;
use crate::telemetry::log;

/// What the request that asked first gets.
pub(super) enum Filled {
    /// This answer, and the failure it stands for, if any.
    Answer(Box<Response>, Option<Rc<Failure>>),
    /// A mistake of the script, or the end of its time.
    Failed(Box<Failure>),
}

/// One answer on its way.
struct Fill {
    policy: Rc<Policy>,
    /// The request that asked first; `None` when a stored answer was served and this happens behind it.
    first: Option<(Rc<Exchange>, oneshot::Sender<Filled>)>,
    twin: Rc<Exchange>,
    /// What is stored and may be confirmed.
    old: Option<Arc<Entry>>,
    /// The fields of the request as it came here, by which variants are found.
    fields: Headers,
    identified: bool,
    /// The key names a user.
    personal: bool,
    asked: Moment,
}

/// Asks for the answer of `job`'s request; what comes is told to all who wait.
pub(super) fn lead(job: &Job, lead: Lead, old: Option<Arc<Entry>>) -> mlua::Result<oneshot::Receiver<Filled>> {
    let (tell, told) = oneshot::channel();
    begin(job, lead, old, Some((Rc::clone(&job.exchange), tell)))?;
    Ok(told)
}

/// Refreshes `old`, unless that is under way.
pub(super) fn behind(job: &Job, key: &Key, old: &Arc<Entry>) -> mlua::Result<()> {
    match job.space.board(key, identified(&job.exchange)) {
        Turn::Lead(lead) => begin(job, lead, Some(Arc::clone(old)), None),
        Turn::Follow(_) => Ok(()),
    }
}

fn begin(
    job: &Job,
    lead: Lead,
    old: Option<Arc<Entry>>,
    first: Option<(Rc<Exchange>, oneshot::Sender<Filled>)>,
) -> mlua::Result<()> {
    let (identified, personal) = (lead.identified, job.policy.user(&job.exchange).is_some());
    let fields = job.exchange.request.borrow().headers.clone();
    let twin = handle::twin(&job.lua, &job.exchange)?;
    // The content of a GET is in no key: what everybody gets must not come of it.
    if !options::is_query(&twin.request.borrow().method) {
        twin.request.borrow_mut().body = Body::Empty;
    }
    if let Some(old) = &old {
        for (name, value) in answer::validators(old) {
            twin.request.borrow_mut().headers.set(name, value);
        }
    }
    let asked = twin.worker.clock.now();
    let fill = Fill { policy: Rc::clone(&job.policy), first, twin, old, fields, identified, personal, asked };
    let (lua, context, next) = (job.lua.clone(), Rc::clone(&job.context), job.next.clone());
    let worker = Rc::clone(&fill.twin.worker);
    worker.spawn(async move {
        let run = async { driver::drive(&context, Some(Rc::clone(&fill.twin)), &next, ()).get().await };
        let limit = fill.twin.left();
        let outcome = match fill.twin.worker.clock.timeout(limit, run).await {
            Some(outcome) => outcome,
            None => Err(Failure::new(Code::RouteTimeout, "the request took too long")),
        };
        let value = match outcome {
            Ok(mut values) => values.pop_front().unwrap_or(Value::Nil),
            Err(failure) => return fill.failed(lead, failure),
        };
        let req = handle::request(&lua, &fill.twin);
        let said = fill.policy.decide(&context, &fill.twin, req, &value);
        let Some(held) = handle::held(&lua, &value) else {
            let cause = "what follows a `cache` made no answer";
            return fill
                .failed(lead, Failure::new(Code::ScriptAnswer, "a function of the gateway failed").because(cause));
        };
        let failure = held.failure().cloned();
        let Some(mut response) = held.take() else {
            let cause = "the answer was taken by a function of `cache`";
            return fill
                .failed(lead, Failure::new(Code::ScriptAnswer, "a function of the gateway failed").because(cause));
        };
        respond::shape(&fill.twin, &mut response);
        match said {
            Ok(said) => fill.arrived(lead, response, failure, said).await,
            Err(error) => fill.failed(lead, driver::fault::failure(&context, error)),
        }
    });
    Ok(())
}

impl Fill {
    /// There is no answer: those who wait ask for themselves, and the first is told.
    fn failed(mut self, lead: Lead, failure: Failure) {
        lead.passes(self.now(), Duration::ZERO);
        match self.first.take() {
            Some((_, tell)) => drop(tell.send(Filled::Failed(Box::new(failure)))),
            None => {
                let code = failure.code.as_str();
                log::warn("a stored answer was not refreshed", &[("code", &code), ("cause", &failure.cause)]);
            }
        }
    }

    fn now(&self) -> Moment {
        self.twin.worker.clock.now()
    }

    /// The head is there: is it stored, does it confirm what is stored, or is it for the first client only?
    async fn arrived(mut self, lead: Lead, mut response: Response, failure: Option<Rc<Failure>>, said: Said) {
        if let Some(old) = self.old.take() {
            if response.status == 304 && failure.is_none() {
                return self.confirmed(lead, &old, &response);
            }
            let age = old.age(self.now());
            let asked = Control::of_request(&self.twin.request.borrow().headers);
            if (response.status >= 500 || failure.is_some()) && freshness::stands_in(&old.life, age, &asked) {
                lead.passes(self.now(), Duration::ZERO);
                return self.tell_stored(&old, How::StandsIn, age, &Response::default());
            }
        }
        match self.life(&mut response, &said) {
            Ok(life) => self.store(lead, response, failure, said, life).await,
            Err(why) => {
                lead.passes(self.now(), self.remember(&response, why));
                log::debug("an answer was not stored", &[("why", &why.as_str())]);
                self.tell(response, failure, How::Miss);
            }
        }
    }

    /// How long others do not wait for what is not stored for this reason. A service that fails is asked again soon, and
    /// who a later step found is not everybody; what is private stays so.
    fn remember(&self, response: &Response, why: Why) -> Duration {
        let own = why == Why::Authorization && !self.identified;
        if response.status >= 500 || own { BRIEFLY } else { A_WHILE }
    }

    fn life(&self, response: &mut Response, said: &Said) -> Result<Life, Why> {
        if said.keep == Some(false) {
            return Err(Why::Told);
        }
        if response.tunnel.is_some() || response.body.left().is_some_and(|left| left > self.policy.max_size) {
            return Err(Why::Size);
        }
        let mut rules = self.policy.rules.clone();
        rules.ttl = said.ttl.or(rules.ttl);
        // Without a user in its key the answer is for everybody, whatever the policy says about users.
        rules.private &= self.personal;
        if said.keep == Some(true) {
            rules.private = true;
            response.headers.remove("set-cookie");
        }
        let request = self.twin.request.borrow();
        let control = Control::of_request(&request.headers);
        // Steps behind this one may have found out who calls.
        let identified = self.identified || identified(&self.twin);
        let asked = Asked { method: &request.method, control: &control, identified };
        let clock = &self.twin.worker.clock;
        let arrival = Arrival { unix: clock.unix(), delay: clock.now().since(self.asked) };
        let life = freshness::store(asked, response.status, &response.headers, &rules, arrival)?;
        if self.is_edited(&key::names(&response.headers, &self.policy.vary)) { Err(Why::Vary) } else { Ok(life) }
    }

    /// Whether steps behind this one have changed a field by which answers differ: who asks next is known by what they
    /// send, not by what those steps make of it.
    fn is_edited(&self, names: &[Box<str>]) -> bool {
        let request = self.twin.request.borrow();
        names.iter().any(|name| self.fields.joined(name) != request.headers.joined(name))
    }

    async fn store(
        mut self,
        mut lead: Lead,
        mut response: Response,
        failure: Option<Rc<Failure>>,
        said: Said,
        life: Life,
    ) {
        let mut tags = said.tags;
        tags.extend(answer::tags(&response.headers));
        tags.extend(lead.key().own().map(|own| purge::of_key(own).into()));
        answer::strip(&mut response.headers);
        response.headers.remove("age");
        let vary = key::names(&response.headers, &self.policy.vary);
        if !self.policy.vary.is_empty() {
            response.headers.set("vary", vary.join(", "));
        }
        let content = Content::growing(response.body.left());
        let mut variant = lead.key().clone();
        if !vary.is_empty() {
            variant.vary(&vary, &self.fields);
        }
        let entry = Arc::new(Entry {
            status: response.status,
            headers: response.headers.clone(),
            life,
            arrived: self.now(),
            born: lead.born,
            key: variant.bytes().into(),
            vary: vary.into(),
            tags: tags.into(),
            path: self.twin.request.borrow().path.as_str().into(),
            content: Arc::clone(&content),
        });
        let mut body = std::mem::take(&mut response.body);
        // The first reader's place is taken before anything can pass it by.
        if let Some(reading) = content.read() {
            response.body = Body::stream(reading);
            self.tell_fresh(&entry, response, failure);
        }
        lead.begins(&entry, &entry.vary, &self.fields);
        self.pump(lead, &entry, &mut body).await;
    }

    /// The first client gets what everybody gets: whole, or that it has it already.
    fn tell_fresh(&mut self, entry: &Arc<Entry>, response: Response, failure: Option<Rc<Failure>>) {
        let Some((first, tell)) = self.first.take() else { return };
        let now = first.worker.clock.unix().as_secs();
        let request = &first.request.borrow().headers;
        let fresh = entry.status == 200 && conditional::not_modified(request, &entry.headers, now);
        let made = if fresh { answer::response(entry, request, entry.life.initial_age, now) } else { None };
        let mut response = match made {
            Some(unchanged) => Response { origin: response.origin, ..unchanged },
            None => response,
        };
        if !entry.life.initial_age.is_zero() {
            response.headers.set("age", itoa::Buffer::new().format(entry.life.initial_age.as_secs()));
        }
        self.note(&first);
        self.policy.counts.mark(&first, &mut response, How::Stored, None);
        drop(tell.send(Filled::Answer(Box::new(response), failure)));
    }

    fn tell(mut self, mut response: Response, failure: Option<Rc<Failure>>, how: How) {
        let Some((first, tell)) = self.first.take() else { return };
        answer::strip(&mut response.headers);
        self.note(&first);
        self.policy.counts.mark(&first, &mut response, how, None);
        drop(tell.send(Filled::Answer(Box::new(response), failure)));
    }

    /// What was asked of a service stands in the record of the request that asked first.
    fn note(&self, first: &Rc<Exchange>) {
        let (mut of, twin) = (first.record.borrow_mut(), self.twin.record.borrow());
        of.upstream.clone_from(&twin.upstream);
        of.host.clone_from(&twin.host);
        of.attempts = twin.attempts;
        of.upstream_time = twin.upstream_time;
    }

    /// Passes the body to everybody who reads it, and stores it when it is complete.
    async fn pump(self, lead: Lead, entry: &Arc<Entry>, body: &mut Body) {
        let content = &entry.content;
        let mut lead = Some(lead);
        let broken = loop {
            match body.chunk().await {
                None => break None,
                Some(Err(error)) => break Some(error),
                Some(Ok(bytes)) => content.push(bytes),
            }
            if lead.is_some() && content.arrived() as u64 > self.policy.max_size {
                // Too large to store: from here on it is as fast as its slowest reader.
                lead.take().expect("it was there").passes(self.now(), A_WHILE);
                content.forget();
            }
            if lead.is_none() {
                self.wait_for_readers(content).await;
                if content.readers() == 0 {
                    return;
                }
            }
        };
        content.end(broken);
        if let (Some(lead), None) = (lead, broken) {
            lead.stored(Arc::clone(entry));
        }
    }

    /// Until the slowest reader is near; one that takes nothing for [`IDLE`] is given up.
    async fn wait_for_readers(&self, content: &Content) {
        let mut idle = pin!(self.twin.worker.clock.sleep(IDLE));
        let late = poll_fn(|cx| {
            if content.poll_room(WINDOW, cx).is_ready() {
                return Poll::Ready(false);
            }
            idle.as_mut().poll(cx).map(|()| true)
        })
        .await;
        if late {
            content.drop_slow(WINDOW);
        }
    }
}

/// How long nobody waits for another's answer, when it turned out to be for one client only.
const A_WHILE: Duration = Duration::from_secs(60);
/// The same when the service failed.
const BRIEFLY: Duration = Duration::from_secs(1);
/// How far the readers of an answer too large to store may be apart.
const WINDOW: usize = 256 << 10;
/// How long a reader may take nothing while others wait for it.
const IDLE: Duration = Duration::from_secs(30);
