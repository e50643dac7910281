//! Where a Redis server is: `redis://[[user]:password@]host[:6379][/db]`, `rediss://` over TLS, `redis+unix:///path`.

use serde::Deserialize;
use serde::Serialize;

/// An address that was understood. Shown without its password.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address(String);

impl Address {
    /// Reads an address; what is wrong is said without repeating it, since it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let said = || format!("an address expected, as in {FORMS}");
        let url = url::Url::parse(text).map_err(|_| said())?;
        match url.scheme() {
            "redis" | "rediss" if url.query().is_some() || url.fragment().is_some() => {
                return Err(format!("`?` and `#` mean nothing here; an address looks like {FORMS}"));
            }
            "redis" | "rediss" if url.host_str().is_none_or(str::is_empty) => return Err(said()),
            "redis" | "rediss" | "redis+unix" => {}
            other => return Err(format!("no scheme `{other}`; an address looks like {FORMS}")),
        }
        redis::Client::open(text).map_err(|error| match error.kind() {
            redis::ErrorKind::InvalidClientConfig if url.path().len() > 1 && url.scheme() != "redis+unix" => {
                format!("`{}` is no number of a database", url.path().trim_start_matches('/'))
            }
            _ => said(),
        })?;
        Ok(Self(text.to_owned()))
    }

    /// As written, with its password.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ok(mut url) = url::Url::parse(&self.0) else { return f.write_str("redis") };
        // Addresses without a host take none of these, and have none.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.set_query(None);
        f.write_str(url.as_str())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

const FORMS: &str = "\"redis://host:6379\", \"rediss://:password@host:6379/1\" or \"redis+unix:///run/redis.sock\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_is_secret() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1"),
            ("redis://:s3cret@cache.local:6380/2", "redis://cache.local:6380/2"),
            ("rediss://ann:s3cret@[::1]:6379", "rediss://[::1]:6379"),
            ("redis+unix:///run/redis.sock?pass=s3cret", "redis+unix:///run/redis.sock"),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.to_string().as_str(), address.reveal()), (shown, text));
            assert_eq!(format!("{address:?}"), shown);
        }
    }

    #[test]
    fn what_is_no_address_says_so_without_repeating_it() {
        for (text, says) in [
            ("", "an address expected"),
            ("s3cret@host:6379", "an address expected"),
            ("http://s3cret@host", "no scheme `http`"),
            ("redis://", "an address expected"),
            ("redis://:s3cret@host/zero", "`zero` is no number of a database"),
            ("redis://:s3cret@host?protocol=resp2", "mean nothing here"),
            ("rediss://:s3cret@host#insecure", "mean nothing here"),
            ("redis://:s3cret@host:99999", "an address expected"),
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(error.contains(says) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
