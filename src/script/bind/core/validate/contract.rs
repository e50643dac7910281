//! `validate { openapi = "api.yaml" }`: a document says what requests and answers must be.

use std::rc::Rc;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::params::Reads;
use super::params::text_of;
use super::refusal;
use crate::http::headers::Known;
use crate::http::message::Origin;
use crate::primitive::cookie;
use crate::primitive::openapi::Facts;
use crate::primitive::openapi::Refusal;
use crate::primitive::validate::Fault;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::core::exchange;
use crate::script::bind::core::validate::answers::told;
use crate::script::bind::openapi;
use crate::script::bind::openapi::Document;
use crate::script::bind::openapi::Fault as Unread;
use crate::script::context::Context;
use crate::script::declare::Session;
use crate::script::declare::read;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::handle::Held;
use crate::script::wait;
use crate::script::wait::Waiting;

/// Options that say what the document says already.
const OWN: [&str; 6] = ["path", "query", "headers", "cookies", "body", "content_type"];

/// The check of requests, which returns the operation's place, and that of answers.
pub(super) fn validate(lua: &Lua, options: &Table) -> mlua::Result<(Option<Function>, Option<Function>)> {
    if let Some(name) = OWN.iter().find(|name| options.contains_key(**name).unwrap_or(false)) {
        let said = format!("`{name}` beside `openapi`, which says so already; write a second `validate` for more");
        return Err(mlua::Error::runtime(said));
    }
    let source: Value = options.raw_get("openapi")?;
    let document = Rc::new(read_document(lua, &source)?);
    let answers = match options.raw_get::<Value>("response")? {
        Value::Nil => None,
        Value::String(mode) if mode == "reject" => Some(false),
        Value::String(mode) if mode == "log" => Some(true),
        _ => return Err(mlua::Error::runtime("with `openapi`, `response` is \"reject\" or \"log\"")),
    };
    let own = Rc::clone(&document);
    let request = wait::prompt(lua, "validate", move |lua, req: Value| {
        let (exchange, most) = (exchange(lua, &req)?, Context::of(lua).limits().buffer);
        let (operation, reads) = head(&own, &exchange).map_err(fault::raise)?;
        let (own, lua) = (Rc::clone(&own), lua.clone());
        let checking: Waiting = Box::pin(async move {
            body(&own, operation, &exchange, most).await?;
            reads.apply(&exchange);
            // What a step returns is an answer: only a check of answers asks which operation it was.
            if answers.is_some() { operation.into_lua_multi(&lua) } else { Ok(MultiValue::new()) }
        });
        Ok(checking)
    })?;
    let Some(logs) = answers else { return Ok((Some(request), None)) };
    document.api.prepare_answers().map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    let checked = wait::prompt(lua, "validate", move |lua, (req, res, operation): (Value, Value, usize)| {
        let (exchange, most) = (exchange(lua, &req)?, Context::of(lua).limits().buffer);
        let held = handle::held(lua, &res).ok_or_else(|| mlua::Error::runtime("a response is expected"))?;
        let document = Rc::clone(&document);
        Ok(Box::pin(async move {
            match answer(&document, operation, &held, most).await? {
                Some(faults) => told(&exchange, &held, logs, &faults),
                None => Ok(MultiValue::new()),
            }
        }))
    })?;
    Ok((Some(request), Some(checked)))
}

fn read_document(lua: &Lua, source: &Value) -> mlua::Result<Document> {
    if let Some(document) = Document::of(source) {
        return Ok(document);
    }
    let Value::String(name) = source else {
        return Err(mlua::Error::runtime("`openapi` is the name of a file: openapi = \"api.yaml\""));
    };
    let name = name.to_string_lossy();
    let api = openapi::compile(&name, &Session::of(lua, "validate")?.files).map_err(|fault| match fault {
        Unread::File(said) | Unread::Document(said) => mlua::Error::runtime(said),
    })?;
    Ok(Document { name: name.into(), api, operation: None })
}

/// Everything but the body's content.
fn head(document: &Document, exchange: &Exchange) -> Result<(usize, Reads), Failure> {
    let request = exchange.request.borrow();
    let (operation, found) = match document.operation {
        Some(operation) => (operation, None),
        None => match document.api.find(request.method.as_str(), &request.path) {
            Ok((operation, params)) => (operation, Some(params)),
            Err(methods) if methods.is_empty() => {
                return Err(Failure::new(Code::RouteNone, "the API has no such path"));
            }
            Err(methods) => {
                let failure = Failure::new(Code::RouteMethod, "the API has no such method on this path");
                return Err(failure.header("allow", methods.join(", ")));
            }
        },
    };
    let path = |name: &str| match &found {
        Some(params) => params.iter().find(|param| param.0 == name).map(|param| param.1.clone()),
        None => exchange.params.borrow().get(name).map(|param| text_of(param).into_owned()),
    };
    let header = |name: &str| request.headers.joined(name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let cookie = |name: &str| {
        let fields = request.headers.known(Known::Cookie).filter_map(|field| std::str::from_utf8(field).ok());
        fields.flat_map(cookie::parse).find(|pair| pair.0 == name).map(|pair| pair.1.to_owned())
    };
    let query = request.query.as_deref().unwrap_or_default();
    let facts = Facts { path: &path, query, header: &header, cookie: &cookie };
    let given = document.api.params(operation, &facts).map_err(|faults| refusal(Code::ValidateParams, faults))?;
    if request.body.left() != Some(0) {
        let media = handle::media_type(&request.headers).unwrap_or_default();
        document.api.takes(operation, &media).map_err(refused)?;
    } else if document.api.needs_body(operation) {
        return Err(missing());
    }
    Ok((operation, Reads::of(given)))
}

async fn body(document: &Document, operation: usize, exchange: &Rc<Exchange>, most: usize) -> mlua::Result<()> {
    let media = {
        let request = exchange.request.borrow();
        if request.body.left() == Some(0) {
            return Ok(());
        }
        handle::media_type(&request.headers).unwrap_or_default()
    };
    if media.contains(',') {
        return Err(fault::raise(Failure::new(Code::ValidateType, "the body must be of one type")));
    }
    if !document.api.takes(operation, &media).map_err(|refusal| fault::raise(refused(refusal)))? {
        return Ok(());
    }
    let text = handle::request_body(exchange, most).await?;
    if text.is_empty() {
        return if document.api.needs_body(operation) { Err(fault::raise(missing())) } else { Ok(()) };
    }
    let field = exchange.request.borrow().headers.text("content-type").map(str::to_owned).unwrap_or_default();
    let filled = document.api.body(operation, &field, &text).map_err(|refusal| fault::raise(refused(refusal)))?;
    if let Some(filled) = filled {
        handle::replace_body(exchange, filled.into());
    }
    Ok(())
}

fn missing() -> Failure {
    refusal(Code::ValidateBody, vec![Fault { pointer: String::new(), message: "is missing".into() }])
}

fn refused(found: Refusal) -> Failure {
    match found {
        Refusal::Type(accepted) => {
            Failure::new(Code::ValidateType, format!("the body must be {accepted}")).header("accept", accepted)
        }
        Refusal::Syntax(said) => Failure::new(Code::BodyBadJson, format!("the body is no JSON: {said}")),
        Refusal::Form(said) => Failure::new(Code::BodyBadForm, said),
        Refusal::Faults(faults) => refusal(Code::ValidateBody, faults),
    }
}

/// What is wrong with an answer.
async fn answer(document: &Document, operation: usize, held: &Rc<Held>, most: usize) -> mlua::Result<Option<String>> {
    let head = held.read(|response| {
        let media = handle::media_type(&response.headers).unwrap_or_default();
        let field = response.headers.text("content-type").map(str::to_owned).unwrap_or_default();
        let empty = response.body.left() == Some(0);
        (response.status, (media, field), empty, response.origin == Origin::Error || response.status < 200)
    });
    let Some((status, (media, field), empty, false)) = head else { return Ok(None) };
    let checked = match document.api.answers(operation, status, &media, empty) {
        Ok(false) => return Ok(None),
        Ok(true) => {
            let text = handle::response_body(held, most).await?;
            document.api.answer(operation, status, &field, &text)
        }
        Err(refusal) => Err(refusal),
    };
    Ok(checked.err().map(|refusal| match refusal {
        Refusal::Type(accepted) => format!("`{media}` is none of {accepted}"),
        Refusal::Syntax(said) | Refusal::Form(said) => said,
        Refusal::Faults(faults) => {
            let faults = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.message));
            faults.collect::<Vec<_>>().join("; ")
        }
    }))
}
