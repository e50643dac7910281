//! The options of a `cache`, ready to be used.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::BUFFER;
use super::mark::Counts;
use crate::cache::Key;
use crate::cache::Space;
use crate::cache::freshness::Rules;
use crate::cache::key::Parts;
use crate::http::Method;
use crate::primitive::codec;
use crate::primitive::digest::Hash;
use crate::primitive::units;
use crate::proxy::Exchange;
use crate::proxy::user;
use crate::script::bind::declared::Declared;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::live;

/// A `cache` as declared.
pub(super) struct Policy {
    pub(super) rules: Rules,
    /// Answers above this are passed on and not stored.
    pub(super) max_size: u64,
    /// Fields of the request that answers differ by, besides what the service says.
    pub(super) vary: Vec<Box<str>>,
    methods: Vec<String>,
    /// `fn(req) → text`, in place of path and query.
    key: Option<Function>,
    /// `fn(req) → boolean`: may a client's `no-cache` reach the service.
    refresh: Refresh,
    /// `fn(req, res) → ttl?, keep?, tags?`
    decide: Option<Function>,
    space: (String, OnceCell<Arc<Space>>),
    pub(super) counts: Counts,
}

enum Refresh {
    Never,
    Always,
    Ask(Function),
}

/// Whether the content of a request is its question (RFC 10008).
pub(super) fn is_query(method: &Method) -> bool {
    method.as_str() == "QUERY"
}

/// What functions of the script say about an answer.
#[derive(Default)]
pub(super) struct Said {
    pub(super) ttl: Option<Duration>,
    pub(super) keep: Option<bool>,
    pub(super) tags: Vec<Box<str>>,
}

impl Policy {
    pub(super) fn read(lua: &Lua, options: &Table) -> mlua::Result<Self> {
        let seconds = |name: &str| options.raw_get::<Option<f64>>(name).map(|value| value.map(Duration::from_secs_f64));
        let texts = |name: &str| options.raw_get::<Option<Vec<String>>>(name).map(Option::unwrap_or_default);
        let refresh = match options.raw_get::<Value>("refresh")? {
            Value::Function(ask) => Refresh::Ask(ask),
            Value::String(word) if word == "allow" => Refresh::Always,
            _ => Refresh::Never,
        };
        let space: String = options.raw_get::<Option<String>>("space")?.unwrap_or_else(|| live::MAIN.to_owned());
        if space != live::MAIN {
            Declared::mention(lua, "space", &space)?;
        }
        Ok(Self {
            rules: Rules {
                ttl: seconds("ttl")?,
                override_answer: options.raw_get::<Option<bool>>("override")?.unwrap_or(false),
                stale: seconds("stale")?,
                stale_if_error: seconds("stale_if_error")?,
                statuses: options.raw_get::<Option<Vec<u16>>>("status")?.unwrap_or_default(),
                private: options.raw_get::<Option<bool>>("private")?.unwrap_or(false),
            },
            max_size: options.raw_get::<Option<u64>>("max_size")?.unwrap_or(1 << 20),
            vary: texts("vary")?.into_iter().map(|name| name.to_ascii_lowercase().into()).collect(),
            methods: texts("methods")?,
            key: options.raw_get("key")?,
            refresh,
            decide: options.raw_get("decide")?,
            space: (space, OnceCell::new()),
            counts: Counts::default(),
        })
    }

    /// The space its answers are in.
    pub(super) fn space(&self, lua: &Lua) -> mlua::Result<Arc<Space>> {
        let (name, space) = &self.space;
        if let Some(space) = space.get() {
            return Ok(Arc::clone(space));
        }
        let declared = Declared::of(lua).config::<u64>(&format!("{}{name}", live::SPACE));
        let found = Context::of(lua).live().space(name, declared.unwrap_or(live::MAIN_BYTES));
        Ok(Arc::clone(space.get_or_init(|| found)))
    }

    /// Whether answers to this method are stored: GET (and HEAD, which is answered from it), and QUERY when listed.
    pub(super) fn takes(&self, method: &Method) -> bool {
        let name = if *method == Method::Head { "GET" } else { method.as_str() };
        self.methods.iter().any(|listed| listed == name)
    }

    /// The primary key of a request; `None` when the script's function gave none: it is not cached.
    pub(super) fn key(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value) -> mlua::Result<Option<Key>> {
        let own = match &self.key {
            None => None,
            Some(function) => match self.ask(lua, exchange, "`key`", function, req)? {
                Value::String(text) => Some(text.to_str()?.to_owned()),
                Value::Nil | Value::Boolean(false) => return Ok(None),
                other => Some(other.to_string()?),
            },
        };
        let user = self.user(exchange);
        let buffer = BUFFER.with_borrow_mut(std::mem::take);
        let request = exchange.request.borrow();
        // The digest is one that nobody can aim at: another's question must not get this one's answer.
        let content = is_query(&request.method).then(|| {
            let field = |name| request.headers.get(name).unwrap_or_default();
            let body = request.body.at_hand().map(|body| &body[..]).unwrap_or_default();
            let whole = [field("content-type"), field("content-encoding"), body].join(&0);
            codec::hex_encode(Hash::Sha256.digest(&whole))
        });
        let parts = Parts { own: own.as_deref(), user: user.as_deref(), content: content.as_deref() };
        Ok(Some(Key::of(buffer, &request, parts)))
    }

    /// Who has answers of their own: the caller, where the policy says `private`.
    pub(super) fn user(&self, exchange: &Rc<Exchange>) -> Option<String> {
        self.rules.private.then(|| user::id(exchange)).flatten()
    }

    /// Whether a client's wish for a fresh answer may reach the service.
    pub(super) fn may_refresh(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value) -> mlua::Result<bool> {
        Ok(match &self.refresh {
            Refresh::Never => false,
            Refresh::Always => true,
            Refresh::Ask(function) => {
                !matches!(self.ask(lua, exchange, "`refresh`", function, req)?, Value::Nil | Value::Boolean(false))
            }
        })
    }

    fn ask(
        &self,
        lua: &Lua,
        exchange: &Rc<Exchange>,
        place: &'static str,
        function: &Function,
        req: &Value,
    ) -> mlua::Result<Value> {
        let context = Context::of(lua);
        let mut values =
            driver::call(&context, Some(Rc::clone(exchange)), place, function, req).map_err(fault::raise)?;
        Ok(values.pop_front().unwrap_or(Value::Nil))
    }

    /// What the script's functions say about this answer.
    pub(super) fn decide(
        &self,
        context: &Rc<Context>,
        exchange: &Rc<Exchange>,
        req: Value,
        res: &Value,
    ) -> mlua::Result<Said> {
        let Some(decide) = &self.decide else { return Ok(Said::default()) };
        let values = driver::call(context, Some(Rc::clone(exchange)), "functions of `cache`", decide, (req, res))
            .map_err(fault::raise)?;
        let at = |index: usize| values.get(index).cloned().unwrap_or(Value::Nil);
        let wrong = |fault: units::UnitError| mlua::Error::runtime(fault.to_string());
        let ttl = match at(0) {
            Value::String(text) => Some(units::duration(&text.to_str()?).map_err(wrong)?),
            Value::Integer(seconds) => Some(units::seconds(seconds as f64).map_err(wrong)?),
            Value::Number(seconds) => Some(units::seconds(seconds).map_err(wrong)?),
            _ => None,
        };
        let keep = match at(1) {
            Value::Boolean(keep) => Some(keep),
            _ => None,
        };
        let mut tags: Vec<Box<str>> = Vec::new();
        if let Value::Table(list) = at(2) {
            for tag in list.sequence_values::<String>() {
                tags.push(tag?.into());
            }
        }
        Ok(Said { ttl, keep, tags })
    }
}
