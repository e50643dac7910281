//! Fields that every answer gets and fields that none keeps, fixed when a gateway loads.

use crate::http::Headers;
use crate::http::headers::is_value;
use crate::transform::headers::check_name;

/// What to put on and what to take off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// These go.
    pub hide: Vec<String>,
    /// These come.
    pub set: Vec<Field>,
    /// Whether they take the place of what is there already.
    pub replace: bool,
}

/// One field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Only where the client came over TLS.
    pub https: bool,
}

/// A field that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// Ready for use.
#[derive(Clone, Debug)]
pub struct Fields(Config);

impl Fields {
    /// Checks names and values.
    pub fn new(config: Config) -> Result<Self, Fault> {
        for name in config.hide.iter().chain(config.set.iter().map(|field| &field.name)) {
            check_name(name).map_err(|fault| Fault(fault.to_string()))?;
        }
        match config.set.iter().find(|field| !is_value(field.value.as_bytes())) {
            Some(bad) => Err(Fault(format!("the value of `{}` has a character no field can have", bad.name))),
            None => Ok(Self(config)),
        }
    }

    /// Changes the fields of an answer.
    pub fn apply(&self, headers: &mut Headers, https: bool) {
        for name in &self.0.hide {
            headers.remove(name);
        }
        for field in self.0.set.iter().filter(|field| https || !field.https) {
            if self.0.replace {
                headers.set(&field.name, &field.value);
            } else if !headers.has(&field.name) {
                headers.add(&field.name, &field.value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let field = |name: &str, value: &str, https| Field { name: name.into(), value: value.into(), https };
        Config {
            hide: vec!["server".into()],
            set: vec![field("x-a", "1", false), field("x-b", "2", true)],
            replace: false,
        }
    }

    fn applied(config: Config, https: bool) -> [Option<String>; 3] {
        let mut headers = Headers::default();
        headers.add("Server", "x");
        headers.add("X-A", "theirs");
        Fields::new(config).expect("fields").apply(&mut headers, https);
        ["server", "x-a", "x-b"].map(|name| headers.text(name).map(str::to_owned))
    }

    #[test]
    fn what_is_there_stays_unless_it_is_replaced() {
        assert_eq!(applied(config(), true), [None, Some("theirs".into()), Some("2".into())]);
        assert_eq!(applied(config(), false), [None, Some("theirs".into()), None]);
        assert_eq!(applied(Config { replace: true, ..config() }, true)[1].as_deref(), Some("1"));
    }

    #[test]
    fn names_and_values_are_checked_when_they_are_made() {
        let bad = |name: &str, value: &str| {
            let set = vec![Field { name: name.into(), value: value.into(), https: false }];
            Fields::new(Config { set, ..Config::default() }).is_err()
        };
        assert!(bad("x a", "1") && bad("connection", "1") && bad("x-a", "1\r\nset-cookie: x") && !bad("x-a", "1"));
        assert!(Fields::new(Config { hide: vec!["content-length".into()], ..Config::default() }).is_err());
    }
}
