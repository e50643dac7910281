//! Cookies (RFC 6265): read from a request, written into a response.

use std::time::Duration;

use crate::primitive::time;

/// The cookies of one `Cookie` field, in order: name and value, quotes around a value removed.
pub fn parse(field: &str) -> impl Iterator<Item = (&str, &str)> {
    field.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        (!name.is_empty()).then_some((name, bare))
    })
}

/// The first value of `name` in a `Cookie` field.
pub fn find(field: &str, name: &str) -> Option<String> {
    parse(field).find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The value of a `Cookie` field that holds these.
pub fn encode<'a>(cookies: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<String, CookieError> {
    let mut field = String::new();
    for (name, value) in cookies {
        check(name, value)?;
        if !field.is_empty() {
            field.push_str("; ");
        }
        field.push_str(name);
        field.push('=');
        field.push_str(value);
    }
    Ok(field)
}

/// A cookie to set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetCookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `Path`
    pub path: Option<String>,
    /// `Domain`
    pub domain: Option<String>,
    /// `Max-Age`; zero deletes the cookie.
    pub max_age: Option<Duration>,
    /// `Expires`, since the Unix epoch.
    pub expires: Option<Duration>,
    /// `Secure`
    pub secure: bool,
    /// `HttpOnly`
    pub http_only: bool,
    /// `SameSite`
    pub same_site: Option<SameSite>,
    /// `Partitioned`
    pub partitioned: bool,
}

/// Whether a cookie goes with requests from other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// With links only.
    Lax,
    /// Always; the cookie must be secure.
    None,
}

/// What cannot be a cookie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// The name is no token.
    #[error("`{0}` is no name for a cookie")]
    Name(String),
    /// A value that would end the cookie early.
    #[error("the value of cookie `{0}` has a character that cannot stand there; encode it")]
    Value(String),
    /// An attribute that would end early.
    #[error("{attribute} of cookie `{name}` has a character that cannot stand there")]
    Attribute {
        /// The cookie.
        name: String,
        /// `path` or `domain`.
        attribute: &'static str,
    },
    /// What a browser would drop.
    #[error("browsers drop cookie `{0}`: {1}")]
    Dropped(String, &'static str),
}

impl SameSite {
    /// By its name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Strict, Self::Lax, Self::None].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl SetCookie {
    /// The value of a `Set-Cookie` field.
    pub fn encode(&self) -> Result<String, CookieError> {
        check(&self.name, &self.value)?;
        self.check_drops()?;
        let mut field = format!("{}={}", self.name, self.value);
        for (title, attribute, value) in [("Path", "path", &self.path), ("Domain", "domain", &self.domain)] {
            let Some(value) = value else { continue };
            if !value.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b';') {
                return Err(CookieError::Attribute { name: self.name.clone(), attribute });
            }
            field.extend(["; ", title, "=", value]);
        }
        if let Some(age) = self.max_age {
            field.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        if let Some(date) = self.expires.and_then(time::http_date) {
            field.extend(["; Expires=", &date]);
        }
        if let Some(same_site) = self.same_site {
            field.extend(["; SameSite=", same_site.as_str()]);
        }
        for (set, word) in
            [(self.secure, "; Secure"), (self.http_only, "; HttpOnly"), (self.partitioned, "; Partitioned")]
        {
            if set {
                field.push_str(word);
            }
        }
        Ok(field)
    }

    fn check_drops(&self) -> Result<(), CookieError> {
        let dropped = |why| Err(CookieError::Dropped(self.name.clone(), why));
        let has = |prefix: &str| self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if !self.secure && self.same_site == Some(SameSite::None) {
            return dropped("SameSite=None needs `secure`");
        }
        if !self.secure && (self.partitioned || has("__Secure-") || has("__Host-")) {
            return dropped("this needs `secure`");
        }
        if has("__Host-") && (self.domain.is_some() || self.path.as_deref() != Some("/")) {
            return dropped("__Host- needs path \"/\" and no domain");
        }
        Ok(())
    }
}

fn check(name: &str, value: &str) -> Result<(), CookieError> {
    if !crate::http::headers::is_name(name.as_bytes()) {
        return Err(CookieError::Name(name.to_owned()));
    }
    let fine = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    if value.bytes().all(fine) { Ok(()) } else { Err(CookieError::Value(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(field: &str) -> Vec<(&str, &str)> {
        parse(field).collect()
    }

    #[test]
    fn cookies_are_read_in_order() {
        assert_eq!(list("a=1; b=\"two\";c=x=y; =no; lone; d="), [("a", "1"), ("b", "two"), ("c", "x=y"), ("d", "")]);
        assert_eq!(list(""), []);
        assert_eq!((find("a=1; b=2; b=3", "b").as_deref(), find("a=1", "b")), (Some("2"), None));
        assert_eq!(encode([("a", "1"), ("b", "x=y")]).as_deref(), Ok("a=1; b=x=y"));
        assert!(encode([("a", "1; b=2")]).is_err());
    }

    #[test]
    fn a_cookie_is_written_with_its_attributes() {
        let cookie = SetCookie {
            name: "sid".into(),
            value: "abc".into(),
            path: Some("/".into()),
            domain: Some("example.com".into()),
            max_age: Some(Duration::from_secs(60)),
            expires: Some(Duration::from_secs(784_111_777)),
            secure: true,
            http_only: true,
            same_site: SameSite::named("lax"),
            partitioned: false,
        };
        let expected = "sid=abc; Path=/; Domain=example.com; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT; \
                        SameSite=Lax; Secure; HttpOnly";
        assert_eq!(cookie.encode().as_deref(), Ok(expected));
        assert_eq!(SameSite::named("sometimes"), None);
    }

    #[test]
    fn what_would_break_out_or_be_dropped_is_refused() {
        let cookie =
            |name: &str, value: &str| SetCookie { name: name.into(), value: value.into(), ..SetCookie::default() };
        for (name, value) in
            [("a b", "1"), ("", "1"), ("a", "1; HttpOnly"), ("a", "x\r\ny"), ("a", "é"), ("a", "b c"), ("a", "\"")]
        {
            assert!(cookie(name, value).encode().is_err(), "{name}={value}");
        }
        assert!(SetCookie { path: Some("/; Domain=x".into()), ..cookie("a", "1") }.encode().is_err());
        assert!(SetCookie { same_site: Some(SameSite::None), ..cookie("a", "1") }.encode().is_err());
        assert!(SetCookie { secure: true, ..cookie("__Host-a", "1") }.encode().is_err());
        assert!(SetCookie { secure: true, path: Some("/".into()), ..cookie("__Host-a", "1") }.encode().is_ok());
        assert!(cookie("__secure-a", "1").encode().is_err());
    }
}
