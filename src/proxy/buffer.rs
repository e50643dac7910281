//! Reads a body into memory for whoever must see all of it, decoded and bounded.

use std::rc::Rc;

use crate::http::Body;
use crate::http::BodyError;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;

/// Buffers the request's body within `limits.buffer`, where it is not in memory yet. Its coding is left as it is.
pub async fn request(exchange: &Rc<Exchange>) -> Result<(), Failure> {
    let limit = exchange.site.shared.plan.gateway.limits.buffer;
    let mut body = {
        let mut request = exchange.request.borrow_mut();
        match &request.body {
            Body::Empty | Body::Full(_) => return Ok(()),
            Body::Stream(_) => std::mem::take(&mut request.body),
        }
    };
    let bytes = body.collect(limit).await.map_err(Failure::from_body)?;
    exchange.request.borrow_mut().body = bytes.into();
    Ok(())
}

impl Failure {
    /// What a client is told of its own body.
    pub fn from_body(error: BodyError) -> Self {
        let (code, detail) = match error {
            BodyError::TooLarge => (Code::BodyTooLarge, "the body is larger than allowed"),
            BodyError::Cut | BodyError::Request => (Code::ClientGone, "the body ended early"),
            BodyError::Malformed => (Code::RequestMalformed, "the body's framing is malformed"),
            BodyError::Stalled => (Code::RequestTimeout, "the body did not arrive in time"),
            BodyError::Coding => (Code::BodyBadEncoding, "the body's content coding is corrupt"),
            BodyError::Script => (Code::ScriptError, "the request could not be processed"),
        };
        Self::new(code, detail).because(error.to_string())
    }
}
