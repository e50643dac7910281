//! Limits as written: rates, functions that choose them, shared limiters, each with whom it counts and what it costs.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Chosen;
use super::Cost;
use super::Entry;
use super::Meter;
use super::Source;
use super::counters::Counters;
use super::share;
use super::whole;
use crate::primitive::limiter::Config;
use crate::primitive::limiter::Window;
use crate::primitive::rate::Rate;
use crate::proxy::Code;
use crate::script::bind::core::by::By;
use crate::script::bind::core::object::Object;
use crate::script::bind::limiter::Limit;
use crate::script::bind::options::Options;
use crate::script::bind::text::kind;

/// The whole policy.
pub(super) fn meter(lua: &Lua, word: &str, options: &Table) -> mlua::Result<Meter> {
    let mut reader = Reader { lua, word, configs: Vec::new(), entries: Vec::new() };
    let usual = Usual::read(options, &Usual { window: window(options)?, ..Usual::default() })?;
    let name: Option<String> = options.raw_get("name")?;
    if name.as_deref().is_some_and(|name| name.is_empty() || !name.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
        return Err(wrong("`name` is printable ASCII: it stands in fields of answers"));
    }
    reader.list(options, &usual, name.as_deref())?;
    if reader.entries.is_empty() {
        return Err(wrong(format!("{word} needs a rate, as in {word} \"60/min\"")));
    }
    let shared = reader.entries.iter().any(|entry| matches!(entry.source, Source::Shared(_)));
    let calendar = shared || reader.configs.iter().any(|config| config.window == Window::Calendar);
    let file: Option<String> = options.raw_get("file")?;
    let place = share::place(lua, word, options, &reader.entries)?;
    if file.is_some() && place.is_some() {
        return Err(wrong("`file` and `store` are two places for the same counters; write one"));
    }
    let file = file.or_else(|| (word == "quota" && place.is_none()).then(String::new));
    let counters = Counters { limits: reader.configs, file, place: place.clone() };
    Ok(Meter {
        code: if word == "quota" { Code::QuotaExceeded } else { Code::RateLimitExceeded },
        object: Object::declare(lua, word, name.as_deref(), &counters)?,
        entries: reader.entries,
        name: name.map(Rc::from),
        headers: options.raw_get::<Option<bool>>("headers")?.unwrap_or(true),
        enforce: options.raw_get::<Option<bool>>("enforce")?.unwrap_or(true),
        counts: options.raw_get::<Value>("count")?.is_function(),
        calendar,
        place,
        shared: OnceCell::new(),
    })
}

/// A configuration with these rates.
pub(super) fn config(rates: &[String], window: Window, burst: Option<u64>, keys: usize) -> mlua::Result<Config> {
    let window = if burst.is_some() { Window::Bucket } else { window };
    let rates = rates.iter().map(|rate| Rate::parse(rate).map_err(wrong)).collect::<mlua::Result<_>>()?;
    Ok(Config { rates, window, burst, keys })
}

/// What entries have unless they say otherwise.
#[derive(Default)]
struct Usual {
    by: Value,
    cost: Value,
    window: Option<Window>,
    burst: Option<u64>,
    keys: usize,
}

impl Usual {
    fn read(table: &Table, usual: &Self) -> mlua::Result<Self> {
        let or = |name: &str, usual: &Value| {
            let own: Value = table.raw_get(name)?;
            Ok::<_, mlua::Error>(if own.is_nil() { usual.clone() } else { own })
        };
        let burst: Value = table.raw_get("burst")?;
        let burst = if burst.is_nil() {
            usual.burst
        } else {
            Some(whole(&burst).filter(|burst| *burst > 0).ok_or_else(|| wrong("`burst` is a whole number above 0"))?)
        };
        let window = window(table)?.or(usual.window);
        if burst.is_some() && window.is_some_and(|window| window != Window::Bucket) {
            return Err(wrong(
                "`burst` belongs to window = \"bucket\": other windows let the whole rate through at once",
            ));
        }
        let keys = table.raw_get::<Option<usize>>("keys")?.unwrap_or(usual.keys);
        Ok(Self { by: or("by", &usual.by)?, cost: or("cost", &usual.cost)?, window, burst, keys })
    }

    fn cost(&self) -> mlua::Result<Cost> {
        Ok(match &self.cost {
            Value::Nil => Cost::Fixed(1),
            Value::Function(function) => Cost::Function(function.clone()),
            other => Cost::Fixed(whole(other).ok_or_else(|| wrong("`cost` is a whole number or a function"))?),
        })
    }
}

struct Reader<'a> {
    lua: &'a Lua,
    word: &'a str,
    configs: Vec<Config>,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    /// The list part of `table`: rates are one entry together, anything else is one by itself.
    fn list(&mut self, table: &Table, usual: &Usual, name: Option<&str>) -> mlua::Result<()> {
        let values: Vec<Value> = (1..=table.raw_len()).map(|at| table.raw_get(at)).collect::<mlua::Result<_>>()?;
        if values.len() > MOST {
            return Err(wrong(format!("{MOST} limits at most stand in one policy")));
        }
        let mut rates = Vec::new();
        for value in &values {
            if let Value::String(text) = value {
                rates.push(text.to_string_lossy());
                continue;
            }
            self.rates(&mut rates, usual, name)?;
            match value {
                Value::Function(function) => {
                    let chosen = Chosen {
                        function: function.clone(),
                        window: usual.window.unwrap_or(Window::Sliding),
                        keys: keys(usual),
                        known: RefCell::new(HashMap::new()),
                    };
                    // The counters stand ready for one rate, whichever it will be.
                    let place = self.own(config(&["1/s".to_owned()], chosen.window, usual.burst, keys(usual))?);
                    self.push(Source::Chosen(place, chosen), usual, Vec::new())?;
                }
                Value::UserData(limit) if limit.is::<Limit>() => self.shared(limit, usual)?,
                Value::Table(entry) => {
                    let names = ["by", "cost", "window", "burst", "keys"];
                    Options::read(self.lua, format!("a limit of `{}`", self.word), Some(entry), &names)?;
                    let before = self.entries.len();
                    self.list(entry, &Usual::read(entry, usual)?, name)?;
                    if self.entries.len() == before {
                        return Err(wrong("a limit in a table begins with its rate, as in { \"5/s\", by = \"user\" }"));
                    }
                }
                other => {
                    let said = format!("a rate, a function or a limiter expected, got {}", kind(other));
                    return Err(wrong(said));
                }
            }
        }
        self.rates(&mut rates, usual, name)
    }

    fn rates(&mut self, rates: &mut Vec<String>, usual: &Usual, name: Option<&str>) -> mlua::Result<()> {
        if rates.is_empty() {
            return Ok(());
        }
        let config = config(rates, usual.window.unwrap_or(Window::Sliding), usual.burst, keys(usual))?;
        let by = By::read(&usual.by)?.shown();
        let several = rates.len() > 1 || !self.entries.is_empty();
        let names = config.rates.iter().map(|rate| match name {
            Some(name) if several => format!("{name} {rate}{by}").into(),
            Some(name) => name.into(),
            None => format!("{rate}{by}").into(),
        });
        let names = names.collect();
        rates.clear();
        let place = self.own(config);
        self.push(Source::Own(place), usual, names)
    }

    fn shared(&mut self, limit: &AnyUserData, usual: &Usual) -> mlua::Result<()> {
        if usual.window.is_some() || usual.burst.is_some() {
            return Err(wrong("`window` and `burst` are said where the limiter is declared"));
        }
        let name = limit.borrow::<Limit>()?.name().into();
        self.push(Source::Shared(limit.clone()), usual, vec![name])
    }

    fn own(&mut self, config: Config) -> usize {
        self.configs.push(config);
        self.configs.len() - 1
    }

    fn push(&mut self, source: Source, usual: &Usual, names: Vec<Rc<str>>) -> mlua::Result<()> {
        self.entries.push(Entry { source, by: By::read(&usual.by)?, cost: usual.cost()?, names });
        Ok(())
    }
}

fn keys(usual: &Usual) -> usize {
    if usual.keys == 0 { Config::default().keys } else { usual.keys }
}

fn window(table: &Table) -> mlua::Result<Option<Window>> {
    Ok(match table.raw_get::<Option<String>>("window")?.as_deref() {
        None => None,
        Some("bucket") => Some(Window::Bucket),
        Some("sliding") => Some(Window::Sliding),
        Some("fixed") => Some(Window::Fixed),
        Some("calendar") => Some(Window::Calendar),
        Some(other) => {
            let said = format!("`window` is \"sliding\", \"fixed\", \"bucket\" or \"calendar\", not \"{other}\"");
            return Err(wrong(said));
        }
    })
}

pub(super) fn wrong(said: impl std::fmt::Display) -> mlua::Error {
    mlua::Error::runtime(said.to_string())
}

const MOST: usize = 16;
