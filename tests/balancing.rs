//! Which host a request goes to: by key, by speed, by weight, and out of the way when told.

use std::collections::BTreeMap;
use std::time::Duration;

use moongate::clock::Clock;

use crate::support::binary;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// Services that say who they are.
fn services<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|index| upstream::says(&index.to_string()))
}

/// `script` with the services' addresses as a list for `$HOSTS`.
fn before(services: &[Upstream], script: &str) -> gateway::Setup {
    let hosts: Vec<_> = services.iter().map(|service| format!("\"{}\"", service.address())).collect();
    gateway::script(script).with("$HOSTS", hosts.join(", "))
}

fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> String {
    gateway.call("GET", "/", headers, "").with(200).text().to_owned()
}

#[test]
fn a_session_stays_with_its_host_on_every_gateway() {
    let services = services::<5>();
    let script = r#"upstream "s" { $HOSTS, hash_by = "{cookie.sid}" } route "/{rest*}" { to = "s" }"#;
    let (one, two) = (before(&services, script).workers(2).start(), before(&services, script).start());
    let mut used = BTreeMap::<String, u32>::new();
    for n in 0..60 {
        let cookie = format!("a=b; sid=user-{n}");
        let first = ask(&one, &[("cookie", &cookie)]);
        assert_eq!(ask(&one, &[("cookie", &cookie)]), first, "another connection, perhaps another worker");
        assert_eq!(ask(&two, &[("cookie", &cookie)]), first, "another gateway");
        *used.entry(first).or_default() += 1;
    }
    assert_eq!(used.len(), 5, "{used:?}");
}

#[test]
fn without_a_value_the_client_decides_and_a_function_may() {
    let services = services::<5>();
    let script = r#"
upstream "shop" { $HOSTS, balance = "hash", hash_by = function(req) return req.headers["x-shop"] end }
upstream "address" { $HOSTS, balance = "hash" }
route "/shop" { to = "shop" }
route "/address" { to = "address" }"#;
    let gateway = before(&services, script).start();
    let shop = |name: &str| gateway.call("GET", "/shop", &[("x-shop", name)], "").with(200).text().to_owned();
    let shops: Vec<_> = ["bikes", "books", "tea", "shoes", "hats", "maps", "toys", "pens"].map(shop).into();
    assert_eq!(shops, ["bikes", "books", "tea", "shoes", "hats", "maps", "toys", "pens"].map(shop));
    assert!(shops.iter().any(|shop| *shop != shops[0]), "{shops:?}");
    let address = gateway.get("/address").with(200).text().to_owned();
    for _ in 0..5 {
        assert_eq!(gateway.get("/address").with(200).text(), address);
        assert_eq!(gateway.get("/shop").with(200).text(), address, "no value: the client's address, on the same ring");
    }
}

#[test]
fn a_function_that_waits_or_fails_is_an_error_of_the_script() {
    let services = services::<2>();
    let script = r#"
upstream "s" { $HOSTS, hash_by = function(req) sleep "1s" return "x" end }
route "/" { to = "s" }"#;
    let gateway = before(&services, script).start();
    let answer = gateway.get("/");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("script.error"), "{}", answer.text());
}

#[test]
fn the_gateway_may_set_the_cookie_itself() {
    let services = services::<4>();
    let script = r#"
local function sticky(req, next)
  req.ctx.sid = req.cookies.sid or uuid()
  local res = next()
  if not req.cookies.sid then
    res.headers:add("set-cookie", cookie.format("sid", req.ctx.sid, { path = "/", http_only = true }))
  end
end
upstream "s" { $HOSTS, hash_by = "{ctx.sid}" }
route "/{rest*}" { sticky, to = "s" }"#;
    let gateway = before(&services, script).start();
    for _ in 0..10 {
        let first = gateway.get("/").with(200);
        let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        for _ in 0..3 {
            let again = gateway.call("GET", "/", &[("cookie", &cookie)], "").with(200);
            assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
        }
    }
}

#[test]
fn ewma_sends_little_to_a_host_that_is_slow() {
    let quick = upstream::says("quick");
    let slow = upstream::answers(|_| {
        std::thread::park_timeout(Duration::from_millis(60));
        upstream::ok("slow")
    });
    let gateway = gateway::script(r#"upstream "s" { "$A", "$B", balance = "ewma" } route "/" { to = "s" }"#)
        .with("$A", quick.address())
        .with("$B", slow.address())
        .start();
    let mut client = gateway.client();
    for _ in 0..100 {
        client.get("/").with(200);
    }
    assert!((1..20).contains(&slow.calls()), "{} of 100 went to the slow one", slow.calls());
}

#[test]
fn weights_are_kept_exactly_in_turn_and_a_new_host_comes_in_slowly() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let [old, new] = services::<2>();
    let script = r#"local s = upstream "s" { { "$A", weight = 2 }, balance = "round_robin", slow_start = "10s" } route "/" { to = "s" }"#;
    let both = script.replace("weight = 2 },", "weight = 2 }, \"$B\",").replace("$B", &new.address().to_string());
    let gateway = gateway::script(script).with("$A", old.address()).clock(&clock).start();
    let mut client = gateway.client();
    let mut ask = |times: usize| {
        let before = new.calls();
        (0..times).for_each(|_| drop(client.get("/").with(200)));
        new.calls() - before
    };
    ask(3);
    gateway.edit(&both.replace("$A", &old.address().to_string())).unwrap();
    assert_eq!(ask(42), 2, "a tenth of its weight: 1 of 21");
    clock.advance(Duration::from_millis(4_500));
    assert_eq!(ask(50), 10, "half: 1 of 5");
    clock.advance(Duration::from_secs(10));
    assert_eq!(ask(30), 10, "all: 1 of 3");
}

#[test]
fn a_canary_keeps_its_users_and_a_larger_share_only_adds_some() {
    let [stable, canary] = services::<2>();
    let script = |share: u32| {
        format!(
            r#"route "/" {{ to = {{ stable = {}, canary = {share} }}, split_by = "{{header.x-user}}" }}"#,
            100 - share
        )
    };
    let gateway = gateway::script(&script(5)).service("stable", &stable).service("canary", &canary).start();
    let mut client = gateway.client();
    let users = |client: &mut crate::support::client::Client| -> Vec<bool> {
        let ask = |n: u32| client.call("GET", "/", &[("x-user", &format!("u{n}"))], "").with(200).text() == "1";
        (0..600).map(ask).collect()
    };
    let five = users(&mut client);
    assert_eq!(five, users(&mut client), "the same users again");
    let count = |users: &[bool]| users.iter().filter(|new| **new).count();
    assert!((15..50).contains(&count(&five)), "{} of 600 are not 5 %", count(&five));
    gateway.edit(&script(20)).unwrap();
    let twenty = users(&mut client);
    assert!((90..150).contains(&count(&twenty)), "{} of 600 are not 20 %", count(&twenty));
    assert!(five.iter().zip(&twenty).all(|(before, after)| before <= after), "a user was taken back");
}

#[test]
fn a_drained_host_finishes_what_it_has_and_gets_nothing_new_across_reloads() {
    let [stays, leaves] = [
        upstream::says("stays"),
        upstream::serve(|conn| {
            while conn.request().is_some() {
                conn.hold();
                conn.send(upstream::ok("leaves"));
            }
        }),
    ];
    let script = r#"
local s = upstream "s" { "$A", "$B", balance = "round_robin" }
route "/{rest*}" { to = s }
route "POST /drain" { function(req) return { json = { n = s:drain("$B", req.query.on ~= "false") } } end }
route "GET /hosts" { function(req) return { json = s:hosts() } end }
route "GET /state" { function(req) return { json = s:state() } end }
route "GET /wrong" { function(req) return { json = s:drain("10.9.9.9:1") } end }"#;
    let setup = gateway::script(script).with("$A", stays.address()).with("$B", leaves.address()).workers(2);
    let gateway = setup.start();
    let mut early: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for client in &mut early {
        client.send("GET /early HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    wait::until("all have arrived", || leaves.calls() + stays.calls() == 4 && leaves.calls() > 0);
    assert_eq!(gateway.call("POST", "/drain", &[], "").with(200).json()["n"], 1);
    let calls = leaves.calls();
    for _ in 0..20 {
        assert_eq!(gateway.get("/").with(200).text(), "stays");
    }
    gateway.reload().unwrap();
    for _ in 0..20 {
        assert_eq!(gateway.get("/").with(200).text(), "stays");
    }
    assert_eq!(leaves.calls(), calls);
    let hosts = gateway.get("/hosts").with(200).json();
    assert_eq!((&hosts[0]["state"], &hosts[1]["state"]), (&"up".into(), &"drained".into()), "{hosts}");
    assert_eq!(hosts[1]["in_flight"], calls, "{hosts}");
    leaves.release();
    let answers: Vec<_> = early.iter_mut().map(|client| client.answer().with(200).text().to_owned()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "leaves").count(), calls);
    assert_eq!(gateway.get("/state").with(200).json()["panic"], false);
    assert_eq!(gateway.get("/wrong").status, 500);

    assert_eq!(gateway.call("POST", "/drain?on=false", &[], "").with(200).json()["n"], 1);
    let seen: Vec<_> = (0..4).map(|_| gateway.get("/").with(200).text().to_owned()).collect();
    assert!(seen.contains(&"leaves".to_owned()), "{seen:?}");
}

#[test]
fn the_admin_listener_and_the_command_line_drain_too() {
    let services = services::<2>();
    let gateway = before(&services, r#"upstream "s" { $HOSTS } route "/" { to = "s" }"#).start();
    let address = services[0].address();
    let post = |target: String| gateway.admin().call("POST", &target, &[], "");
    for (target, status) in [
        ("/drain".to_owned(), 400),
        ("/drain?upstream=s".to_owned(), 400),
        (format!("/drain?upstream=s&host={address}&undo=maybe"), 400),
        (format!("/drain?upstream=s&hots={address}"), 400),
        (format!("/drain?upstream=t&host={address}"), 404),
        ("/drain?upstream=s&host=10.9.9.9:1".to_owned(), 404),
    ] {
        assert_eq!(post(target.clone()).status, status, "{target}");
    }
    assert_eq!(gateway.admin().get("/drain").status, 405);
    let drained = post(format!("/drain?upstream=s&host={address}")).with(200).json();
    assert_eq!(drained["hosts"][0]["state"], "drained", "{drained}");
    assert!((0..10).all(|_| gateway.get("/").with(200).text() == "1"));

    let admin = gateway.admin_address().to_string();
    let moongate = |arguments: &[&str]| {
        let output = binary::run(gateway.dir().path(), &[arguments, &["--admin", &admin]].concat());
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let (code, told) = moongate(&["routes", "--live"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("upstream s") && told.contains("drained") && told.contains("→ s"), "{told}");
    let (code, told) = moongate(&["drain", "s", &address.to_string(), "--undo"]);
    assert!(code == Some(0) && !told.contains("drained"), "{told}");
    let (code, told) = moongate(&["drain", "s", &services[1].address().to_string()]);
    assert!(code == Some(0) && told.contains("drained"), "{told}");
    assert!((0..10).all(|_| gateway.get("/").with(200).text() == "0"));
    assert_eq!(moongate(&["drain", "nobody", "x:1"]).0, Some(1));
    assert_eq!(moongate(&["drain", "s"]).0, Some(2));
}

#[test]
fn with_every_host_drained_nobody_is_asked() {
    let services = services::<1>();
    let gateway = before(&services, r#"upstream "s" { $HOSTS } route "/" { to = "s" }"#).start();
    gateway.admin().call("POST", &format!("/drain?upstream=s&host={}", services[0].address()), &[], "").with(200);
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(services[0].calls(), 0);
}

/// The parameters of a path are taken from it only where somebody reads them.
#[test]
fn a_path_parameter_chooses_the_host_by_template_and_by_function() {
    let services = services::<5>();
    let script = r#"
upstream "text" { $HOSTS, hash_by = "{id}" }
upstream "function" { $HOSTS, balance = "hash", hash_by = function(req) return req.params.id end }
route "/text/{id}" { to = "text" }
route "/function/{id}" { to = "function" }"#;
    let gateway = before(&services, script).start();
    let host = |path: &str| gateway.get(path).with(200).text().to_owned();
    let ids: Vec<_> = (0..12).collect();
    let text: Vec<_> = ids.iter().map(|id| host(&format!("/text/{id}"))).collect();
    let function: Vec<_> = ids.iter().map(|id| host(&format!("/function/{id}"))).collect();
    assert!(text.iter().any(|host| *host != text[0]), "{text:?}");
    assert_eq!(text, function, "the same keys on the same ring");
}
