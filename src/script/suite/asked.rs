//! The options of `gw:get("/path", { … })` as a request.

use std::net::IpAddr;

use bytes::Bytes;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;
use url::form_urlencoded::Serializer;

use super::Asked;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::script::bind::json;
use crate::script::bind::options::Options;
use crate::script::declare::read;

/// What may be said of a request.
const NAMES: &[&str] = &["headers", "query", "json", "form", "body", "user", "key", "ip", "host"];

/// The request that `gw:get(url, options)` sends.
pub(super) fn asked(lua: &Lua, method: &str, url: &str, table: Option<&Table>) -> mlua::Result<Asked> {
    if !url.starts_with('/') && !url.contains("://") && url != "*" {
        let said = format!("gw: a path (\"/users/7\") or a URL expected, got \"{url}\"");
        return Err(mlua::Error::runtime(said));
    }
    let mut asked = Asked { method: method.to_ascii_uppercase(), url: url.to_owned(), ..Asked::default() };
    let Some(table) = table else { return Ok(asked) };
    let options = Options::read(lua, format!("gw:{}", method.to_ascii_lowercase()), Some(table), NAMES)?;
    if let Some(fields) = options.table("headers")? {
        fields_of(&fields, &mut asked.headers)?;
    }
    if let Some(host) = options.text("host")? {
        asked.headers.push(("host".into(), host));
    }
    if let Some(query) = options.table("query")? {
        let query = pairs(&query)?;
        asked.url.push(if asked.url.contains('?') { '&' } else { '?' });
        asked.url.push_str(&query);
    }
    asked.user = options.value("user")?.map(|user| who(&user)).transpose()?;
    asked.key = options.text("key")?;
    if let Some(ip) = options.text("ip")? {
        asked.ip = Some(ip.parse::<IpAddr>().map_err(|_| options.wrong("ip", &format!("{ip} is no address")))?);
    }
    body(&options, &mut asked)?;
    Ok(asked)
}

/// A table of claims, or a name.
fn who(user: &Value) -> mlua::Result<Json> {
    let claims = json::to_json(user).map_err(|fault| mlua::Error::runtime(format!("gw: `user`: {fault}")))?;
    match claims {
        Json::Object(_) => Ok(claims),
        Json::String(name) => Ok(serde_json::json!({ "sub": name })),
        Json::Array(list) if list.is_empty() => Ok(Json::Object(serde_json::Map::new())),
        _ => Err(mlua::Error::runtime("gw: `user` is a table of claims ({ sub = \"ann\" }) or a name")),
    }
}

fn body(options: &Options<'_>, asked: &mut Asked) -> mlua::Result<()> {
    let mut media = None;
    let mut bodies = 0;
    if let Some(value) = options.value("json")? {
        let text = json::encode(&value).map_err(|fault| options.wrong("json", &fault))?;
        (asked.body, media, bodies) = (Bytes::from(text), Some("application/json"), bodies + 1);
    }
    if let Some(form) = options.table("form")? {
        let text = pairs(&form)?;
        (asked.body, media, bodies) = (Bytes::from(text), Some("application/x-www-form-urlencoded"), bodies + 1);
    }
    if let Some(text) = options.bytes("body")? {
        (asked.body, bodies) = (Bytes::from(text.bytes().to_vec()), bodies + 1);
    }
    if bodies > 1 {
        return Err(mlua::Error::runtime("gw: write one of json, form and body"));
    }
    say_media(media, &mut asked.headers);
    Ok(())
}

/// What kind a body is, unless the test has said so.
pub(super) fn say_media(media: Option<&str>, headers: &mut Vec<(String, String)>) {
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some(media) = media.filter(|_| !typed) {
        headers.push(("content-type".into(), media.into()));
    }
}

/// Names and values; a list is a name that is there several times.
pub(super) fn fields_of(table: &Table, into: &mut Vec<(String, String)>) -> mlua::Result<()> {
    for (name, value) in read::sorted(table) {
        for value in texts(&value)? {
            if !is_name(name.as_bytes()) || !is_value(value.as_bytes()) {
                return Err(mlua::Error::runtime(format!("header `{name}` has characters that no field may have")));
            }
            into.push((name.clone(), value));
        }
    }
    Ok(())
}

fn pairs(table: &Table) -> mlua::Result<String> {
    let mut all = Serializer::new(String::new());
    for (name, value) in read::sorted(table) {
        for value in texts(&value)? {
            all.append_pair(&name, &value);
        }
    }
    Ok(all.finish())
}

fn texts(value: &Value) -> mlua::Result<Vec<String>> {
    match value {
        Value::Table(list) => list.sequence_values::<Value>().map(|value| text(&value?)).collect(),
        one => Ok(vec![text(one)?]),
    }
}

fn text(value: &Value) -> mlua::Result<String> {
    match value {
        Value::Boolean(truth) => Ok(truth.to_string()),
        other => other.to_string(),
    }
}
