//! `core.introspect(options)`: tokens that only their issuer can judge (RFC 7662), its verdicts remembered for a
//! while; about one token it is asked once at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use parking_lot::Mutex;
use serde_json::Value as Json;

use super::exchange;
use super::jwt::Front;
use super::jwt::options;
use super::oauth::Client;
use crate::lru::Lru;
use crate::primitive::codec;
use crate::primitive::digest::Hash;
use crate::primitive::jwt;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::questions::Asking;
use crate::questions::Questions;
use crate::questions::Turn;
use crate::script::bind::declared::text;
use crate::script::context::Context;
use crate::script::declare::Session;
use crate::script::live::Kept;
use crate::script::wait;

/// What an endpoint said of tokens, by their hash; shared by workers and generations.
#[derive(Default)]
pub(super) struct Verdicts {
    known: Mutex<Lru<Verdict>>,
    asked: Arc<Questions<Result<Verdict, Arc<str>>>>,
}

#[derive(Clone)]
struct Verdict {
    /// The claims of an active token.
    claims: Option<Arc<Json>>,
    /// Until when this is believed, in seconds since 1970.
    until: f64,
}

impl Kept for Verdicts {
    type Config = ();

    fn make((): ()) -> Self {
        Self::default()
    }

    fn change(&self, (): ()) {}
}

impl Verdicts {
    fn get(&self, name: &str, now: Duration) -> Option<Verdict> {
        let mut known = self.known.lock();
        let verdict = known.get(name)?.clone();
        if now.as_secs_f64() < verdict.until {
            return Some(verdict);
        }
        known.remove(name);
        None
    }

    fn put(&self, name: &str, verdict: Verdict) {
        let mut known = self.known.lock();
        known.insert(name, verdict);
        if known.len() > MOST {
            known.pop_oldest();
        }
    }
}

struct Step {
    front: Front,
    client: Client,
    identity: String,
    scopes: Vec<String>,
    cache: f64,
    time: Duration,
}

/// A function that judges a request's token: by what is remembered, else by asking the endpoint.
pub(super) fn introspect(lua: &Lua, table: Table) -> mlua::Result<Function> {
    let client = Client::read(&table)?;
    let scopes = options::names(&table, "scope")?;
    let step = Rc::new(Step {
        front: options::front(&table, (Code::IntrospectMissing, Code::IntrospectInactive))?,
        identity: format!("introspect:{} {}", client.url, client.id),
        client,
        scopes: scopes.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect(),
        cache: table.raw_get("cache")?,
        time: Duration::try_from_secs_f64(table.raw_get("timeout")?).map_err(mlua::Error::external)?,
    });
    Session::of(lua, "introspect")?.object(step.identity.clone(), text(&()));
    wait::maybe(lua, "introspect", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let Some(token) = step.check(lua, &exchange)? else { return wait::done() };
        let (context, step, lua) = (Context::of(lua), Rc::clone(&step), lua.clone());
        Ok(Run::Wait(Box::pin(async move {
            step.ask(&lua, &context, &exchange, &token).await?;
            Ok(MultiValue::new())
        })))
    })
}

impl Step {
    fn verdicts(&self, context: &Context) -> mlua::Result<Arc<Verdicts>> {
        let found = context.live().object::<Verdicts>(&self.identity, &text(&()));
        found.ok_or_else(|| mlua::Error::runtime("the verdicts of this endpoint are of another kind"))
    }

    /// The token that nobody has judged yet, if there is one.
    fn check(&self, lua: &Lua, exchange: &Rc<Exchange>) -> mlua::Result<Option<String>> {
        let Some(token) = self.front.token(exchange)? else { return Ok(None) };
        if token.len() > jwt::LONGEST {
            return self.front.invalid(exchange, "the token is too long", "");
        }
        let now = exchange.worker.clock.unix();
        let verdicts = self.verdicts(&Context::of(lua))?;
        let Some(verdict) = verdicts.get(&name(&token), now) else { return Ok(Some(token)) };
        self.judge(lua, exchange, &token, verdict, now)?;
        Ok(None)
    }

    /// Asks the endpoint, or waits for who does so already, and goes on with what it says.
    async fn ask(
        self: &Rc<Self>,
        lua: &Lua,
        context: &Context,
        exchange: &Rc<Exchange>,
        token: &str,
    ) -> mlua::Result<()> {
        let verdicts = self.verdicts(context)?;
        let answer = match verdicts.asked.ask(&name(token), 0, |_| true) {
            Turn::Other(answer) => answer,
            Turn::Mine(asking) => {
                let answer = asking.answer();
                self.begin(exchange, verdicts, asking, token.to_owned());
                answer
            }
        };
        let clock = &exchange.worker.clock;
        match clock.timeout(exchange.left(), answer.told()).await.flatten() {
            Some(Ok(verdict)) => self.judge(lua, exchange, token, verdict, clock.unix()),
            Some(Err(cause)) => unavailable(cause.as_ref()),
            None => unavailable("no answer in time"),
        }
    }

    /// On this worker, beside its requests: one that leaves takes no answer from the others.
    fn begin(
        self: &Rc<Self>,
        exchange: &Exchange,
        verdicts: Arc<Verdicts>,
        asking: Asking<Result<Verdict, Arc<str>>>,
        token: String,
    ) {
        let (step, worker, site) = (Rc::clone(self), Rc::clone(&exchange.worker), Rc::clone(&exchange.site));
        exchange.worker.spawn(async move {
            let fields = [("token", &*token), ("token_type_hint", "access_token")];
            let verdict = match step.client.post(&worker, &site, &fields, step.time).await {
                Ok(said) if said.get("active").is_some_and(Json::is_boolean) => {
                    Ok(verdict(said, step.cache, worker.clock.unix()))
                }
                Ok(_) => Err(format!("{} answered without `active`", step.client.url).into()),
                Err(cause) => Err(cause.into()),
            };
            if let Ok(verdict) = &verdict {
                verdicts.put(&name(&token), verdict.clone());
            }
            asking.done(verdict);
        });
    }

    fn judge(
        &self,
        lua: &Lua,
        exchange: &Rc<Exchange>,
        token: &str,
        verdict: Verdict,
        now: Duration,
    ) -> mlua::Result<()> {
        let Some(claims) = verdict.claims else {
            return self.front.invalid(exchange, "the token is not active", "");
        };
        let granted = claims.get("scope").and_then(Json::as_str).unwrap_or_default();
        if !self.scopes.iter().all(|scope| granted.split_whitespace().any(|one| one == scope)) {
            let failure = Failure::new(Code::IntrospectInactive, "the token lacks a scope").status(403);
            let error = format!("insufficient_scope\", scope=\"{}", self.scopes.join(" "));
            return self.front.refuse(exchange, failure, Some(&error));
        }
        self.front.pass(lua, exchange, token, claims, now)
    }
}

/// What is remembered of an answer: an active token until it ends or `cache` is over, another for a few seconds.
fn verdict(said: Json, cache: f64, now: Duration) -> Verdict {
    let now = now.as_secs_f64();
    let number = |name: &str| said.get(name).and_then(Json::as_f64);
    let (exp, nbf) = (number("exp"), number("nbf"));
    let active = said.get("active") == Some(&Json::Bool(true))
        && exp.is_none_or(|exp| now < exp)
        && nbf.is_none_or(|nbf| nbf <= now + LEEWAY);
    if active {
        let until = (now + cache).min(exp.unwrap_or(f64::INFINITY));
        return Verdict { claims: Some(Arc::new(said)), until };
    }
    Verdict { claims: None, until: now + cache.min(SHORT) }
}

/// RFC 7662 §4: without an answer nobody passes.
fn unavailable<T>(cause: &str) -> mlua::Result<T> {
    let failure = Failure::new(Code::IntrospectUnavailable, "tokens cannot be judged for now");
    wait::fail(failure.header("Retry-After", "5").because(cause))
}

/// The token itself is not kept.
fn name(token: &str) -> String {
    codec::base64url_encode(Hash::Sha256.digest(token.as_bytes()))
}

/// Verdicts remembered of one endpoint.
const MOST: usize = 20_000;
/// A token that was refused is asked about again so soon.
const SHORT: f64 = 10.0;
const LEEWAY: f64 = 30.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn verdicts_end_with_their_token_and_refusals_soon() {
        let now = Duration::from_secs(1_000);
        let until = |said: Json| {
            let verdict = verdict(said, 60.0, now);
            (verdict.claims.is_some(), verdict.until)
        };
        assert_eq!(until(json!({ "active": true })), (true, 1060.0));
        assert_eq!(until(json!({ "active": true, "exp": 1010 })), (true, 1010.0), "never past its exp");
        assert_eq!(until(json!({ "active": true, "exp": 1000 })), (false, 1010.0), "the issuer's clock is another");
        assert_eq!(until(json!({ "active": true, "nbf": 2000 })), (false, 1010.0));
        assert_eq!(until(json!({ "active": false })), (false, 1010.0));
        assert_eq!(until(json!({ "active": "true" })), (false, 1010.0));
    }

    #[test]
    fn the_memory_is_bounded() {
        let verdicts = Verdicts::make(());
        for n in 0..MOST + 10 {
            verdicts.put(&format!("{n}"), Verdict { claims: None, until: 10.0 });
        }
        assert_eq!(verdicts.known.lock().len(), MOST);
        assert!(verdicts.get("0", Duration::ZERO).is_none());
        assert!(verdicts.get("50", Duration::ZERO).is_some() && verdicts.get("50", Duration::from_secs(10)).is_none());
    }
}
