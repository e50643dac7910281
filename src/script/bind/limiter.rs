//! `limiter "name" { "5/min" }`: a limit that functions check by key, shared by all workers, or by several gateways.

mod place;
mod verbs;

use std::cell::OnceCell;
use std::cell::RefCell;
use std::sync::Arc;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataFields;
use mlua::UserDataMethods;

use crate::primitive::limiter::Config;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::Now;
use crate::primitive::limiter::Window;
use crate::primitive::rate::Rate;
use crate::script::bind::declared::Declared;
use crate::script::bind::declared::named;
use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::bind::function;
use crate::script::bind::options::Options;
use crate::script::driver::fault;
use crate::script::live::LIMITER;
use crate::script::live::shared::Place;
use crate::script::live::shared::Shared;
pub(crate) use place::place;
pub(crate) use place::shared;
use verbs::Verb;

/// A limiter in a script's hands.
pub(crate) struct Limit {
    name: String,
    limiter: RefCell<Option<Arc<Limiter>>>,
    elsewhere: OnceCell<Option<Arc<Shared>>>,
}

/// `limiter`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let make = |lua: &Lua, (name, options): (String, Option<Table>)| {
        named("limiter", &name)?;
        Declared::mention(lua, "limiter", &name)?;
        if let Some(options) = options {
            Declared::told(lua, "limiter", &name, declare(lua, &name, &options))?;
        }
        lua.create_userdata(Limit { name, limiter: RefCell::default(), elsewhere: OnceCell::new() })
    };
    words.set("limiter", function(lua, "limiter", make)?)
}

fn declare(lua: &Lua, name: &str, table: &Table) -> mlua::Result<()> {
    let names = ["burst", "window", "keys", "store", "sync", "on_store_error"];
    let options = Options::read(lua, format!("limiter `{name}`"), Some(table), &names)?;
    let mut rates = Vec::new();
    for rate in table.sequence_values::<String>() {
        let rate =
            rate.map_err(|_| mlua::Error::runtime(format!("limiter `{name}`: a rate is text, as in \"5/min\"")))?;
        let rate = Rate::parse(&rate).map_err(|fault| mlua::Error::runtime(format!("limiter `{name}`: {fault}")))?;
        rates.push(rate);
    }
    if rates.is_empty() || rates.len() > MOST_RATES {
        let message = format!("limiter `{name}` needs 1 to {MOST_RATES} rates, as in {{ \"5/min\" }}");
        return Err(mlua::Error::runtime(message));
    }
    let window = match options.text("window")?.as_deref() {
        None | Some("bucket") => Window::Bucket,
        Some("sliding") => Window::Sliding,
        Some("fixed") => Window::Fixed,
        Some("calendar") => Window::Calendar,
        Some(other) => {
            let fault = format!("\"bucket\", \"sliding\", \"fixed\" or \"calendar\" expected, got \"{other}\"");
            return Err(options.wrong("window", &fault));
        }
    };
    let burst = options.int("burst", 1, 1 << 40)?.and_then(|burst| u64::try_from(burst).ok());
    if burst.is_some() && window != Window::Bucket {
        return Err(options.wrong("burst", &"only with window = \"bucket\""));
    }
    let keys = options.int("keys", 1, 10_000_000)?.and_then(|keys| usize::try_from(keys).ok()).unwrap_or(KEYS);
    let config = Config { rates, window, burst, keys };
    let place = place(lua, "limiter", Some(name), table)
        .map_err(|error| mlua::Error::runtime(format!("limiter `{name}`: {}", fault::message(&error))))?;
    Declared::declare(lua, "limiter", name, text(&config))?;
    match place {
        Some(place) => Declared::declare(lua, PLACE, name, text(&place)),
        None => Ok(()),
    }
}

impl Limit {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The limiter itself, which policies share.
    pub(crate) fn shared(&self, lua: &Lua) -> mlua::Result<Arc<Limiter>> {
        if let Some(limiter) = &*self.limiter.borrow() {
            return Ok(Arc::clone(limiter));
        }
        self.open(lua).map(|(limiter, _)| limiter)
    }

    /// The limiter itself, and the time.
    fn open(&self, lua: &Lua) -> mlua::Result<(Arc<Limiter>, Now)> {
        let context = running(lua, &format!("limiter `{}`", self.name))?;
        let now = Now::of(context.clock());
        if let Some(limiter) = &*self.limiter.borrow() {
            return Ok((Arc::clone(limiter), now));
        }
        let identity = format!("{LIMITER}{}", self.name);
        let config = Declared::of(lua).config::<Config>(&identity);
        let config = config.ok_or_else(|| {
            mlua::Error::runtime(format!("limiter `{0}` has no rate; write limiter \"{0}\" {{ \"5/min\" }}", self.name))
        })?;
        let limiter = context.live().limiter(&identity, &config);
        *self.limiter.borrow_mut() = Some(Arc::clone(&limiter));
        Ok((limiter, now))
    }

    /// Where it is counted, as far as the file has said so yet; `None`: here.
    pub(crate) fn place(&self, lua: &Lua) -> Option<Place> {
        Declared::of(lua).config(&format!("{PLACE}:{}", self.name))
    }

    /// The way to its counters, when they are not here.
    fn elsewhere(&self, lua: &Lua) -> mlua::Result<Option<Arc<Shared>>> {
        if let Some(known) = self.elsewhere.get() {
            return Ok(known.clone());
        }
        let identity = format!("{LIMITER}{}", self.name);
        let found = shared(lua, &identity, self.place(lua).as_ref())?;
        Ok(self.elsewhere.get_or_init(|| found).clone())
    }
}

impl UserData for Limit {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        // They may wait, which methods of userdata cannot.
        for verb in Verb::ALL {
            fields.add_field(verb.name(), verb);
        }
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, (limit, options): (AnyUserData, Table)| {
            let name = limit.borrow::<Self>()?.name.clone();
            Declared::told(lua, "limiter", &name, declare(lua, &name, &options))?;
            Ok(limit)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, limit, ()| Ok(format!("limiter `{}`", limit.name)));
    }
}

/// Before the name in the identity of where a limiter is counted.
const PLACE: &str = "limiter store";
const MOST_RATES: usize = 8;
/// Keys a limiter remembers unless told otherwise.
const KEYS: usize = 100_000;

#[cfg(test)]
mod tests;
