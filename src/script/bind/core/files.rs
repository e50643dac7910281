//! `core.static(options)`: a function of `req` that answers with a file of a folder, or with nothing.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use percent_encoding::percent_decode_str;

use super::exchange;
use crate::clock;
use crate::http;
use crate::http::Body;
use crate::http::Method;
use crate::http::Response;
use crate::http::headers::Known;
use crate::http::media;
use crate::primitive::files::Config;
use crate::primitive::files::Found;
use crate::primitive::files::Opened;
use crate::primitive::files::Way;
use crate::primitive::files::conditions::Verdict;
use crate::primitive::time::http_date;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::respond;
use crate::route::Param;
use crate::script::bind::function;
use crate::script::context::Context;
use crate::script::handle;
use crate::script::wait;

/// What one `static` serves, and how.
struct Served {
    folder: Config,
    /// Served where there is no such file.
    fallback: Option<Way>,
    /// Where there is none: carry on instead of 404.
    pass: bool,
    cache_control: Option<String>,
}

/// `core.static`
pub(super) fn serve(lua: &Lua) -> mlua::Result<Function> {
    function(lua, "static", |lua, options: Table| {
        let served = Arc::new(read(lua, &options)?);
        wait::function(lua, "static", move |lua, req: Value| {
            let (exchange, served, lua) = (exchange(lua, &req)?, Arc::clone(&served), lua.clone());
            Ok(Box::pin(async move {
                let Some(response) = answer(&exchange, &served).await? else { return Ok(MultiValue::new()) };
                let res = handle::answered(&lua, Some(&exchange), response, None)?;
                Ok(MultiValue::from_vec(vec![res]))
            }))
        })
    })
}

fn read(lua: &Lua, options: &Table) -> mlua::Result<Served> {
    let context = Context::of(lua);
    let written: String = options.raw_get(1)?;
    let root = context.snapshot().root.join(&written);
    // Said once, where the file is checked; a folder that goes later answers 404.
    if context.worker().is_err() && !root.is_dir() {
        return Err(mlua::Error::runtime(format!("there is no folder `{written}` beside gateway.lua")));
    }
    let hidden = options.raw_get("hidden")?;
    let way = |name: String| {
        Way::of(&name, hidden).ok_or_else(|| mlua::Error::runtime(format!("`fallback`: `{name}` is not in the folder")))
    };
    Ok(Served {
        folder: Config {
            root,
            index: options.raw_get("index")?,
            hidden,
            precompressed: options.raw_get("precompressed")?,
        },
        fallback: options.raw_get::<Option<String>>("fallback")?.map(way).transpose()?,
        pass: options.raw_get::<String>("missing")? == "pass",
        cache_control: options.raw_get("cache_control")?,
    })
}

async fn answer(exchange: &Rc<Exchange>, served: &Arc<Served>) -> mlua::Result<Option<Response>> {
    let readable = matches!(exchange.request.borrow().method, Method::Get | Method::Head);
    if !readable {
        if served.pass {
            return Ok(None);
        }
        let failure = Failure::new(Code::RouteMethod, "files are read with GET and HEAD");
        return wait::fail(failure.header("Allow", "GET, HEAD"));
    }
    let way = way(exchange, served.folder.hidden);
    let accepted = exchange.request.borrow().headers.known(Known::AcceptEncoding).next().map(<[u8]>::to_vec);
    let looking = Arc::clone(served);
    let found = clock::aside(move || looking.look(way.as_ref(), accepted.as_deref())).await;
    match found.unwrap_or(Looked::Nothing) {
        Looked::File(opened, bytes) => Ok(Some(sent(exchange, served, *opened, bytes))),
        Looked::Slash => {
            let path = format!("{}/", exchange.request.borrow().path);
            Ok(Some(respond::redirect(exchange, &path)))
        }
        Looked::Nothing if served.pass => Ok(None),
        Looked::Nothing => wait::fail(Failure::new(Code::RouteNone, "there is no such file")),
    }
}

/// What the path means below the folder: the tail of the route's pattern where it has one, else all of it.
fn way(exchange: &Exchange, hidden: bool) -> Option<Way> {
    let route = exchange.route.get().map(|route| &exchange.site.shared.plan.routes[route]);
    let tail = route.and_then(|route| route.matcher.path.strip_suffix("*}")?.rsplit_once('{'));
    let request = exchange.request.borrow();
    if let Some((_, name)) = tail
        && let Some(Param::Text(tail)) = exchange.params.borrow().get(name)
    {
        // An empty tail is the folder itself, with its slash or without.
        return if tail.is_empty() { Some(Way::root(request.path.ends_with('/'))) } else { Way::of(tail, hidden) };
    }
    Way::of(&percent_decode_str(&request.path).decode_utf8().ok()?, hidden)
}

/// What was found, read already where it is small.
enum Looked {
    File(Box<Opened>, Option<Vec<u8>>),
    Slash,
    Nothing,
}

impl Served {
    /// Opens the file. Blocks.
    fn look(&self, way: Option<&Way>, accepted: Option<&[u8]>) -> Looked {
        let mut found = way.map_or(Found::Nothing, |way| self.folder.open(way, accepted));
        if let (Found::Nothing, Some(fallback)) = (&found, &self.fallback) {
            found = self.folder.open(fallback, accepted);
        }
        match found {
            Found::File(opened) => {
                let bytes = (opened.facts.length <= SMALL).then(|| whole(&opened)).flatten();
                Looked::File(opened, bytes)
            }
            Found::Slash => Looked::Slash,
            Found::Nothing => Looked::Nothing,
        }
    }
}

/// All of a small file, if it is still as long as it was.
fn whole(opened: &Opened) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    #[allow(clippy::cast_possible_truncation, reason = "it is small")]
    let mut bytes = vec![0; opened.facts.length as usize];
    opened.file.read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

fn sent(exchange: &Exchange, served: &Served, opened: Opened, bytes: Option<Vec<u8>>) -> Response {
    let facts = &opened.facts;
    let verdict = facts.judge(&exchange.request.borrow().headers);
    let mut response = Response::new(match verdict {
        Verdict::Whole => 200,
        Verdict::Part(..) => 206,
        Verdict::Unchanged => 304,
        Verdict::Failed => 412,
        Verdict::Beyond => 416,
    });
    let headers = &mut response.headers;
    if matches!(verdict, Verdict::Failed | Verdict::Beyond) {
        if verdict == Verdict::Beyond {
            headers.set("content-range", format!("bytes */{}", facts.length));
        }
        return response;
    }
    headers.set("etag", &facts.tag);
    if let Some(date) = http_date(facts.modified) {
        headers.set("last-modified", date);
    }
    if let Some(value) = &served.cache_control {
        headers.set("cache-control", value);
    }
    if served.folder.precompressed {
        headers.set("vary", "Accept-Encoding");
    }
    if verdict == Verdict::Unchanged {
        return response;
    }
    headers.set("content-type", media::of(&opened.name));
    headers.set("accept-ranges", "bytes");
    if let Some(coding) = opened.coding {
        headers.set("content-encoding", coding.as_str());
    }
    let (from, length) = match verdict {
        Verdict::Part(from, length) => (from, length),
        _ => (0, facts.length),
    };
    if matches!(verdict, Verdict::Part(..)) {
        headers.set("content-range", format!("bytes {from}-{}/{}", from + length - 1, facts.length));
    }
    #[allow(clippy::cast_possible_truncation, reason = "what is at hand is small")]
    let part = |bytes: Vec<u8>| Bytes::from(bytes).slice(from as usize..(from + length) as usize);
    response.body = match bytes {
        Some(bytes) => Body::from(part(bytes)),
        None => http::file::body(opened.file, from, length),
    };
    response
}

/// Files up to this size are read where they are opened.
const SMALL: u64 = 64 << 10;
