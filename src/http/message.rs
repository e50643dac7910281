//! A request and a response as they stand between the two sides, independent of the wire they came on.

use std::rc::Rc;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::http::Body;
use crate::http::Headers;
use crate::http::Method;

/// The protocol version spoken on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// `1.0`, `1.1` or `2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// How the client reached us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text.
    #[default]
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request on its way from a client to a service.
#[derive(Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The canonical path (STANDARDS S-10): what is matched and what is forwarded. Percent-encoded, starts with `/`.
    pub path: String,
    /// The path as received, where it is another one; see [`Request::raw_path()`].
    pub raw_path: Option<String>,
    /// The query as received, without `?`.
    pub query: Option<String>,
    /// Host and port the request was meant for (the authority), lower case.
    pub host: Rc<str>,
    /// How the client reached us.
    pub scheme: Scheme,
    /// The version the client spoke.
    pub version: Version,
    /// The header fields; framing and hop-by-hop fields are gone by the time a step sees them.
    pub headers: Headers,
    /// The protocol the client asks to change to (`websocket`), in lower case.
    pub upgrade: Option<String>,
    /// The body, read by at most one reader.
    pub body: Body,
}

impl Request {
    /// The path as received.
    pub fn raw_path(&self) -> &str {
        self.raw_path.as_ref().unwrap_or(&self.path)
    }

    /// Another path from now on: what was received is kept.
    pub fn set_path(&mut self, path: String) {
        let before = std::mem::replace(&mut self.path, path);
        self.raw_path.get_or_insert(before);
    }
}

/// Who made a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A service answered.
    Upstream,
    /// A stored answer.
    Cache,
    /// A function or policy answered.
    #[default]
    Step,
    /// A failure was turned into an answer.
    Error,
}

impl Origin {
    /// The word a script and the log use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Cache => "cache",
            Self::Step => "step",
            Self::Error => "error",
        }
    }
}

/// Bytes in both directions, HTTP no more.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A response on its way to a client.
#[derive(Default)]
pub struct Response {
    /// The status, 200..=599 (101 for an upgrade).
    pub status: u16,
    /// The header fields, without framing.
    pub headers: Headers,
    /// The body, read once.
    pub body: Body,
    /// Who made it.
    pub origin: Origin,
    /// The upstream's name, when a service answered.
    pub upstream: Option<Rc<str>>,
    /// The host that answered, `address:port`.
    pub host: Option<Rc<str>>,
    /// What a cache on the way did: `hit`, `miss`, `stale`, `refresh` or `bypass`.
    pub cache: Option<&'static str>,
    /// After a 101: the service's end of the connection, which is joined to the client's.
    pub tunnel: Option<Box<dyn Duplex>>,
}

impl Response {
    /// An answer with this status and nothing else.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// An answer with a body of this media type.
    pub fn with(status: u16, media: &str, body: impl Into<Body>) -> Self {
        let mut response = Self::new(status);
        response.headers.set("content-type", media);
        response.body = body.into();
        response
    }
}
