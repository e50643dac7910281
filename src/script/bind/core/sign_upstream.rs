//! `core.client_credentials(options)`: a token of the gateway's own towards a service (RFC 6749 §4.4), fetched once for
//! all workers, kept until shortly before its end and renewed ahead of it.

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
use tokio::sync::watch;

use super::exchange;
use super::jwt::options;
use super::oauth::Client;
use crate::clock::Moment;
use crate::http::headers::is_value;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::declared::text;
use crate::script::context::Context;
use crate::script::declare::Session;
use crate::script::live::Kept;
use crate::script::wait;
use crate::telemetry::log;

/// The token of one client, shared by workers and generations.
pub(super) struct Grant {
    state: Mutex<State>,
    turns: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    fetching: bool,
    /// After a failure nobody asks before this.
    not_before: Option<Moment>,
}

#[derive(Clone)]
struct Token {
    field: Arc<str>,
    renew: Moment,
    end: Moment,
}

impl Kept for Grant {
    type Config = ();

    fn make((): ()) -> Self {
        Self { state: Mutex::default(), turns: watch::Sender::new(0) }
    }

    fn change(&self, (): ()) {}
}

/// A fetch under way, for as long as it lives.
struct Turn(Arc<Grant>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state.lock().fetching = false;
        self.0.turns.send_modify(|turn| *turn += 1);
    }
}

impl Grant {
    /// The field's value while there is one, and whether somebody should fetch another: the caller, then.
    fn look(self: &Arc<Self>, now: Moment) -> (Option<Arc<str>>, Option<Turn>) {
        let mut state = self.state.lock();
        let good = state.token.clone().filter(|token| now < token.end);
        let due = good.as_ref().is_none_or(|token| token.renew <= now)
            && !state.fetching
            && state.not_before.is_none_or(|moment| moment <= now);
        state.fetching |= due;
        (good.map(|token| token.field), due.then(|| Turn(Arc::clone(self))))
    }

    fn settle(&self, said: Result<(Arc<str>, Duration), String>, url: &str, now: Moment) {
        let mut state = self.state.lock();
        match said {
            Ok((field, life)) => {
                let margin = (life / 10).min(Duration::from_secs(10));
                let end = now.after(life.saturating_sub(margin));
                state.token = Some(Token { field, renew: now.after(life * 3 / 4), end });
                state.not_before = None;
            }
            Err(cause) => {
                state.not_before = Some(now.after(PAUSE));
                drop(state);
                log::warn("no credentials for a service", &[("url", &url), ("cause", &cause)]);
            }
        }
    }
}

struct Step {
    client: Client,
    identity: String,
    fields: Vec<(String, String)>,
    header: String,
}

/// Two functions: one that signs the request (false: a token must be fetched), and one that fetches.
pub(super) fn client_credentials(lua: &Lua, (table, header): (Table, String)) -> mlua::Result<(Function, Function)> {
    let client = Client::read(&table)?;
    let mut fields = vec![("grant_type".to_owned(), "client_credentials".to_owned())];
    for name in ["scope", "audience", "resource"] {
        let list = options::names(&table, name)?;
        if !list.is_empty() {
            fields.push((name.to_owned(), list.join(" ")));
        }
    }
    let identity = format!("grant:{} {} {fields:?}", client.url, client.id);
    Session::of(lua, "sign_upstream")?.object(identity.clone(), text(&()));
    let step = Rc::new(Step { client, identity, fields, header });
    let fetching = Rc::clone(&step);
    let sign = wait::strict(lua, "sign_upstream", move |lua, (req, last): (Value, Option<bool>)| {
        let (context, exchange) = (Context::of(lua), exchange(lua, &req)?);
        let grant = step.grant(&context)?;
        let (field, turn) = grant.look(exchange.worker.clock.now());
        if let Some(turn) = turn {
            step.fetch(&exchange, turn);
        }
        match field {
            Some(field) => {
                exchange.request.borrow_mut().headers.set(&step.header, field.as_bytes());
                Ok(true)
            }
            None if last.unwrap_or(false) || !grant.state.lock().fetching => {
                let failure = Failure::new(Code::SignUpstream, "the service cannot be asked for now");
                wait::fail(failure.because(format!("{} gave no token", step.client.url)))
            }
            None => Ok(false),
        }
    })?;
    let fetched = wait::function(lua, "sign_upstream", move |lua, req: Value| {
        let (context, exchange) = (Context::of(lua), exchange(lua, &req)?);
        let grant = fetching.grant(&context)?;
        let mut turns = grant.turns.subscribe();
        Ok(Box::pin(async move {
            // It may have ended between the look and this.
            if grant.state.lock().fetching {
                let _ = context.clock().timeout(exchange.left().min(TIME), turns.changed()).await;
            }
            Ok(MultiValue::new())
        }))
    })?;
    Ok((sign, fetched))
}

impl Step {
    fn grant(&self, context: &Context) -> mlua::Result<Arc<Grant>> {
        let found = context.live().object::<Grant>(&self.identity, &text(&()));
        found.ok_or_else(|| mlua::Error::runtime("the credentials of this client are of another kind"))
    }

    /// On this worker, beside its requests: one that leaves takes no token from the others.
    fn fetch(self: &Rc<Self>, exchange: &Exchange, turn: Turn) {
        let (step, worker, site) = (Rc::clone(self), Rc::clone(&exchange.worker), Rc::clone(&exchange.site));
        exchange.worker.spawn(async move {
            let fields: Vec<_> = step.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let said = step.client.post(&worker, &site, &fields, TIME).await.and_then(|said| token(&said));
            turn.0.settle(said, &step.client.url, worker.clock.now());
            drop(turn);
        });
    }
}

/// RFC 6749 §5.1: the token as a field's value, and how long it lives.
fn token(said: &Json) -> Result<(Arc<str>, Duration), String> {
    let text = |name: &str| said.get(name).and_then(Json::as_str);
    let token = text("access_token").filter(|token| !token.is_empty()).ok_or("the answer has no `access_token`")?;
    if !text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("the answer's `token_type` is not Bearer".to_owned());
    }
    let field = format!("Bearer {token}");
    if !is_value(field.as_bytes()) || token.contains(char::is_whitespace) {
        return Err("the token cannot be sent as a field".to_owned());
    }
    let life = said.get("expires_in").and_then(Json::as_f64).unwrap_or(USUAL_LIFE).clamp(1.0, LONGEST_LIFE);
    Ok((field.into(), Duration::from_secs_f64(life)))
}

/// How long a fetch, and a request that waits for it, takes at most.
const TIME: Duration = Duration::from_secs(5);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
const USUAL_LIFE: f64 = 60.0;
const LONGEST_LIFE: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_token_is_used_renewed_ahead_and_never_past_its_end() {
        let clock = Clock::fake(Duration::from_secs(1_000));
        let grant = Arc::new(Grant::make(()));
        let (none, turn) = grant.look(clock.now());
        assert!(none.is_none() && turn.is_some());
        assert!(grant.look(clock.now()).1.is_none(), "one fetch for all who ask");
        grant.settle(Ok(("Bearer a".into(), Duration::from_secs(100))), "url", clock.now());
        drop(turn);
        clock.advance(Duration::from_secs(74));
        assert!(matches!(grant.look(clock.now()), (Some(_), None)));
        clock.advance(Duration::from_secs(1));
        let (field, turn) = grant.look(clock.now());
        assert!(field.is_some() && turn.is_some(), "renewed while it is still good");
        grant.settle(Err("down".into()), "url", clock.now());
        drop(turn);
        assert!(matches!(grant.look(clock.now()), (Some(_), None)), "not asked again at once");
        clock.advance(Duration::from_secs(15));
        assert!(matches!(grant.look(clock.now()), (None, Some(_))));
    }

    #[test]
    fn a_token_is_a_clean_bearer_token() {
        let told = token(&json!({ "access_token": "t", "token_type": "bearer", "expires_in": 5 })).unwrap();
        assert_eq!((&*told.0, told.1), ("Bearer t", Duration::from_secs(5)));
        for bad in [
            json!({}),
            json!({ "access_token": "" }),
            json!({ "access_token": "a b" }),
            json!({ "access_token": "a\r\nx: y" }),
            json!({ "access_token": "t", "token_type": "mac" }),
        ] {
            assert!(token(&bad).is_err(), "{bad}");
        }
    }
}
