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
use crate::http::Method;
use crate::http::Response;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::user;
use crate::script::bind::function;
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

/// `core.cache(options)` → `{ hit = fn(req), load = fn(req, next) }`: `hit` answers at once, from what is stored, or not
/// at all; `load` brings the answer.
pub(super) fn cache(lua: &Lua, options: Table) -> mlua::Result<Table> {
    let policy = Rc::new(Policy::read(lua, &options)?);
    let made = lua.create_table()?;
    let own = Rc::clone(&policy);
    made.raw_set(
        "hit",
        function(lua, "cache", move |lua, (req, next): (Value, Function)| hit(lua, &own, &req, &next))?,
    )?;
    made.raw_set(
        "load",
        wait::function(lua, "cache", move |lua, (req, next): (Value, Function)| {
            let job = Job::new(lua, &policy, &req, next)?;
            Ok(Box::pin(async move { job.load().await }))
        })?,
    )?;
    Ok(made)
}

/// A request at its cache.
struct Job {
    lua: Lua,
    context: Rc<Context>,
    policy: Rc<Policy>,
    exchange: Rc<Exchange>,
    req: Value,
    next: Function,
}

/// What the store has for a request.
enum Look {
    /// Its method is not one that is stored.
    Bypass,
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

fn hit(lua: &Lua, policy: &Rc<Policy>, req: &Value, next: &Function) -> mlua::Result<Value> {
    let exchange = exchange(lua, req)?;
    let space = policy.space(lua)?;
    let Some(mut key) = policy.key(lua, &exchange, req)? else { return Ok(Value::Nil) };
    let (look, now) = (look(lua, policy, &exchange, req, &space, &mut key)?, exchange.worker.clock.now());
    let answer = match look {
        Look::Serve(entry, how) => stored(&exchange, &entry, how, entry.age(now)),
        Look::Behind(entry) => {
            let job = Job::new(lua, policy, req, next.clone())?;
            fill::behind(&job, &space, &key, &entry)?;
            stored(&exchange, &entry, How::Stale, entry.age(now))
        }
        Look::Bypass | Look::Ask(_) => None,
    };
    BUFFER.with_borrow_mut(|buffer| *buffer = key.into_buffer());
    answer.map_or(Ok(Value::Nil), |response| handle::answered(lua, Some(&exchange), response, None))
}

/// What is stored for this request, and whether it may be used as it is.
fn look(
    lua: &Lua,
    policy: &Policy,
    exchange: &Rc<Exchange>,
    req: &Value,
    space: &Arc<Space>,
    key: &mut Key,
) -> mlua::Result<Look> {
    let request = exchange.request.borrow();
    if !policy.takes(&request.method) {
        return Ok(Look::Bypass);
    }
    let Found::Stored(entry, state) = space.find(key, &request.headers) else { return Ok(Look::Ask(None)) };
    let asked = Control::of_request(&request.headers);
    drop(request);
    let insists = asked.no_cache || asked.max_age.is_some() || asked.min_fresh.is_some();
    let may_refresh = insists && policy.may_refresh(lua, exchange, req)?;
    let age = entry.age(exchange.worker.clock.now());
    Ok(match freshness::usable(&entry.life, age, &asked, may_refresh, state == State::Stale) {
        Use::Fresh => Look::Serve(entry, How::Hit),
        Use::Stale => Look::Serve(entry, How::Stale),
        Use::Behind => Look::Behind(entry),
        Use::Ask => Look::Ask(Some(entry)),
    })
}

/// The answer to this very request from what is stored; `None` when its first bytes are gone.
fn stored(exchange: &Rc<Exchange>, entry: &Arc<Entry>, how: How, age: Duration) -> Option<Response> {
    let now = exchange.worker.clock.unix().as_secs();
    let mut response = answer::response(entry, &exchange.request.borrow().headers, age, now)?;
    mark::mark(exchange, &mut response, how, Some(entry.life.fresh.as_secs_f64() - age.as_secs_f64()));
    Some(response)
}

impl Job {
    fn new(lua: &Lua, policy: &Rc<Policy>, req: &Value, next: Function) -> mlua::Result<Self> {
        Ok(Self {
            lua: lua.clone(),
            context: Context::of(lua),
            policy: Rc::clone(policy),
            exchange: exchange(lua, req)?,
            req: req.clone(),
            next,
        })
    }

    /// The answer: a stored one, one that another request brings, or one that this request asks for.
    async fn load(self) -> mlua::Result<MultiValue> {
        let space = self.policy.space(&self.lua)?;
        let Some(mut key) = self.policy.key(&self.lua, &self.exchange, &self.req)? else {
            return self.pass(How::Bypass).await;
        };
        // Another variant than ours may arrive first: then the store knows by which fields answers differ.
        for _ in 0..3 {
            let entry = match look(&self.lua, &self.policy, &self.exchange, &self.req, &space, &mut key)? {
                Look::Bypass => return self.changes(&space).await,
                Look::Serve(entry, how) => match self.serve(&entry, how) {
                    Some(response) => return self.answer(response, None),
                    None => return self.pass(How::Miss).await,
                },
                Look::Behind(entry) => Some(entry),
                Look::Ask(entry) => entry,
            };
            if self.only_if_cached() {
                return wait::fail(Failure::new(Code::CacheMiss, "nothing is stored that this request would take"));
            }
            if space.passes(&key, self.exchange.worker.clock.now()) {
                return self.pass(How::Miss).await;
            }
            match space.board(&key) {
                Turn::Lead(lead) => {
                    return match fill::lead(&self, lead, entry)?.await {
                        Ok(Filled::Answer(response, failure)) => self.answer(*response, failure),
                        Ok(Filled::Failed(failure)) => Err(fault::raise(*failure)),
                        // The fill ended without a word: the machine is closing.
                        Err(_) => self.pass(How::Miss).await,
                    };
                }
                Turn::Follow(flight) => {
                    let limit = self.exchange.left().min(PATIENCE);
                    match self.exchange.worker.clock.timeout(limit, flight.arrived()).await {
                        Some(Arrived::Entry(entry)) if self.fits(&mut key, &entry) => {
                            return match self.serve(&entry, How::Collapsed) {
                                Some(response) => self.answer(response, None),
                                None => self.pass(How::Miss).await,
                            };
                        }
                        Some(Arrived::Entry(_)) => {}
                        Some(Arrived::Pass) | None => return self.pass(How::Miss).await,
                    }
                }
            }
        }
        self.pass(How::Miss).await
    }

    fn only_if_cached(&self) -> bool {
        Control::of_request(&self.exchange.request.borrow().headers).only_if_cached
    }

    /// Whether an answer that arrived is of the variant this request wants.
    fn fits(&self, key: &mut Key, entry: &Entry) -> bool {
        if !entry.vary.is_empty() {
            key.vary(&entry.vary, &self.exchange.request.borrow().headers);
        }
        *key.bytes() == *entry.key
    }

    fn serve(&self, entry: &Arc<Entry>, how: How) -> Option<Response> {
        stored(&self.exchange, entry, how, entry.age(self.exchange.worker.clock.now()))
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
                mark::mark(&self.exchange, response, how, None);
            });
        }
        Ok(values)
    }

    /// A method that may change something: what is stored of its address is forgotten when it succeeded (RFC 9111 §4.4).
    async fn changes(&self, space: &Arc<Space>) -> mlua::Result<MultiValue> {
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
            self.forget(space, places);
        }
        Ok(values)
    }

    fn forget(&self, space: &Arc<Space>, places: [Option<String>; 2]) {
        let user = self.policy.user(&self.exchange);
        let request = self.exchange.request.borrow();
        let forget = |path: &str, query: Option<&str>| {
            space.forget(&Key::address(&request, path, query, None));
            if let Some(user) = &user {
                space.forget(&Key::address(&request, path, query, Some(user)));
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

/// Methods that change nothing (RFC 9110 §9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY")
}

/// Whether a step found out who the caller is, or the request carries credentials.
fn identified(exchange: &Rc<Exchange>) -> bool {
    exchange.user.has_claims() || exchange.request.borrow().headers.has("authorization") || user::id(exchange).is_some()
}

/// How long a request waits for the answer that another one asked for.
const PATIENCE: Duration = Duration::from_secs(10);
