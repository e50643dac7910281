//! Who the caller is: data for Rust, a table for scripts, one truth at a time.

use serde_json::json;
use std::sync::Arc;

use super::*;
use crate::proxy::lookup::lookup;
use crate::proxy::user;

fn text(exchange: &Rc<Exchange>, names: &[&str]) -> Option<String> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    lookup(exchange, &names, None)
}

#[test]
fn claims_stay_data_until_a_script_looks_at_them() {
    let (lua, context, exchange) = scene();
    let claims = Arc::new(json!({ "sub": "u1", "roles": ["a"], "big": 9_007_199_254_740_993_u64 }));
    identify(&lua, &exchange, Some(Arc::clone(&claims)), Some("k1".into())).unwrap();
    assert_eq!(text(&exchange, &["user", "sub"]).as_deref(), Some("u1"));
    assert_eq!(text(&exchange, &["key"]).as_deref(), Some("k1"));
    assert_eq!(user::id(&exchange).as_deref(), Some("u1"));
    assert!(kept(&lua, &exchange, "user").is_none(), "nothing made a table");
    assert!(Arc::ptr_eq(&super::claims(&lua, &exchange).unwrap(), &claims));

    let seen = "assert(req.user.sub == 'u1' and req.user.roles[1] == 'a' and req.key == 'k1')
                assert(req.user == req.user and json.encode(req.user.big) == '9007199254740993')";
    call(&context, &exchange, &function(&lua, seen)).unwrap();
    assert_eq!(super::claims(&lua, &exchange).unwrap()["big"], json!(9_007_199_254_740_993_u64));
}

#[test]
fn what_a_script_changes_is_what_later_readers_see() {
    let (lua, context, exchange) = scene();
    let claims = Arc::new(json!({ "sub": "u1" }));
    identify(&lua, &exchange, Some(Arc::clone(&claims)), None).unwrap();
    let change = "local user = req.user user.plan = 'gold' user.sub = 'u2' req.user.id = 7";
    call(&context, &exchange, &function(&lua, change)).unwrap();
    assert_eq!(*claims, json!({ "sub": "u1" }), "what others share stays as it was");
    let later = super::claims(&lua, &exchange).unwrap();
    assert_eq!((&later["sub"], &later["plan"], &later["id"]), (&json!("u2"), &json!("gold"), &json!(7)));

    call(&context, &exchange, &function(&lua, "req.user = { sub = 'u3' } req.key = 'mine'")).unwrap();
    assert_eq!(*super::claims(&lua, &exchange).unwrap(), json!({ "sub": "u3" }));
    let Some(Value::String(key)) = kept(&lua, &exchange, "key") else { panic!("the key is kept") };
    assert_eq!(key.to_string_lossy(), "mine");

    // The next step that authenticates speaks last.
    identify(&lua, &exchange, Some(claims), Some("k".into())).unwrap();
    call(&context, &exchange, &function(&lua, "assert(req.user.sub == 'u1' and not req.user.plan and req.key == 'k')"))
        .unwrap();
    assert_eq!(user::id(&exchange), None, "these hooks know no script");
    call(&context, &exchange, &function(&lua, "req.user = nil req.key = nil assert(not req.user.sub and not req.key)"))
        .unwrap();
    assert_eq!((user::id(&exchange), super::claims(&lua, &exchange)), (None, None));
}

#[test]
fn nobody_has_no_claims() {
    let (lua, context, exchange) = scene();
    assert_eq!((user::id(&exchange), claims(&lua, &exchange)), (None, None));
    call(&context, &exchange, &function(&lua, "assert(next(req.user) == nil)")).unwrap();
    assert_eq!((user::id(&exchange), claims(&lua, &exchange)), (None, None));
}
