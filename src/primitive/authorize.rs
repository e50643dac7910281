//! What a caller's claims must say: roles, scopes, any claim.

use serde_json::Value;

/// What must hold; all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// One of these roles, if any are listed.
    pub roles: Vec<String>,
    /// All scopes of one of these lists, if there are any.
    pub scopes: Vec<Vec<String>>,
    /// Each of these claims: name, and what it may be (`true`: that it is there).
    pub claims: Vec<(String, Vec<Value>)>,
}

/// Rules about claims.
#[derive(Debug)]
pub struct Authorize(Config);

/// What the caller lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// None of the roles.
    #[error("the role asked for")]
    Role,
    /// Scopes; as a challenge lists them.
    #[error("the scope asked for")]
    Scope(String),
    /// A claim of this name, or the right value of it.
    #[error("the claim `{0}`")]
    Claim(String),
}

impl Authorize {
    /// These rules.
    pub fn new(config: Config) -> Self {
        Self(config)
    }

    /// Whether `claims` say all that is asked for.
    pub fn check(&self, claims: &Value) -> Result<(), Lack> {
        let Config { roles, scopes, claims: wanted } = &self.0;
        // First what the client can do something about: ask for a token with another scope.
        if !scopes.is_empty() && !scopes.iter().any(|all| all.iter().all(|scope| has_scope(claims, scope))) {
            return Err(Lack::Scope(scopes[0].join(" ")));
        }
        if !roles.is_empty() && !roles.iter().any(|role| has_role(claims, role)) {
            return Err(Lack::Role);
        }
        match wanted.iter().find(|(name, values)| !has_claim(claims, name, values)) {
            Some((name, _)) => Err(Lack::Claim(name.clone())),
            None => Ok(()),
        }
    }
}

/// `roles` or `role`: a list of names, or one.
fn has_role(claims: &Value, role: &str) -> bool {
    ["roles", "role"].iter().filter_map(|name| claims.get(name)).any(|value| match value {
        Value::Array(list) => list.iter().any(|value| value == role),
        value => value == role,
    })
}

/// `scope` or `scp`: names with spaces between (RFC 8693), or a list.
fn has_scope(claims: &Value, scope: &str) -> bool {
    ["scope", "scp"].iter().filter_map(|name| claims.get(name)).any(|value| match value {
        Value::String(text) => text.split(' ').any(|held| held == scope),
        Value::Array(list) => list.iter().any(|value| value == scope),
        _ => false,
    })
}

fn has_claim(claims: &Value, name: &str, wanted: &[Value]) -> bool {
    let Some(held) = claims.get(name).or_else(|| within(claims, name)) else { return false };
    let is = |held: &Value| wanted.iter().any(|wanted| same(held, wanted));
    let there = wanted.contains(&Value::Bool(true)) && !matches!(held, Value::Null | Value::Bool(false));
    there || is(held) || matches!(held, Value::Array(list) if list.iter().any(is))
}

/// `a.b` where no claim has that very name.
fn within<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(claims, Value::get)
}

/// `1` is `1.0`; nothing else is equal to what is written differently.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let whole = || left.as_i64().zip(right.as_i64()).map(|(left, right)| left == right);
            left == right || whole().unwrap_or_else(|| left.as_f64() == right.as_f64() && left.as_f64().is_some())
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(config: Config, claims: &Value) -> Result<(), Lack> {
        Authorize::new(config).check(claims)
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn one_of_the_roles() {
        let config = || Config { roles: names(&["admin", "editor"]), ..Config::default() };
        for claims in [json!({ "roles": ["x", "editor"] }), json!({ "role": "admin" }), json!({ "role": ["admin"] })] {
            assert_eq!(check(config(), &claims), Ok(()), "{claims}");
        }
        for claims in [
            json!({}),
            json!({ "roles": [] }),
            json!({ "roles": "not admin" }),
            json!({ "roles": "Admin" }),
            json!({ "roles": { "admin": true } }),
            json!({ "roles": [["admin"]] }),
            json!({ "scope": "admin" }),
        ] {
            assert_eq!(check(config(), &claims), Err(Lack::Role), "{claims}");
        }
    }

    #[test]
    fn all_scopes_of_one_list() {
        let config = || Config { scopes: vec![names(&["read", "write"]), names(&["all"])], ..Config::default() };
        for claims in [json!({ "scope": "write  read" }), json!({ "scp": ["read", "write"] }), json!({ "scp": "all" })]
        {
            assert_eq!(check(config(), &claims), Ok(()), "{claims}");
        }
        for claims in [json!({ "scope": "read" }), json!({ "scope": "readwrite" }), json!({ "scope": 1 }), json!({})] {
            assert_eq!(check(config(), &claims), Err(Lack::Scope("read write".into())), "{claims}");
        }
    }

    #[test]
    fn claims_by_value_and_by_being_there() {
        let claims = json!({ "plan": "gold", "level": 3, "teams": ["a", "b"], "off": false, "on": true, "none": null,
            "realm": { "roles": ["admin"] }, "a.b": "exact" });
        let holds = |name: &str, values: &[Value]| {
            check(Config { claims: vec![(name.to_owned(), values.to_vec())], ..Config::default() }, &claims).is_ok()
        };
        assert!(holds("plan", &[json!("silver"), json!("gold")]) && !holds("plan", &[json!("silver")]));
        assert!(holds("level", &[json!(3)]) && holds("level", &[json!(3.0)]) && !holds("level", &[json!("3")]));
        assert!(holds("teams", &[json!("b")]) && !holds("teams", &[json!("c")]));
        assert!(holds("realm.roles", &[json!("admin")]) && holds("a.b", &[json!("exact")]));
        assert!(holds("on", &[json!(true)]) && holds("plan", &[json!(true)]));
        assert!(!holds("off", &[json!(true)]) && !holds("none", &[json!(true)]) && !holds("absent", &[json!(true)]));
        assert!(holds("off", &[json!(false)]));
    }

    #[test]
    fn everything_must_hold() {
        let config = || Config {
            roles: names(&["admin"]),
            scopes: vec![names(&["read"])],
            claims: vec![("plan".into(), vec![json!("gold")])],
        };
        assert_eq!(check(config(), &json!({ "role": "admin", "scope": "read", "plan": "gold" })), Ok(()));
        assert_eq!(check(config(), &json!({ "role": "admin", "scope": "read" })), Err(Lack::Claim("plan".into())));
        assert_eq!(check(config(), &json!({ "role": "admin" })), Err(Lack::Scope("read".into())));
        assert_eq!(check(Config::default(), &json!({})), Ok(()));
    }
}
