//! What is asked of an upgrade before it is passed on, and the answer where the gateway is the end (RFC 6455 §4.2).

use std::rc::Rc;

use crate::http::Headers;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::plan::Upgrade;
use crate::primitive::codec;
use crate::primitive::digest::Hash;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::site::Target;
use crate::proxy::tunnel::Place;

/// Looks at the upgrade a request asks for, if it does; `Some` is the gateway's own answer to a handshake.
pub(crate) fn look(exchange: &Rc<Exchange>, elsewhere: bool) -> Result<Option<Response>, Failure> {
    let Some(route) = exchange.route.get() else { return Ok(None) };
    // What almost every request asks for.
    let Some(terms) = &exchange.site.shared.plan.routes[route].upgrade else {
        exchange.request.borrow_mut().upgrade = None;
        return Ok(None);
    };
    let setting = &exchange.site.shared.settings[route];
    let is_end = terms.functions && matches!(setting.to, Target::Nowhere) && !elsewhere;
    let asked = exchange.request.borrow().upgrade.clone();
    let Some(protocol) = asked else { return if is_end { Err(required()) } else { Ok(None) } };
    let speaks = protocol == "websocket";
    if !speaks && terms.functions {
        if is_end {
            return Err(required());
        }
        // Nobody here could read it.
        exchange.request.borrow_mut().upgrade = None;
        return Ok(None);
    }
    if speaks && !setting.origins.is_empty() {
        check_origin(exchange)?;
    }
    let answer = if is_end { Some(accept(&exchange.request.borrow(), terms)?) } else { None };
    let place = match exchange.place.take() {
        // A repeated attempt has it already.
        Some(place) => place,
        None => Place::take(exchange, terms.connections)?,
    };
    exchange.place.set(Some(place));
    if terms.functions {
        // Frames are read here: nothing may change their meaning.
        exchange.request.borrow_mut().headers.remove("sec-websocket-extensions");
    }
    Ok(answer)
}

fn required() -> Failure {
    Failure::new(Code::WebsocketRequired, "only WebSockets are served here").header("Upgrade", "websocket")
}

/// A browser always says whose page asks; a client that says nothing is no browser, and no page can abuse it.
fn check_origin(exchange: &Exchange) -> Result<(), Failure> {
    let request = exchange.request.borrow();
    let mut given = request.headers.all("origin");
    let refused = || Failure::new(Code::WebsocketOrigin, "pages of this origin may not open a WebSocket here");
    let Some(origin) = given.next() else { return Ok(()) };
    let origin = std::str::from_utf8(origin).map_err(|_| refused())?.to_ascii_lowercase();
    let known = exchange.setting().is_some_and(|setting| setting.origins.iter().any(|glob| glob.matches(&origin)));
    if known && given.next().is_none() { Ok(()) } else { Err(refused()) }
}

/// The gateway's own 101.
fn accept(request: &Request, terms: &Upgrade) -> Result<Response, Failure> {
    let bad = |why: &str| Failure::new(Code::WebsocketHandshake, why);
    if request.method != Method::Get {
        return Err(bad("a WebSocket is opened with GET"));
    }
    if one(request, "sec-websocket-version") != Some("13") {
        return Err(bad("only version 13 is spoken here").status(426).header("Sec-WebSocket-Version", "13"));
    }
    let key =
        one(request, "sec-websocket-key").filter(|key| codec::base64_decode(key).is_ok_and(|nonce| nonce.len() == 16));
    let key = key.ok_or_else(|| bad("`Sec-WebSocket-Key` is not 16 bytes in base64"))?;
    let mut response = Response::default();
    agree(&mut response, key);
    let offered = request.headers.all("sec-websocket-protocol").filter_map(|value| std::str::from_utf8(value).ok());
    let offered: Vec<_> = offered.flat_map(|value| value.split(',')).map(str::trim).collect();
    if let Some(chosen) = terms.protocols.iter().find(|protocol| offered.contains(&protocol.as_str())) {
        response.headers.set("sec-websocket-protocol", chosen.as_str());
    }
    Ok(response)
}

/// Makes `response` the 101 that a handshake with `key` gets.
pub(crate) fn agree(response: &mut Response, key: &str) {
    response.status = 101;
    response.headers.set("upgrade", "websocket");
    response.headers.set("sec-websocket-accept", answer_to(key));
}

/// A handshake that came as an extended CONNECT becomes one of HTTP/1.1, as a service may speak that (RFC 8441 §5.1).
pub(crate) fn complete(headers: &mut Headers, chance: (u64, u64)) {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&chance.0.to_ne_bytes());
    nonce[8..].copy_from_slice(&chance.1.to_ne_bytes());
    headers.set("sec-websocket-key", codec::base64_encode(nonce));
}

/// A field that stands once.
fn one<'a>(request: &'a Request, name: &'a str) -> Option<&'a str> {
    let mut values = request.headers.all(name);
    let value = values.next()?;
    if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
}

/// What proves that the handshake was understood.
fn answer_to(key: &str) -> String {
    codec::base64_encode(Hash::Sha1.digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

/// Whether a service's 101 is one whose frames can be read here.
pub(crate) fn check_answer(exchange: &Exchange, response: &Response) -> Result<(), Failure> {
    let terms = exchange.route.get().and_then(|route| exchange.site.shared.plan.routes[route].upgrade.as_ref());
    if response.status != 101 || !terms.is_some_and(|terms| terms.functions) {
        return Ok(());
    }
    let wrong =
        |cause: &str| Failure::new(Code::UpstreamProtocol, "the service's answer breaks RFC 6455").because(cause);
    if response.headers.has("sec-websocket-extensions") {
        return Err(wrong("it answered with extensions that nobody offered"));
    }
    let request = exchange.request.borrow();
    let expected = request.headers.text("sec-websocket-key").map(answer_to);
    if response.headers.text("sec-websocket-accept").map(str::trim) != expected.as_deref() {
        return Err(wrong("its `Sec-WebSocket-Accept` does not fit the key"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::answer_to;

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        assert_eq!(answer_to("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
