//! Where a token stands in a request: `bearer`, `header:x-token`, `cookie:sid`, `query:access_token`.

use crate::http::headers::is_name;
use crate::primitive::cookie;
use crate::primitive::query::Query;
use crate::proxy::Exchange;

/// A place where a credential may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// `Authorization: Bearer …`, or `DPoP …`.
    Bearer,
    /// A field of its own.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter, which ends up in logs and histories (RFC 9700 §4.3.2).
    Query(String),
}

impl From {
    /// Reads what an option says.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`from` is \"bearer\", \"header:…\", \"cookie:…\" or \"query:…\", not \"{text}\"");
        if text == "bearer" {
            return Ok(Self::Bearer);
        }
        let (place, name) = text.split_once(':').ok_or_else(wrong)?;
        match place {
            _ if name.is_empty() => Err(wrong()),
            "header" if is_name(name.as_bytes()) => Ok(Self::Header(name.to_ascii_lowercase())),
            "cookie" => Ok(Self::Cookie(name.to_owned())),
            "query" => Ok(Self::Query(name.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// The token that stands there.
    pub(super) fn find(&self, exchange: &Exchange) -> Result<Option<String>, &'static str> {
        let request = exchange.request.borrow();
        match self {
            Self::Bearer => {
                let Some(field) = single(&request.headers, "authorization")? else { return Ok(None) };
                let Some((scheme, token)) = field.split_once(' ') else { return Ok(None) };
                let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop");
                Ok(known.then(|| token.trim().to_owned()).filter(|token| !token.is_empty()))
            }
            Self::Header(name) => {
                let field = single(&request.headers, name)?.map(|value| {
                    let rest =
                        value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer ")).map(|_| &value[7..]);
                    rest.unwrap_or(value).trim().to_owned()
                });
                Ok(field.filter(|token| !token.is_empty()))
            }
            Self::Cookie(name) => {
                let line = request.headers.joined("cookie").unwrap_or_default();
                let line = String::from_utf8_lossy(&line);
                Ok(cookie::parse(&line).find(|(other, _)| other == name).map(|(_, value)| value.to_owned()))
            }
            Self::Query(name) => {
                let query = request.query.as_deref().map(Query::parse);
                Ok(query.and_then(|query| query.get(name).map(str::to_owned)))
            }
        }
    }

    /// Takes it off the request.
    pub(super) fn hide(&self, exchange: &Exchange) {
        let mut request = exchange.request.borrow_mut();
        match self {
            Self::Bearer => {
                request.headers.remove("authorization");
                request.headers.remove("dpop");
            }
            Self::Header(name) => {
                request.headers.remove(name);
            }
            Self::Cookie(name) => {
                let Some(line) = request.headers.joined("cookie").map(|line| line.into_owned()) else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                let kept = cookie::parse(&line).filter(|(other, _)| other != name);
                let kept: Vec<_> = kept.map(|(name, value)| format!("{name}={value}")).collect();
                if kept.is_empty() {
                    request.headers.remove("cookie");
                } else {
                    request.headers.set("cookie", kept.join("; "));
                }
            }
            Self::Query(name) => {
                let Some(text) = request.query.take() else { return };
                let kept: Vec<_> = text.split('&').filter(|pair| !names(pair, name)).collect();
                request.query = (!kept.is_empty()).then(|| kept.join("&"));
            }
        }
    }
}

fn names(pair: &str, name: &str) -> bool {
    Query::parse(pair).get(name).is_some()
}

/// The only line of this field; a client that sends two credentials is not understood (RFC 6750 §2).
fn single<'a>(headers: &'a crate::http::Headers, name: &'a str) -> Result<Option<&'a str>, &'static str> {
    let mut lines = headers.all(name);
    let first = lines.next();
    if lines.next().is_some() {
        return Err("more than one credential came with the request");
    }
    Ok(first.and_then(|line| std::str::from_utf8(line).ok()))
}
