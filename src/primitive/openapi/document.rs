//! From the document's text to operations.

use std::collections::HashMap;

use serde_json::Value;

use super::Answer;
use super::Body;
use super::OpenapiError;
use super::Operation;
use super::media::Content;
use super::param::Param;
use super::spot::Spot;

/// Methods that an operation may have.
pub(crate) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Every operation, in the order of the document.
pub(super) fn operations(document: &Value) -> Result<Vec<Operation>, OpenapiError> {
    version(document)?;
    let root = Spot::root(document);
    let (mut operations, mut ids) = (Vec::new(), HashMap::new());
    for (path, item) in root.get("paths").members()? {
        if path.starts_with("x-") {
            continue;
        }
        if !path.starts_with('/') {
            return Err(OpenapiError(format!("the path `{path}` does not begin with `/`")));
        }
        let shared = item.get("parameters").items()?;
        for method in METHODS {
            let spot = item.get(method);
            if !spot.is_there() {
                continue;
            }
            let operation = operation(&root, path, method, &spot, &shared)?;
            if operation.named
                && let Some(twin) = ids.insert(operation.id.clone(), spot.pointer.clone())
            {
                let said = format!("two operations are named `{}`: at {twin} and {}", operation.id, spot.pointer);
                return Err(OpenapiError(said));
            }
            operations.push(operation);
        }
    }
    Ok(operations)
}

fn version(document: &Value) -> Result<(), OpenapiError> {
    match document["openapi"].as_str() {
        Some(version) if version.starts_with("3.0") || version.starts_with("3.1") => Ok(()),
        Some(version) => Err(OpenapiError(format!("OpenAPI {version} is not read; 3.0 and 3.1 are"))),
        None if document.get("swagger").is_some() => {
            Err(OpenapiError("Swagger 2.0 is not read; convert it to OpenAPI 3.0 or 3.1".into()))
        }
        None => Err(OpenapiError("this is no OpenAPI document: it has no `openapi = \"3.…\"`".into())),
    }
}

/// Whether schemas are those of 3.0.
pub(super) fn is_old(document: &Value) -> bool {
    document["openapi"].as_str().is_some_and(|version| version.starts_with("3.0"))
}

fn operation(
    root: &Spot<'_>,
    path: &str,
    method: &str,
    spot: &Spot<'_>,
    shared: &[Spot<'_>],
) -> Result<Operation, OpenapiError> {
    let own = spot.get("parameters").items()?;
    let same = |a: &Spot<'_>, b: &Spot<'_>| a.text("name") == b.text("name") && a.text("in") == b.text("in");
    let inherited = shared.iter().filter(|shared| !own.iter().any(|own| same(own, shared)));
    let mut params = Vec::new();
    for param in inherited.chain(&own) {
        params.extend(Param::new(param)?);
    }
    let body = spot.get("requestBody").real()?;
    let body = match body.is_there() {
        true => {
            Some(Body { required: body.flag("required") == Some(true), content: Content::new(&body.get("content"))? })
        }
        false => None,
    };
    let mut answers = Vec::new();
    for (status, answer) in spot.get("responses").members()? {
        if !status.starts_with("x-") {
            let content = Content::new(&answer.get("content"))?;
            answers.push((status.to_ascii_lowercase(), Answer { content, pointer: answer.pointer.clone() }));
        }
    }
    let method = method.to_ascii_uppercase();
    let id = spot.text("operationId").filter(|id| !id.is_empty());
    Ok(Operation {
        id: id.map_or_else(|| format!("{method} {path}"), str::to_owned),
        named: id.is_some(),
        path: route(path),
        doc: spot.text("summary").or_else(|| spot.text("description")).map(first_line),
        security: security(root, spot),
        params,
        body,
        answers,
        pointer: spot.pointer.clone(),
        method,
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// The operation's own, else the document's; an empty requirement among them lets everybody in.
fn security(root: &Spot<'_>, spot: &Spot<'_>) -> Vec<Vec<(String, Vec<String>)>> {
    let own = &spot.value["security"];
    let list = if own.is_array() { own } else { &root.value["security"] };
    let scopes =
        |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let all = |value: &Value| {
        let schemes = value.as_object().into_iter().flatten();
        schemes.map(|(name, value)| (name.clone(), scopes(value))).collect()
    };
    list.as_array().into_iter().flatten().map(all).collect()
}

/// A name that a route's parameter may have.
pub(super) fn slot(name: &str) -> String {
    let mut slot: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if slot.starts_with(|c: char| c.is_ascii_digit()) {
        slot.insert(0, '_');
    }
    slot
}

/// The path with such names.
fn route(path: &str) -> String {
    let mut pieces = path.split('{');
    let mut made = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, rest)) => made.push_str(&format!("{{{}}}{rest}", slot(name))),
            None => made.push_str(&format!("{{{piece}")),
        }
    }
    made
}

/// Paths of the servers, below which requests may come.
pub(super) fn bases(document: &Value) -> Vec<String> {
    let urls = document["servers"].as_array().into_iter().flatten().filter_map(|server| server["url"].as_str());
    let path = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = if rest.len() == url.len() { rest } else { rest.find('/').map_or("", |at| &rest[at..]) };
        let path = path.trim_end_matches('/');
        (path.starts_with('/') && !path.contains('{')).then(|| path.to_owned())
    };
    urls.filter_map(path).collect()
}
