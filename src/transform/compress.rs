//! Content codings put onto an answer as it streams: what is worth it, and what must be left as it is.

mod coder;
mod stream;

use crate::http::Body;
use crate::http::Headers;
use crate::http::Response;
use crate::http::coding::Coding;
use crate::http::coding::choose;
use coder::Coder;
use stream::Compressing;

/// What to compress, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Media types: `text/html`, `text/*`, `*/*+json`.
    pub types: Vec<String>,
    /// Bodies known to be smaller are left alone.
    pub min: u64,
    /// Codings on offer, the best first.
    pub codings: Vec<Coding>,
    /// How hard each tries.
    pub levels: Levels,
}

/// How hard each coding tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// 1 to 9.
    pub gzip: u32,
    /// 0 to 11; above 5 it is too slow for answers made on the fly.
    pub br: u32,
    /// 1 to 19.
    pub zstd: i32,
}

impl Default for Levels {
    fn default() -> Self {
        Self { gzip: 5, br: 4, zstd: 3 }
    }
}

/// Ready for use.
#[derive(Debug)]
pub struct Compress {
    config: Config,
}

impl Compress {
    /// Prepares it.
    pub fn new(config: Config) -> Self {
        let types = config.types.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { config: Config { types, ..config } }
    }

    /// The coding for a client, by its `Accept-Encoding`.
    pub fn choose(&self, field: Option<&[u8]>) -> Option<Coding> {
        choose(field, &self.config.codings)
    }

    /// Gives an answer the coding that was chosen, where it may have one. `fixed`: the client forbids changes.
    pub fn apply(&self, coding: Option<Coding>, head: bool, fixed: bool, response: &mut Response) {
        let headers = &mut response.headers;
        if response.status == 304 {
            // The answer it stands for was weakened, and would not be found by its strong validator.
            if coding.is_some() {
                weaken(headers);
            }
            return vary(headers);
        }
        let bodiless = response.status < 200 || matches!(response.status, 204..=206);
        if bodiless || fixed || is_fixed(headers) || !self.is_worth(headers) {
            return;
        }
        if response.body.left().is_some_and(|left| left < self.config.min) && !head {
            return;
        }
        vary(headers);
        let Some(coding) = coding.filter(|_| !head) else { return };
        let Ok(coder) = Coder::new(coding, self.config.levels) else { return };
        match std::mem::take(&mut response.body) {
            Body::Full(bytes) if bytes.len() <= AT_ONCE => {
                let Some(coded) = coder.whole(&bytes).filter(|coded| coded.len() < bytes.len()) else {
                    response.body = Body::Full(bytes);
                    return;
                };
                response.body = bytes::Bytes::from(coded).into();
            }
            body => response.body = Compressing::body(body, coder),
        }
        describe(headers, coding);
    }

    /// Whether its media type is one of those that shrink and that nobody waits for piece by piece.
    fn is_worth(&self, headers: &Headers) -> bool {
        let Some(media) = headers.get("content-type") else { return false };
        let media = media.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let Ok(media) = std::str::from_utf8(&media) else { return false };
        let told = self.config.types.iter().any(|name| name == media);
        told || !is_live(media) && self.config.types.iter().any(|name| covers(name, media))
    }
}

/// Bodies up to this size that are at hand are coded in one piece, and keep a length.
const AT_ONCE: usize = 256 << 10;

/// Streams whose pieces are messages (U-59): compressed only where their type is written out.
fn is_live(media: &str) -> bool {
    matches!(media, "text/event-stream" | "multipart/x-mixed-replace" | "application/x-ndjson" | "application/ndjson")
        || media.starts_with("application/grpc")
}

/// `text/*`, `*/*+json`, `application/json`.
fn covers(name: &str, media: &str) -> bool {
    match name.split_once('*') {
        None => name == media,
        Some((start, "")) => media.starts_with(start),
        Some(("", end)) => media.ends_with(end.trim_start_matches(['/', '*'])),
        Some((start, end)) => media.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
    }
}

/// Coded already, a part of something, or not to be changed (RFC 9110 §7.7).
fn is_fixed(headers: &Headers) -> bool {
    let coded = headers.joined("content-encoding").is_some_and(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    });
    coded || headers.has("content-range") || forbids(headers)
}

/// Whether `Cache-Control` says `no-transform`.
pub fn forbids(headers: &Headers) -> bool {
    headers.all("cache-control").any(|value| {
        value.split(|&byte| byte == b',').any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    })
}

/// The fields of a coded body (STANDARDS S-12).
fn describe(headers: &mut Headers, coding: Coding) {
    headers.set("Content-Encoding", coding.as_str());
    weaken(headers);
    for name in ["content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"] {
        headers.remove(name);
    }
}

/// A strong validator is of other bytes.
fn weaken(headers: &mut Headers) {
    if let Some(tag) = headers.get("etag").filter(|tag| !tag.starts_with(b"W/")) {
        let weak = [b"W/", tag].concat();
        headers.set("etag", weak);
    }
}

/// Caches must know that the answer depends on what the client takes.
fn vary(headers: &mut Headers) {
    let named = headers.all("vary").any(|value| {
        value.split(|&byte| byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")
        })
    });
    if !named {
        headers.add("Vary", "Accept-Encoding");
    }
}

#[cfg(test)]
mod tests;
