//! The id of a request, written to the service, the client and the log, so kept as the digits it is made of.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::http::hex;

/// A request's id.
#[derive(Clone, Debug)]
pub enum RequestId {
    /// A UUIDv7 (RFC 9562) made here.
    Made(hex::Text<36>),
    /// What a trusted client gave.
    Given(Rc<str>),
}

impl RequestId {
    /// As it goes onto the wire.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Made(digits) => &digits.0,
            Self::Given(text) => text.as_bytes(),
        }
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Made(digits) => digits.as_str(),
            Self::Given(text) => text,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
