//! `cache`: a stored answer where there is one, else an answer that is stored for those who come next.

mod fill;
mod mark;
mod options;
mod tools;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::cache::Entry;
use crate::cache::Key;
use crate::cache::Space;
use crate::cache::answer;
use crate::cache::control::Control;
use crate::cache::freshness;
use crate::cache::freshness::Use;
use crate::cache::purge::State;
use crate::cache::space::Arrived;
use crate::cache::space::Found;
use crate::cache::space::Turn;
use crate::http::Body;
use crate::http::Method;
use crate::http::Response;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::proxy::buffer;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use fill::Filled;
use mark::How;
use options::Policy;
pub(crate) use tools::forget;
pub(crate) use tools::tools;

/// `core.cache(options)` → fn(req, next): the answer, at once where it is stored.
pub(super) fn cache(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let policy = Rc::new(Policy::read(lua, &options)?);
    wait::maybe(lua, "cache", move |lua, (req, next): (Value, Function)| {
        let job = Job {
            lua: lua.clone(),
            context: Context::of(lua),
            policy: Rc::clone(&policy),
            exchange: exchange(lua, &req)?,
            space: policy.space(lua)?,
            req,
            next,
        };
        job.start()
    })
}

/// A request at its cache.
struct Job {
    lua: Lua,
    context: Rc<Context>,
    policy: Rc<Policy>,
    exchange: Rc<Exchange>,
    space: Arc<Space>,
    req: Value,
    next: Function,
}

/// What the store has for a request.
enum Look {
    /// Serve this.
    Serve(Arc<Entry>, How),
    /// Serve this, and refresh it behind the client's back.
    Behind(Arc<Entry>),
    /// Ask the service; what is stored may be confirmed by it.
    Ask(Option<Arc<Entry>>),
}

thread_local! {
    /// The buffer of keys, used again and again.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Job {
    fn start(self) -> wait::Began {
        let (takes, asks) = {
            let request = self.exchange.request.borrow();
            let whole = !matches!(request.body, Body::Stream(_));
            (self.policy.takes(&request.method), options::is_query(&request.method) && !whole)
        };
        if !takes {
            return Ok(Run::Wait(Box::pin(async move { self.changes().await })));
        }
        if !asks {
            return self.begin();
        }
        // The content is the question, and must be there before anybody can have answered it.
        Ok(Run::Wait(Box::pin(async move {
            buffer::request(&self.exchange).await.map_err(fault::raise)?;
            self.begin()?.get().await
        })))
    }

    fn begin(self) -> wait::Began {
        let Some(mut key) = self.policy.key(&self.lua, &self.exchange, &self.req)? else {
            return Ok(Run::Wait(Box::pin(async move { self.pass(How::Bypass).await })));
        };
        let look = self.look(&mut key)?;
        let old = match look {
            Look::Ask(old) => old,
            look => match self.serve(&key, look)? {
                Some(response) => {
                    BUFFER.with_borrow_mut(|buffer| *buffer = key.into_buffer());
                    return Ok(Run::Done(self.answer(response, None)));
                }
                None => return Ok(Run::Wait(Box::pin(async move { self.pass(How::Miss).await }))),
            },
        };
        Ok(Run::Wait(Box::pin(async move { self.load(key, old).await })))
    }

    /// What is stored for this request, and whether it may be used as it is.
    fn look(&self, key: &mut Key) -> mlua::Result<Look> {
        let request = self.exchange.request.borrow();
        let Found::Stored(entry, state) = self.space.find(key, &request.headers) else { return Ok(Look::Ask(None)) };
        let asked = Control::of_request(&request.headers);
        drop(request);
        let insists = asked.no_cache || asked.max_age.is_some() || asked.min_fresh.is_some();
        let may_refresh = insists && self.policy.may_refresh(&self.lua, &self.exchange, &self.req)?;
        let age = entry.age(self.exchange.worker.clock.now());
        Ok(match freshness::usable(&entry.life, age, &asked, may_refresh, state == State::Stale) {
            Use::Fresh => Look::Serve(entry, How::Hit),
            Use::Stale => Look::Serve(entry, How::Stale),
            Use::Behind => Look::Behind(entry),
            Use::Ask => Look::Ask(Some(entry)),
        })
    }

    /// The answer from what is stored, where it may be used; `None` where not, or when its first bytes are gone.
    fn serve(&self, key: &Key, look: Look) -> mlua::Result<Option<Response>> {
        Ok(match look {
            Look::Serve(entry, how) => self.stored(&entry, how),
            Look::Behind(entry) => {
                fill::behind(self, key, &entry)?;
                self.stored(&entry, How::Stale)
            }
            Look::Ask(_) => None,
        })
    }

    fn stored(&self, entry: &Arc<Entry>, how: How) -> Option<Response> {
        stored(&self.policy, &self.exchange, entry, how, entry.age(self.exchange.worker.clock.now()))
    }

    /// The answer that is not stored: one that another request brings, or one that this request asks for.
    async fn load(self, mut key: Key, mut old: Option<Arc<Entry>>) -> mlua::Result<MultiValue> {
        let asked = Control::of_request(&self.exchange.request.borrow().headers);
        let identified = identified(&self.exchange);
        // Another variant than ours may arrive first: then the store knows by which fields answers differ.
        for _ in 0..3 {
            if asked.only_if_cached {
                return wait::fail(Failure::new(Code::CacheMiss, "nothing is stored that this request would take"));
            }
            // What this client alone does not want stored is nobody else's, and says nothing about the answer.
            if asked.no_store || self.space.passes(&key, identified, self.exchange.worker.clock.now()) {
                break;
            }
            match self.space.board(&key, identified) {
                Turn::Lead(lead) => match fill::lead(&self, lead, old)?.await {
                    Ok(Filled::Answer(response, failure)) => return self.answer(*response, failure),
                    Ok(Filled::Failed(failure)) => return Err(fault::raise(*failure)),
                    // The fill ended without a word: the machine is closing.
                    Err(_) => break,
                },
                Turn::Follow(flight) => {
                    let limit = self.exchange.left().min(PATIENCE);
                    match self.exchange.worker.clock.timeout(limit, flight.arrived()).await {
                        Some(Arrived::Entry(entry)) if self.fits(&mut key, &entry) => {
                            match self.stored(&entry, How::Collapsed) {
                                Some(response) => return self.answer(response, None),
                                None => break,
                            }
                        }
                        Some(Arrived::Entry(_)) => {}
                        Some(Arrived::Pass) | None => break,
                    }
                }
            }
            old = match self.look(&mut key)? {
                Look::Ask(old) => old,
                look => match self.serve(&key, look)? {
                    Some(response) => return self.answer(response, None),
                    None => break,
                },
            };
        }
        self.pass(How::Miss).await
    }

    /// Whether an answer that arrived is of the variant this request wants.
    fn fits(&self, key: &mut Key, entry: &Entry) -> bool {
        if !entry.vary.is_empty() {
            key.vary(&entry.vary, &self.exchange.request.borrow().headers);
        }
        *key.bytes() == *entry.key
    }

    fn answer(&self, response: Response, failure: Option<Rc<Failure>>) -> mlua::Result<MultiValue> {
        let response = handle::answered(&self.lua, Some(&self.exchange), response, failure)?;
        Ok(MultiValue::from_vec(vec![response]))
    }

    /// What follows, for this client alone.
    async fn pass(&self, how: How) -> mlua::Result<MultiValue> {
        let run = driver::drive(&self.context, Some(Rc::clone(&self.exchange)), &self.next, ());
        let values = run.get().await.map_err(fault::raise)?;
        if let Some(held) = values.front().and_then(|value| handle::held(&self.lua, value)) {
            held.edit(|response| {
                answer::strip(&mut response.headers);
                self.policy.counts.mark(&self.exchange, response, how, None);
            });
        }
        Ok(values)
    }

    /// A method that may change something: what is stored of its address is forgotten when it succeeded (RFC 9111 §4.4).
    async fn changes(&self) -> mlua::Result<MultiValue> {
        let values = self.pass(How::Bypass).await?;
        let held = values.front().and_then(|value| handle::held(&self.lua, value));
        let done = held.and_then(|held| {
            held.read(|response| {
                let places =
                    ["location", "content-location"].map(|name| response.headers.text(name).map(str::to_owned));
                (200..400).contains(&response.status).then_some(places)
            })
        });
        if let Some(places) = done.flatten()
            && !is_safe(&self.exchange.request.borrow().method)
        {
            self.forget(places);
        }
        Ok(values)
    }

    fn forget(&self, places: [Option<String>; 2]) {
        let user = self.policy.user(&self.exchange);
        let request = self.exchange.request.borrow();
        let forget = |path: &str, query: Option<&str>| {
            self.space.forget(&Key::address(&request, path, query, None));
            if let Some(user) = &user {
                self.space.forget(&Key::address(&request, path, query, Some(user)));
            }
        };
        forget(&request.path, request.query.as_deref());
        for place in places.iter().flatten() {
            let own = format!("{}://{}", request.scheme.as_str(), request.host);
            // Another host's answers are none of this one's business.
            if let Some(path) = place.strip_prefix(&own).or(Some(place)).filter(|path| path.starts_with('/')) {
                let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
                forget(path, query);
            }
        }
    }
}

/// The answer to this very request from what is stored; `None` when its first bytes are gone.
fn stored(policy: &Policy, exchange: &Rc<Exchange>, entry: &Arc<Entry>, how: How, age: Duration) -> Option<Response> {
    let now = exchange.worker.clock.unix().as_secs();
    let mut response = answer::response(entry, &exchange.request.borrow().headers, age, now)?;
    policy.counts.mark(exchange, &mut response, how, Some(entry.life.fresh.as_secs_f64() - age.as_secs_f64()));
    Some(response)
}

/// Methods that change nothing (RFC 9110 §9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY")
}

/// Whether a step found out who the caller is, or the request carries credentials.
fn identified(exchange: &Rc<Exchange>) -> bool {
    let own = |name: &str| exchange.site.hooks.lookup(exchange, &[name.to_owned()]).is_some();
    exchange.user.is_known() || exchange.request.borrow().headers.has("authorization") || own("user") || own("key")
}

/// How long a request waits for the answer that another one asked for.
const PATIENCE: Duration = Duration::from_secs(10);
