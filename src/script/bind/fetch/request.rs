//! What a fetch asks: target, method, fields and body, checked so that no value becomes more than a value.

use std::time::Duration;

use bytes::Bytes;
use mlua::FromLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::percent_encode;

use crate::http::Headers;
use crate::http::Method;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::bind::form;
use crate::script::bind::json;
use crate::script::bind::options::Options;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::Text;
use crate::script::bind::text::kind;
use crate::script::driver::fault;
use crate::script::secret;
use crate::transform::headers::check_name;

/// A request ready to be sent.
pub(super) struct Ask {
    /// `users/7?x=1` or a URL.
    pub(super) target: String,
    pub(super) method: Method,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    /// Redirects followed at most.
    pub(super) redirects: u32,
}

const NAMES: [&str; 10] =
    ["method", "headers", "query", "json", "form", "body", "timeout", "retry", "redirects", "cache"];

impl Ask {
    /// Reads `fetch(target, options)`.
    pub(super) fn read(lua: &Lua, target: &Text, options: Option<&Table>) -> mlua::Result<Self> {
        let options = Options::read(lua, "fetch".to_owned(), options, &NAMES)?;
        if options.value("cache")?.is_some() {
            return Err(options.wrong("cache", &"not in this version"));
        }
        let mut headers = Headers::default();
        if let Some(table) = options.table("headers")? {
            fields(lua, &mut headers, &table)?;
        }
        let body = body(lua, &options, &mut headers)?;
        let method = match options.text("method")? {
            Some(method) => named(&method, &options)?,
            None if body.is_some() => Method::Post,
            None => Method::Get,
        };
        let retries = options.int("retry", 0, 10)?.and_then(|times| u32::try_from(times).ok());
        let redirects = options.int("redirects", 0, 20)?.and_then(|most| u32::try_from(most).ok());
        Ok(Self {
            target: address(lua, target, options.table("query")?.as_ref())?,
            method,
            headers,
            body: body.unwrap_or_default(),
            timeout: options.duration("timeout")?,
            retries,
            redirects: redirects.unwrap_or(0),
        })
    }
}

fn named(method: &str, options: &Options<'_>) -> mlua::Result<Method> {
    match Method::of(method) {
        Method::Connect | Method::Trace => Err(options.wrong("method", &format!("{method} is not spoken"))),
        method if is_name(method.as_str().as_bytes()) => Ok(method),
        _ => Err(options.wrong("method", &"a method such as GET expected")),
    }
}

/// The target with its query; what may not stand in one is escaped.
fn address(lua: &Lua, target: &Text, query: Option<&Table>) -> mlua::Result<String> {
    target.within("fetch: the target", 64 << 10)?;
    let bytes = target.bytes();
    sendable(lua, target)?;
    let mut address = percent_encode(&bytes, UNSAFE).to_string();
    if let Some(end) = address.find('#') {
        address.truncate(end);
    }
    if let Some(query) = query {
        let query = form::encode(lua, query)?;
        if !query.is_empty() {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(&query);
        }
    }
    Ok(address)
}

/// What a request line cannot hold, or may be read in two ways.
const UNSAFE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

fn fields(lua: &Lua, headers: &mut Headers, table: &Table) -> mlua::Result<()> {
    let mut all = table.pairs::<String, Value>().collect::<mlua::Result<Vec<_>>>()?;
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, value) in all {
        let own = name.eq_ignore_ascii_case("host");
        if !own && let Err(fault) = check_name(&name) {
            return Err(mlua::Error::runtime(format!("fetch: {fault}")));
        }
        match value {
            Value::Table(values) => {
                for value in values.sequence_values::<Text>() {
                    field(lua, headers, &name, &value?)?;
                }
            }
            value => field(lua, headers, &name, &Text::from_lua(value, lua)?)?,
        }
    }
    Ok(())
}

fn field(lua: &Lua, headers: &mut Headers, name: &str, value: &Text) -> mlua::Result<()> {
    sendable(lua, value)?;
    let bytes = value.bytes();
    if !is_value(&bytes) || bytes.len() > 64 << 10 {
        let detail = "a value with control characters would have become a header";
        return Err(fault::raise(Failure::new(Code::HeaderUnsafe, detail).because(format!("fetch: header `{name}`"))));
    }
    headers.add(name, &*bytes);
    Ok(())
}

/// One of `json`, `form`, `body`, with its media type.
fn body(lua: &Lua, options: &Options<'_>, headers: &mut Headers) -> mlua::Result<Option<Bytes>> {
    let mut found: Option<(Bytes, &str)> = None;
    for name in ["json", "form", "body"] {
        let Some(value) = options.value(name)? else { continue };
        if found.is_some() {
            return Err(mlua::Error::runtime("fetch: write one of json, form and body"));
        }
        found = Some(match (name, value) {
            ("json", value) => {
                let text = json::encode(&value).map_err(|fault| options.wrong(name, &fault))?;
                (text.into(), "application/json")
            }
            ("form", Value::Table(table)) => (form::encode(lua, &table)?.into(), "application/x-www-form-urlencoded"),
            ("form", other) => {
                return Err(options.wrong(name, &format!("a table expected, got {}", kind(&other))));
            }
            (_, value) => {
                let text = Text::from_lua(value, lua).map_err(|error| options.wrong(name, &error))?;
                text.within("fetch: the body", LARGEST)?;
                sendable(lua, &text)?;
                (Bytes::copy_from_slice(&text.bytes()), "")
            }
        });
    }
    let Some((bytes, media)) = found else { return Ok(None) };
    if let Some(mark) = secret::leaked(lua, &bytes) {
        return Err(turned_to_text(&mark));
    }
    if !media.is_empty() && !headers.has("content-type") {
        headers.set("content-type", media);
    }
    Ok(Some(bytes))
}

/// A secret that was turned to text by interpolation would be sent as its mark: the script's mistake.
fn sendable(lua: &Lua, text: &Text) -> mlua::Result<()> {
    match text {
        Text::Plain(plain) => match secret::leaked(lua, &plain.as_bytes()) {
            Some(mark) => Err(turned_to_text(&mark)),
            None => Ok(()),
        },
        Text::Secret(_) => Ok(()),
    }
}

fn turned_to_text(mark: &str) -> mlua::Error {
    mlua::Error::runtime(format!("fetch: {mark} was turned to text; join secrets with `..`"))
}
