//! `cookie`: reading a `Cookie` field, writing a `Set-Cookie` field.

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::primitive::cookie;
use crate::primitive::cookie::SameSite;
use crate::primitive::cookie::SetCookie;
use crate::script::bind::function;
use crate::script::bind::options::Options;
use crate::script::bind::text::Text;

/// `cookie`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let table = lua.create_table()?;
    table.set("parse", function(lua, "cookie.parse", parse)?)?;
    table.set("format", function(lua, "cookie.format", format)?)?;
    words.set("cookie", table)
}

/// The first value of each name.
fn parse(lua: &Lua, text: Option<Text>) -> mlua::Result<Table> {
    let cookies = lua.create_table()?;
    let Some(text) = text else { return Ok(cookies) };
    text.within("cookie.parse", 64 << 10)?;
    for (name, value) in cookie::parse(&text.utf8("cookie.parse")?) {
        if !cookies.contains_key(name)? {
            cookies.raw_set(name, value)?;
        }
    }
    Ok(cookies)
}

fn format(lua: &Lua, (name, value, options): (String, Text, Option<Table>)) -> mlua::Result<Value> {
    value.within("cookie.format", 64 << 10)?;
    let field = set_cookie(lua, name, value.utf8("cookie.format")?, options.as_ref())?.encode();
    let field = field.map_err(|fault| mlua::Error::runtime(format!("cookie.format: {fault}")))?;
    value.like(lua, field.into_bytes())
}

/// A cookie with the options that `cookie.format` and `cookies = { … }` of an answer take.
pub(crate) fn set_cookie(lua: &Lua, name: String, value: String, options: Option<&Table>) -> mlua::Result<SetCookie> {
    let options = Options::read(lua, format!("cookie `{name}`"), options, &NAMES)?;
    let same_site = match options.text("same_site")? {
        Some(text) => Some(SameSite::named(&text).ok_or_else(|| {
            mlua::Error::runtime(format!("`same_site` of cookie `{name}`: strict, lax or none, not `{text}`"))
        })?),
        None => None,
    };
    Ok(SetCookie {
        path: options.text("path")?,
        domain: options.text("domain")?,
        max_age: options.duration("max_age")?,
        expires: options.duration("expires")?,
        secure: options.flag("secure")?.unwrap_or(false),
        http_only: options.flag("http_only")?.unwrap_or(false),
        partitioned: options.flag("partitioned")?.unwrap_or(false),
        same_site,
        name,
        value,
    })
}

const NAMES: [&str; 8] = ["path", "domain", "max_age", "expires", "secure", "http_only", "same_site", "partitioned"];
