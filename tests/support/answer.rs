//! An answer as a strict client understands it.

use std::fmt;

/// Status line, fields and body; 1xx answers that came before it are noted.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) interim: Vec<u16>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        write!(f, "{} {} {:?} {} bytes {start:?}", self.status, self.reason, self.headers, self.body.len())?;
        write!(f, " trailers {:?} interim {:?}", self.trailers, self.interim)
    }
}

impl Answer {
    /// The only value of `name`; more than one is a failure.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "several `{name}` in {self:?}");
        all.first().copied()
    }

    /// Every value of `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// One field of a JSON body by pointer; `Null` when absent.
    pub(crate) fn at(&self, pointer: &str) -> serde_json::Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    /// A header field that an `echo:` or recording service received, from its JSON.
    pub(crate) fn echoed(&self, header: &str) -> Option<String> {
        match self.at(&format!("/headers/{}", header.to_ascii_lowercase())) {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// The failure's code, after checking that it is a problem document with everything it must have.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        assert!(document["title"].is_string(), "{document}");
        assert!(document["request_id"].is_string(), "{document}");
        document["code"].as_str().unwrap_or_else(|| panic!("no code in {document}")).to_owned()
    }

    /// Fails unless the answer is a problem with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.problem().as_str()), (status, code), "{self:?}");
    }

    /// The answer itself, once its status is right.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}
