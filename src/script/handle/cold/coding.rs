//! Bodies without their content coding, and headers that no longer fit a body that was changed.

use bytes::Bytes;

use super::Subject;
use super::over;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::driver::fault;
use crate::transform::encoding;

/// What a body's fate is to its reader: the client's own, or a service's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Subject {
    pub(super) fn side(&self) -> Side {
        match self {
            Self::Request(_) => Side::Request,
            Self::Response(_) => Side::Response,
        }
    }

    /// Takes the body away, leaving something that nobody takes for the body.
    pub(super) fn take_body(&self) -> mlua::Result<Body> {
        self.swap_body(Body::stream(Away))
    }

    pub(super) fn put_body(&self, body: Body) {
        // A response that is over needs no body.
        drop(self.swap_body(body));
    }

    fn swap_body(&self, body: Body) -> mlua::Result<Body> {
        match self {
            Self::Request(exchange) => Ok(std::mem::replace(&mut exchange.request.borrow_mut().body, body)),
            Self::Response(held) => held.edit(|response| std::mem::replace(&mut response.body, body)).ok_or_else(over),
        }
    }

    pub(super) fn with_headers<T>(&self, edit: impl FnOnce(&mut Headers) -> T) -> mlua::Result<T> {
        match self {
            Self::Request(exchange) => Ok(edit(&mut exchange.request.borrow_mut().headers)),
            Self::Response(held) => held.edit(|response| edit(&mut response.headers)).ok_or_else(over),
        }
    }

    /// The codings the body has, `None` when it has none.
    pub(super) fn coding(&self) -> mlua::Result<Option<String>> {
        self.with_headers(|headers| {
            let field =
                headers.joined("content-encoding").map(|field| String::from_utf8_lossy(&field).trim().to_owned());
            field.filter(|field| !field.is_empty() && !field.eq_ignore_ascii_case("identity"))
        })
    }

    /// Whether the other side forbids changes (`Cache-Control: no-transform`).
    pub(super) fn is_fixed(&self) -> bool {
        self.with_headers(|headers| {
            let field = headers.joined("cache-control").map(|field| field.to_ascii_lowercase());
            field.is_some_and(|field| field.windows(12).any(|part| part == b"no-transform"))
        })
        .unwrap_or(false)
    }
}

/// Reads the whole body, bounded, and leaves it in memory as it came; what is returned is decoded.
pub(super) async fn whole(subject: &Subject, limit: usize) -> mlua::Result<Bytes> {
    let side = subject.side();
    let mut body = subject.take_body()?;
    let bytes = match body.collect(limit).await {
        Ok(bytes) => bytes,
        Err(error) => return Err(broken(side, error)),
    };
    subject.put_body(bytes.clone().into());
    match subject.coding()? {
        None => Ok(bytes),
        Some(field) => {
            let mut body = decoded(side, bytes.into(), &field, limit as u64)?;
            body.collect(limit).await.map_err(|error| broken(side, error))
        }
    }
}

/// `body` without its coding.
pub(super) fn decoded(side: Side, body: Body, field: &str, output: u64) -> mlua::Result<Body> {
    let limits = encoding::Limits { output, ..encoding::Limits::default() };
    encoding::decode(body, field, limits).map_err(|fault| {
        let code = if side == Side::Request { Code::BodyBadEncoding } else { Code::UpstreamProtocol };
        fault::raise(
            Failure::new(code, "the body has a content coding that cannot be decoded").because(fault.to_string()),
        )
    })
}

/// The failure of a body that broke off.
pub(super) fn broken(side: Side, error: BodyError) -> mlua::Error {
    let (code, detail) = match (side, error) {
        (Side::Request, BodyError::TooLarge) => (Code::BodyTooLarge, "the body is larger than allowed"),
        (_, BodyError::Request) | (Side::Request, BodyError::Cut) => (Code::ClientGone, "the body ended early"),
        (Side::Request, BodyError::Malformed) => (Code::RequestMalformed, "the body's framing is malformed"),
        (Side::Request, BodyError::Stalled) => (Code::RequestTimeout, "the body did not arrive in time"),
        (Side::Request, BodyError::Coding) => (Code::BodyBadEncoding, "the body's content coding is corrupt"),
        (Side::Response, BodyError::TooLarge) => (Code::UpstreamTooLarge, "the service's answer is too large"),
        (Side::Response, BodyError::Cut) => (Code::UpstreamReset, "the service's answer was cut off"),
        (Side::Response, BodyError::Stalled) => (Code::UpstreamIdle, "the service's answer did not arrive in time"),
        (Side::Response, BodyError::Malformed | BodyError::Coding) => {
            (Code::UpstreamProtocol, "the service's answer is corrupt")
        }
        (_, BodyError::Script) => return mlua::Error::runtime("the body was read already, or is being read"),
    };
    fault::raise(Failure::new(code, detail).because(error.to_string()))
}

/// Drops what described the body that was (STANDARDS S-12).
pub(super) fn forget_body(headers: &mut Headers) {
    const STALE: [&str; 10] = [
        "content-encoding",
        "content-length",
        "etag",
        "last-modified",
        "content-md5",
        "digest",
        "content-digest",
        "repr-digest",
        "accept-ranges",
        "content-range",
    ];
    for name in STALE {
        headers.remove(name);
    }
}

/// Stands where a body was while somebody reads it.
struct Away;

impl Source for Away {
    fn poll_fill(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<&[u8], BodyError>> {
        std::task::Poll::Ready(Err(BodyError::Script))
    }

    fn consume(&mut self, _: usize) {}
}
