//! Which requests somebody wants to watch, and for how long.

use std::net::IpAddr;
use std::time::Duration;

use crate::http::Request;
use crate::primitive::glob::Glob;
use crate::primitive::query::Query;
use crate::primitive::units;

/// What is asked for: `method=GET&path=/v1/*&header=x-tenant:bikes&count=5&for=60s`.
#[derive(Clone, Debug)]
pub struct Terms {
    method: Option<String>,
    host: Option<Glob>,
    path: Option<Glob>,
    ip: Option<IpAddr>,
    /// Name, and what the value must match.
    headers: Vec<(String, Option<Glob>)>,
    query: Vec<(String, Option<Glob>)>,
    /// Only requests with the signed field.
    signed: bool,
    /// How many requests.
    pub count: usize,
    /// For how long at most.
    pub lasts: Duration,
}

impl Terms {
    /// Reads the query of `POST /trace` or `POST /record`; `most`: how many requests may be asked for, `count` where none
    /// are named.
    pub fn parse(raw: &str, count: usize, most: usize) -> Result<Self, String> {
        let mut terms = Self { count, ..Self::default() };
        for (name, value) in Query::parse(raw).iter() {
            match name {
                "method" => terms.method = Some(value.to_ascii_uppercase()),
                "host" => terms.host = Some(glob(value)?),
                "path" => terms.path = Some(glob(value)?),
                "ip" => terms.ip = Some(value.parse().map_err(|_| format!("ip: `{value}` is no address"))?),
                "header" => terms.headers.push(pair(value, ':')?),
                "query" => terms.query.push(pair(value, '=')?),
                "signed" => {
                    terms.signed = value.parse().map_err(|_| "signed is true or false".to_owned())?;
                }
                "count" => {
                    let count = value.parse().ok().filter(|count| (1..=most).contains(count));
                    terms.count = count.ok_or_else(|| format!("count is a number from 1 to {most}"))?;
                }
                "for" => {
                    let lasts = units::duration(value).map_err(|fault| format!("for: {fault}"))?;
                    if lasts.is_zero() || lasts > LONGEST {
                        return Err("for: from above 0s to 1h".to_owned());
                    }
                    terms.lasts = lasts;
                }
                other => return Err(format!("there is no `{other}` here: {KNOWN} are known")),
            }
        }
        Ok(terms)
    }

    /// The one request that shows the signed field.
    pub fn of_signed() -> Self {
        Self { signed: true, ..Self::default() }
    }

    /// Whether `request`, which `client` sent, is one of those.
    pub fn take(&self, request: &Request, client: Option<IpAddr>) -> bool {
        let query = || Query::parse(request.query.as_deref().unwrap_or_default());
        !self.signed
            && self.method.as_deref().is_none_or(|method| method == request.method.as_str())
            && self.host.as_ref().is_none_or(|host| host.matches(&request.host))
            && self.path.as_ref().is_none_or(|path| path.matches(&request.path))
            && self.ip.is_none_or(|ip| client.map(|client| client.to_canonical()) == Some(ip.to_canonical()))
            && self.headers.iter().all(|(name, wanted)| {
                let mut values = request.headers.all(name).filter_map(|value| std::str::from_utf8(value).ok());
                values.any(|value| wanted.as_ref().is_none_or(|wanted| wanted.matches(value)))
            })
            && self.query.iter().all(|(name, wanted)| {
                query().all(name).any(|value| wanted.as_ref().is_none_or(|wanted| wanted.matches(value)))
            })
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            method: None,
            host: None,
            path: None,
            ip: None,
            headers: Vec::new(),
            query: Vec::new(),
            signed: false,
            count: 1,
            lasts: Duration::from_secs(60),
        }
    }
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|fault| fault.to_string())
}

/// A name alone (it must be there), or with what its value must match.
fn pair(text: &str, by: char) -> Result<(String, Option<Glob>), String> {
    match text.split_once(by) {
        None => Ok((text.trim().to_owned(), None)),
        Some((name, value)) => Ok((name.trim().to_owned(), Some(glob(value.trim())?))),
    }
}

const KNOWN: &str = "method, host, path, ip, header, query, signed, count and for";
const LONGEST: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut request = Request {
            method: Method::of(method),
            path: path.into(),
            query: query.map(str::to_owned),
            host: "shop.test".into(),
            ..Request::default()
        };
        headers.iter().for_each(|(name, value)| request.headers.add(name, *value));
        request
    }

    #[test]
    fn all_that_is_named_must_hold() {
        let terms = "method=get&path=/v1/*&host=*.test&header=x-tenant:b*&header=x-a&query=q%3D1&ip=10.0.0.1";
        let terms = Terms::parse(terms, 1, 100).unwrap();
        let client = Some("::ffff:10.0.0.1".parse().unwrap());
        let headers = [("X-Tenant", "bikes"), ("x-a", "")];
        assert!(terms.take(&request("GET", "/v1/a?q=1", &headers), client));
        assert!(!terms.take(&request("POST", "/v1/a?q=1", &headers), client));
        assert!(!terms.take(&request("GET", "/v2/a?q=1", &headers), client));
        assert!(!terms.take(&request("GET", "/v1/a?q=2", &headers), client));
        assert!(!terms.take(&request("GET", "/v1/a", &headers), client));
        assert!(!terms.take(&request("GET", "/v1/a?q=1", &headers[..1]), client));
        assert!(!terms.take(&request("GET", "/v1/a?q=1", &[("x-tenant", "cars"), ("x-a", "")]), client));
        assert!(!terms.take(&request("GET", "/v1/a?q=1", &headers), None));
        assert!(Terms::default().take(&request("GET", "/", &[]), None), "nothing named: any");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (raw, said) in [
            ("pth=/x", "there is no `pth` here"),
            ("count=0", "count is a number from 1 to 100"),
            ("count=101", "count is a number from 1 to 100"),
            ("for=2h", "for: from above 0s to 1h"),
            ("for=soon", "for: "),
            ("ip=x", "ip: `x` is no address"),
            ("path=[", "glob `[`"),
            ("signed=yes", "signed is true or false"),
        ] {
            let fault = Terms::parse(raw, 1, 100).unwrap_err();
            assert!(fault.contains(said), "{raw}: {fault}");
        }
        assert_eq!(Terms::parse("", 7, 100).unwrap().count, 7);
    }
}
