//! `basic_auth`: names and passwords.

use moongate::clock::Clock;
use moongate::primitive::codec::base64_encode;

use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

const SAID: &str = "local function said(req) return { text = tostring(req.user.sub) } end";

/// The bcrypt hash of "secret"; the two digits are its cost.
fn hashed(cost: u32) -> String {
    bcrypt::hash_with_salt("secret", cost, [7; 16]).unwrap().to_string()
}

fn as_user(gateway: &Gateway, target: &str, pair: &str) -> Answer {
    let field = format!("Basic {}", base64_encode(pair));
    gateway.call("GET", target, &[("authorization", &field)], "")
}

#[test]
fn names_and_passwords_from_a_table() {
    let gateway = gateway::script(&format!(
        r#"{SAID}
        local users = {{ ann = "plain", bob = "{}", cid = secret "CID" }}
        route "GET /" {{ basic_auth {{ users = users, realm = "here" }}, said }}
        "#,
        hashed(4)
    ))
    .env("CID", "s3cret")
    .start();
    for (pair, name) in [("ann:plain", "ann"), ("bob:secret", "bob"), ("bob:secret", "bob"), ("cid:s3cret", "cid")] {
        assert_eq!(as_user(&gateway, "/", pair).text(), name);
    }
    for pair in ["ann:Plain", "ann:", "bob:secre", "bob:secret ", "nobody:plain", ":", "cid:<secret CID>"] {
        let refused = as_user(&gateway, "/", pair);
        refused.refused(401, "basic_auth.invalid");
        assert_eq!(refused.all("www-authenticate"), [r#"Basic realm="here", charset="UTF-8""#], "{pair}");
    }
    let pair = base64_encode("ann:plain");
    for field in ["Basic", "Basic !", "Bearer x", &format!("Basic{pair}"), &base64_encode("ann")] {
        gateway.call("GET", "/", &[("authorization", field)], "").refused(401, "basic_auth.missing");
    }
    let field = format!("Basic {pair}");
    let twice = [("authorization", &*field), ("authorization", &*field)];
    assert!(matches!(gateway.call("GET", "/", &twice, "").status, 400 | 401), "two credentials are none");
}

#[test]
fn a_file_is_read_and_watched() {
    let gateway =
        gateway::script(&format!(r#"{SAID} route "GET /" {{ basic_auth {{ file = "users.htpasswd" }}, said }}"#))
            .file("users.htpasswd", &format!("# people\nann:{}\n", hashed(4)))
            .watch()
            .start();
    assert_eq!(as_user(&gateway, "/", "ann:secret").text(), "ann");
    as_user(&gateway, "/", "bob:secret").refused(401, "basic_auth.invalid");
    gateway.dir().replace("users.htpasswd", format!("bob:{}\n", hashed(5)));
    crate::support::wait::until("bob is known", || as_user(&gateway, "/", "bob:secret").status == 200);
    as_user(&gateway, "/", "ann:secret").refused(401, "basic_auth.invalid");
    gateway.dir().replace("users.htpasswd", "bob:plain\n");
    assert!(gateway.reload().unwrap_err().contains("users.htpasswd:1"));
    assert_eq!(as_user(&gateway, "/", "bob:secret").text(), "bob");
}

#[test]
fn a_function_may_know_them_and_may_wait() {
    let service = upstream::says("ok");
    let gateway = gateway::script(&format!(
        r#"{SAID}
        local ask = function(name, password) sleep "1ms" return password == name .. "!" end
        route "GET /" {{ basic_auth(ask), said }}
        route "GET /user" {{ basic_auth {{ users = function(name) return {{ sub = "u-" .. name }} end }}, said }}
        route "GET /hidden" {{ basic_auth {{ ask, hide = true, forward = {{ ["x-user"] = "{{user.sub}}" }} }}, to = "service" }}
        route "GET /shown" {{ basic_auth(ask), to = "service" }}
        "#
    ))
    .service("service", &service)
    .start();
    assert_eq!(as_user(&gateway, "/", "ann:ann!").text(), "ann");
    as_user(&gateway, "/", "ann:bob!").refused(401, "basic_auth.invalid");
    assert_eq!(as_user(&gateway, "/user", "ann:x").text(), "u-ann");
    as_user(&gateway, "/hidden", "ann:ann!").with(200);
    assert_eq!((service.last().header("authorization"), service.last().header("x-user")), (None, Some("ann")));
    as_user(&gateway, "/shown", "ann:ann!").with(200);
    assert!(service.last().header("authorization").is_some());
}

/// Cost 11 is a tenth of a second and more even where the machine is quick.
#[test]
fn verifying_holds_up_nobody_and_happens_once() {
    let gateway = gateway::script(&format!(
        r#"{SAID}
        route "GET /in" {{ basic_auth {{ users = {{ ann = "{}" }} }}, said }}
        route "GET /out" {{ mock {{}} }}
        "#,
        hashed(11)
    ))
    .start();
    let clock = Clock::real();
    let timed = |pair: &str, status: u16| {
        let begun = clock.now();
        assert_eq!(as_user(&gateway, "/in", pair).status, status, "{pair}");
        clock.now().since(begun)
    };
    let slow = std::thread::scope(|scope| {
        let verifying = scope.spawn(|| timed("ann:secret", 200));
        let (mut client, mut served) = (gateway.client(), 0);
        while !verifying.is_finished() {
            client.get("/out").with(200);
            served += 1;
        }
        assert!(served > 3, "the only worker served {served} requests while it verified a password");
        verifying.join().unwrap()
    });
    let again = (0..3).map(|_| timed("ann:secret", 200)).min().unwrap();
    assert!(again < slow / 2, "{again:?} for one that was verified before, {slow:?} for the first");
    timed("ann:secret2", 401);
    let nobody = timed("nobody:secret", 401);
    assert!(nobody > slow / 8, "a name that nobody has is refused at once: {nobody:?}, {slow:?} for another");
}

#[test]
fn it_stands_in_any_of_and_hashes_are_in_no_listing() {
    let hash = hashed(4);
    let gateway = gateway::script(&format!(
        r#"{SAID} route "GET /" {{ any_of {{ basic_auth {{ users = {{ ann = "{hash}" }} }}, api_key {{ keys = {{ k = "bob" }} }} }}, said }}"#
    ))
    .start();
    assert_eq!(as_user(&gateway, "/", "ann:secret").text(), "ann");
    assert_eq!(gateway.call("GET", "/", &[("x-api-key", "k")], "").text(), "bob");
    let field = format!("Basic {}", base64_encode("ann:wrong"));
    assert_eq!(gateway.call("GET", "/", &[("authorization", &field), ("x-api-key", "k")], "").text(), "bob");
    let refused = as_user(&gateway, "/", "ann:wrong");
    assert_eq!(refused.all("www-authenticate").len(), 2, "{refused:?}");
    assert!(!gateway.admin().get("/state").text().contains(&hash));
}
