//! `echo:`, the built-in service: it answers with the request it got, as JSON, without a socket.

use std::task::Poll;

use serde_json::Map;
use serde_json::Value;

use crate::http::BodyError;
use crate::http::Method;
use crate::http::Response;
use crate::upstream::Outbound;
use crate::upstream::upload::Upload;

/// The most of a body that is shown; what follows is read and left out.
const SHOWN: usize = 1 << 20;

/// The answer to `outbound`.
pub(crate) async fn answer(outbound: &Outbound, upload: &mut Upload) -> Result<Response, BodyError> {
    let (body, truncated) = read(upload).await?;
    let (path, query) = outbound.target.split_once('?').unwrap_or((&outbound.target, ""));
    let mut seen = Map::new();
    seen.insert("method".into(), outbound.method.as_str().into());
    seen.insert("path".into(), path.into());
    seen.insert("query".into(), pairs(url::form_urlencoded::parse(query.as_bytes())));
    seen.insert("host".into(), outbound.host.as_deref().unwrap_or("localhost").into());
    seen.insert("headers".into(), fields(&outbound.fields));
    match String::from_utf8(body) {
        Ok(text) => seen.insert("body".into(), text.into()),
        Err(error) => {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
            seen.insert("body_base64".into(), text.into())
        }
    };
    if truncated {
        seen.insert("truncated".into(), true.into());
    }
    let mut text = serde_json::to_string_pretty(&Value::Object(seen)).unwrap_or_default();
    text.push('\n');
    let mut response = Response::with(200, "application/json", text);
    if outbound.method == Method::Head {
        response.body = crate::http::Body::Empty;
    }
    Ok(response)
}

async fn read(upload: &mut Upload) -> Result<(Vec<u8>, bool), BodyError> {
    let mut shown = Vec::new();
    let mut truncated = false;
    std::future::poll_fn(|cx| {
        loop {
            let length = match upload.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok([])) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(piece)) => {
                    let room = (SHOWN - shown.len()).min(piece.len());
                    shown.extend_from_slice(&piece[..room]);
                    truncated |= room < piece.len();
                    piece.len()
                }
            };
            upload.took(length);
        }
    })
    .await?;
    Ok((shown, truncated))
}

fn fields(lines: &[u8]) -> Value {
    let text = String::from_utf8_lossy(lines);
    let fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in fields {
        let value = value.trim();
        match all.get_mut(&name.to_ascii_lowercase()) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => {
                all.insert(name.to_ascii_lowercase(), value.into());
            }
        }
    }
    Value::Object(all)
}

/// Names with their values; a repeated name has a list.
fn pairs<'a>(pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        let value = Value::from(value.into_owned());
        match all.get_mut(&*name) {
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                all.insert(name.into_owned(), value);
            }
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests;
