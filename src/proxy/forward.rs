//! Sends an exchange's request to its service and returns when the answer's head is known.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::http::Headers;
use crate::http::Method;
use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Site;
use crate::proxy::Worker;

/// What `req:forward(to, { … })` may set beside the request as it stands.
#[derive(Default)]
pub struct Override {
    /// Another upstream name or URL than the route's.
    pub to: Option<String>,
    /// Another path (with query) than the request's.
    pub path: Option<String>,
    /// Fields set on the copy that is sent.
    pub headers: Vec<(String, String)>,
    /// A shorter limit.
    pub timeout: Option<Duration>,
}

/// Forwards the exchange's request as its route says. The body streams unless it was buffered.
pub async fn forward(exchange: &Rc<Exchange>, with: Override) -> Result<Response, Failure> {
    let _ = (exchange, with);
    Err(Failure::new(crate::proxy::Code::UpstreamUnknown, "forwarding is being built"))
}

/// A request a function makes of its own accord (`fetch`).
#[derive(Default)]
pub struct Call {
    /// `catalog/products/7` (a declared upstream) or `https://…`.
    pub target: String,
    /// The method.
    pub method: Method,
    /// Fields; framing and Host are ours.
    pub headers: Headers,
    /// The whole body.
    pub body: Bytes,
    /// Total time to the answer's head; also bounded by the exchange's time left.
    pub timeout: Option<Duration>,
    /// Further attempts; `None`: the upstream's.
    pub retries: Option<u32>,
}

/// Performs `call` with the pools of this worker. A status is never a failure.
pub async fn call(worker: &Rc<Worker>, site: &Rc<Site>, call: Call) -> Result<Response, Failure> {
    let _ = (worker, site, call);
    Err(Failure::new(crate::proxy::Code::UpstreamUnknown, "forwarding is being built"))
}
