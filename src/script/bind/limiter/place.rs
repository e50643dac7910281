//! `store`, `sync` and `on_store_error` of whatever counts: where its counters are.

use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::script::bind::declared::Declared;
use crate::script::bind::declared::running;
use crate::script::bind::options;
use crate::script::bind::store;
use crate::script::bind::text::kind;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::live::STORE;
use crate::script::live::shared::OnError;
use crate::script::live::shared::Place;
use crate::script::live::shared::Shared;

/// Where the counters of a `word` with these options are; `None`: here.
pub(crate) fn place(lua: &Lua, word: &str, subject: Option<&str>, table: &Table) -> mlua::Result<Option<Place>> {
    let store = match table.raw_get("store")? {
        Value::Nil => None,
        Value::String(name) => Some(name.to_string_lossy()),
        Value::UserData(handle) if handle.is::<store::Store>() => {
            Some(handle.borrow::<store::Store>()?.name().to_owned())
        }
        other => return Err(wrong(format!("`store` is a store or its name, not a {}", kind(&other)))),
    };
    let sync: Value = table.raw_get("sync")?;
    let on_error: Option<String> = table.raw_get("on_store_error")?;
    let Some(store) = store else {
        return match (sync.is_nil(), on_error) {
            (true, None) => Ok(None),
            (false, _) => Err(wrong("`sync` brings counters together in a store; write `store` too")),
            (true, Some(_)) => Err(wrong("`on_store_error` is about a store; write `store` too")),
        };
    };
    let declared = Declared::of(lua).config::<crate::store::Config>(&format!("{STORE}{store}"));
    if declared.is_some_and(|config| config.file.is_some()) {
        let said = format!("store `{store}` is a file of this gateway; counts are kept by quota {{ file = … }}");
        return Err(wrong(format!("{said}, and shared through Redis")));
    }
    let sync = if sync.is_nil() { None } else { Some(interval(&sync)?) };
    if sync.is_some() && on_error.is_some() {
        return Err(wrong("with `sync` each gateway counts by itself anyway; `on_store_error` says nothing then"));
    }
    let on_error = match on_error.as_deref() {
        None | Some("local") => OnError::Local,
        Some("allow") => OnError::Allow,
        Some("deny") => OnError::Deny,
        Some(other) => {
            return Err(wrong(format!("`on_store_error` is \"local\", \"allow\" or \"deny\", not \"{other}\"")));
        }
    };
    let at = here(lua, word, subject);
    let at = Anchor { path: vec![Segment::Key("store".into())], spot: Spot::Value, ..at };
    Session::of(lua, word)?.stores.borrow_mut().push((store.clone(), at));
    Ok(Some(Place { store, sync, on_error }))
}

/// The way to the counters at `place`; `None`: they are here, perhaps since that store is in memory.
pub(crate) fn shared(lua: &Lua, identity: &str, place: Option<&Place>) -> mlua::Result<Option<Arc<Shared>>> {
    let Some(place) = place else { return Ok(None) };
    let context = running(lua, &format!("store `{}`", place.store))?;
    let store = store::find(lua, &context, &place.store);
    Ok(context.live().shared(identity, place, &store, &context.worker()?.metrics))
}

fn interval(value: &Value) -> mlua::Result<Duration> {
    let time = options::duration(value)?;
    if (SHORTEST..=LONGEST).contains(&time) {
        return Ok(time);
    }
    Err(wrong(format!("`sync` is from {SHORTEST:?} to one hour, not {time:?}; without it each request asks the store")))
}

fn wrong(said: impl Into<String>) -> mlua::Error {
    mlua::Error::runtime(said.into())
}

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);
