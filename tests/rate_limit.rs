//! `rate_limit`: what passes, what is refused, and what answers say about it.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moongate::clock::Clock;

use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::gateway::Gateway;

fn still() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

fn statuses(gateway: &Gateway, target: &str, headers: &[(&str, &str)], times: usize) -> Vec<u16> {
    (0..times).map(|_| gateway.call("GET", target, headers, "").status).collect()
}

fn fields(answer: &Answer) -> (&str, &str) {
    (answer.header("ratelimit-policy").unwrap_or("none"), answer.header("ratelimit").unwrap_or("none"))
}

#[test]
fn the_rate_passes_and_answers_say_what_is_left_to_the_second() {
    let clock = still();
    let gateway = gateway::script(
        r#"route "GET /x" { rate_limit "2/min", function(req)
            local limit = req.limits["2/min"]
            return { text = limit.limit .. " " .. limit.left .. " " .. limit.reset } end }"#,
    )
    .clock(&clock)
    .start();
    let first = gateway.get("/x").with(200);
    assert_eq!((first.text(), fields(&first)), ("2 1 60", (r#""2/min";q=2;w=60"#, r#""2/min";r=1;t=60"#)));
    clock.advance(Duration::from_millis(20_500));
    gateway.get("/x").with(200);
    let refused = gateway.get("/x");
    refused.refused(429, "rate_limit.exceeded");
    assert_eq!(refused.header("retry-after"), Some("40"), "rounded up: 39.5 would be too early");
    assert_eq!(fields(&refused), (r#""2/min";q=2;w=60"#, r#""2/min";r=0;t=40"#));
    clock.advance(Duration::from_millis(39_400));
    gateway.get("/x").with(429);
    clock.advance(Duration::from_millis(100));
    gateway.get("/x").with(200);
    gateway.get("/x").with(429);
}

#[test]
fn every_window_and_burst() {
    let clock = still();
    let gateway = gateway::script(
        r#"
        local function ok() return 204 end
        route "GET /bucket" { rate_limit { "2/s", burst = 4 }, ok }
        route "GET /fixed" { rate_limit { "2/10s", window = "fixed" }, ok }
        route "GET /calendar" { rate_limit { "2/h", window = "calendar", name = "hourly", headers = false }, ok }
        "#,
    )
    .clock(&clock)
    .start();
    assert_eq!(statuses(&gateway, "/bucket", &[], 5), [204, 204, 204, 204, 429]);
    let refused = gateway.get("/bucket");
    assert_eq!(fields(&refused), (r#""2/s";q=4;w=2"#, r#""2/s";r=0;t=1"#));
    clock.advance(Duration::from_millis(500));
    assert_eq!(statuses(&gateway, "/bucket", &[], 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/fixed", &[], 3), [204, 204, 429]);
    clock.advance(Duration::from_secs(10));
    assert_eq!(statuses(&gateway, "/fixed", &[], 3), [204, 204, 429]);
    // 1,800,000,000 is a full hour; ten and a half seconds have gone by.
    assert_eq!(statuses(&gateway, "/calendar", &[], 3), [204, 204, 429]);
    let refused = gateway.get("/calendar");
    assert_eq!((fields(&refused), refused.header("retry-after")), (("none", "none"), Some("3590")));
    clock.advance(Duration::from_millis(3_589_500));
    gateway.get("/calendar").with(204);
}

#[test]
fn whom_it_counts() {
    let gateway = gateway::script(
        r#"
        gateway { trust_proxies = { "127.0.0.1" } }
        local function ok() return 204 end
        local function known(req)
          if req.query.user then req.user = { sub = req.query.user } end
          req.key = req.query.key
        end
        route "GET /ip" { rate_limit "1/h", ok }
        route "GET /user" { known, rate_limit { "1/h", by = "user" }, ok }
        route "GET /key" { known, rate_limit { "1/h", by = "key" }, ok }
        route "GET /shop" { rate_limit { "1/h", by = "{header.x-shop}" }, ok }
        route "GET /fn" { rate_limit { "1/h", by = function(req) return req.query.who end }, ok }
        route "GET /raise" { rate_limit { "1/h", by = function(req) return {} end }, ok }
        route "GET /wait" { rate_limit { "1/h", by = function(req) sleep(1) end }, ok }
        route "POST /json" { rate_limit { "1/h", by = "{json.tenant}" }, ok }
        "#,
    )
    .start();
    let from = |ip: &'static str| [("x-forwarded-for", ip)];
    assert_eq!(statuses(&gateway, "/ip", &from("10.0.0.1"), 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/ip", &from("10.0.0.2"), 1), [204]);
    assert_eq!(statuses(&gateway, "/ip", &from("2001:db8:0:1::1"), 1), [204]);
    assert_eq!(statuses(&gateway, "/ip", &from("2001:db8:0:1:ffff::2"), 1), [429], "one client has a /64");
    assert_eq!(statuses(&gateway, "/ip", &from("2001:db8:0:2::1"), 1), [204]);
    assert_eq!(statuses(&gateway, "/user?user=ann", &from("10.0.0.1"), 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/user?user=bob", &from("10.0.0.1"), 1), [204]);
    assert_eq!(statuses(&gateway, "/user", &from("10.0.0.1"), 2), [204, 429], "nobody is the address");
    assert_eq!(statuses(&gateway, "/user?user=10.0.0.2", &from("10.0.0.1"), 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/user", &from("10.0.0.2"), 1), [204], "a name never takes an address's place");
    assert_eq!(statuses(&gateway, "/key?key=k", &from("10.0.0.1"), 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/shop", &[("x-shop", "a")], 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/shop", &[("x-shop", "b")], 1), [204]);
    assert_eq!(statuses(&gateway, "/shop", &[], 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/fn?who=1", &[], 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/fn", &[], 2), [204, 429]);
    for broken in ["/raise", "/wait"] {
        gateway.get(broken).refused(500, "script.error");
    }
    let tenant = |body: &str| gateway.call("POST", "/json", &[("content-type", "application/json")], body).status;
    assert_eq!(
        (tenant(r#"{"tenant":"a"}"#), tenant(r#"{"tenant":"a"}"#), tenant(r#"{"tenant":"b"}"#)),
        (204, 429, 204)
    );
}

#[test]
fn several_limits_are_one_decision() {
    let clock = still();
    let gateway = gateway::script(
        r#"
        local search = limiter "search" { "10/h", window = "fixed" }
        local both = rate_limit { "2/s", "3/min", name = "both" }
        route "GET /both" { both, function(req) return { text = tostring(req.limits.both.left) } end }
        route "GET /pair" { rate_limit { { "2/h", by = "{query.who}" }, { "3/h", by = "{route}" } }, function() return 204 end }
        route "GET /cheap" { rate_limit { search }, function() return 204 end }
        route "GET /dear" { rate_limit { { search, cost = 4 } }, function() return 204 end }
        route "GET /asked" { rate_limit { { search, cost = function(req) return tonumber(req.query.n) end } }, function() return 204 end }
        route "GET /peek" { function(req) local ok, info = search:peek(req.ip) return { json = info } end }
        "#,
    )
    .clock(&clock)
    .start();
    assert_eq!(statuses(&gateway, "/both", &[], 3), [200, 200, 429]);
    clock.advance(Duration::from_secs(1));
    let third = gateway.get("/both").with(200);
    assert_eq!(third.text(), "0");
    let policies = r#""both 2/s";q=2;w=1, "both 3/min";q=3;w=60"#;
    assert_eq!(fields(&third), (policies, r#""both 2/s";r=1;t=1, "both 3/min";r=0;t=60"#));
    let refused = gateway.get("/both").with(429);
    assert_eq!(
        (fields(&refused).1, refused.header("retry-after")),
        (r#""both 2/s";r=1;t=1, "both 3/min";r=0;t=59"#, Some("59"))
    );
    // The second limit has no room for the fourth: the first is not charged for it.
    assert_eq!(statuses(&gateway, "/pair?who=a", &[], 3), [204, 204, 429]);
    assert_eq!(statuses(&gateway, "/pair?who=b", &[], 2), [204, 429]);
    assert_eq!(fields(&gateway.get("/pair?who=b")).1, r#""2/h by value";r=1;t=3600, "3/h by value";r=0;t=3600"#);
    assert_eq!(statuses(&gateway, "/dear", &[], 3), [204, 204, 429]);
    assert_eq!(statuses(&gateway, "/cheap", &[], 3), [204, 204, 429]);
    assert_eq!(gateway.get("/peek").at("/left").as_i64(), Some(0), "the script sees the same counter");
    assert_eq!(statuses(&gateway, "/asked?n=0", &[], 1), [204]);
    gateway.get("/asked?n=-1").refused(500, "script.error");
}

#[test]
fn a_function_chooses_the_rate_and_what_was_used_stays_used() {
    let clock = still();
    let gateway = gateway::script(
        r#"
        local plans = { free = "2/min", gold = "4/min", bucket = { "1/min", burst = 3 } }
        local function plan(req)
          if req.query.plan == "none" then return false end
          return plans[req.query.plan]
        end
        local limited = rate_limit { { plan, by = "{query.who}" } }
        route "GET /x" { limited, function() return 204 end }
        "#,
    )
    .clock(&clock)
    .start();
    assert_eq!(statuses(&gateway, "/x?plan=free&who=a", &[], 3), [204, 204, 429]);
    let gold = gateway.get("/x?plan=gold&who=a").with(204);
    assert_eq!(fields(&gold), (r#""4/min by value";q=4;w=60"#, r#""4/min by value";r=1;t=60"#));
    let free = gateway.get("/x?plan=none&who=a").with(204);
    assert_eq!(fields(&free), ("none", "none"));
    assert_eq!(statuses(&gateway, "/x?plan=bucket&who=b", &[], 4), [204, 204, 204, 429]);
    gateway.get("/x?plan=other&who=a").refused(500, "script.error");
}

#[test]
fn what_is_counted_after_the_answer() {
    let gateway = gateway::script(
        r#"
        local tokens = rate_limit { "10/h", count = function(req, res) return tonumber(res.headers["x-tokens"]) end, name = "tokens" }
        local failures = rate_limit { "2/h", count = function(req, res) return if res.status == 401 then 1 else 0 end }
        route "GET /tokens" { tokens, function(req) return { status = 204, headers = { ["x-tokens"] = req.query.n } } end }
        route "GET /login" { failures, function(req) return tonumber(req.query.status) end }
        "#,
    )
    .start();
    let first = gateway.get("/tokens?n=7").with(204);
    assert!(fields(&first).1.starts_with(r#""tokens";r=3;t="#), "{:?}", fields(&first));
    assert_eq!(statuses(&gateway, "/tokens?n=7", &[], 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/login?status=200", &[], 4), [200, 200, 200, 200]);
    assert_eq!(statuses(&gateway, "/login?status=401", &[], 3), [401, 401, 429]);
}

#[test]
fn a_dry_run_counts_and_says_nothing() {
    let gateway = gateway::script(
        r#"
        route "GET /dry" { rate_limit { "1/h", enforce = false }, function() return 204 end }
        route "GET /own" { rate_limit { "1/h", status = 503, detail = "later" }, function() return 204 end }
        route "GET /some" { rate_limit { "1/h", when = function(req) return req.query.free == nil end }, function() return 204 end }
        "#,
    )
    .start();
    assert_eq!(statuses(&gateway, "/dry", &[], 3), [204, 204, 204]);
    assert_eq!(fields(&gateway.get("/dry")), ("none", "none"));
    assert!(gateway.metric("moongate_dry_refusals_total{step=\"rate_limit\"}") >= 3.0);
    gateway.get("/own").with(204);
    let own = gateway.get("/own");
    own.refused(503, "rate_limit.exceeded");
    assert_eq!((own.at("/detail").as_str(), own.header("retry-after")), (Some("later"), Some("3600")));
    assert_eq!(statuses(&gateway, "/some?free=1", &[], 3), [204, 204, 204]);
}

#[test]
fn one_value_is_one_set_of_counters_and_reloads_keep_it() {
    let text = |rate: &str| {
        format!(
            r#"
            local shared = rate_limit "{rate}"
            route "GET /a" {{ shared, function() return 204 end }}
            route "GET /b" {{ shared, function() return 204 end }}
            route "GET /c" {{ rate_limit "3/h", function() return 204 end }}
            route "GET /called" {{ function(req) shared(req) return 204 end }}
            "#
        )
    };
    let gateway = gateway::script(&text("3/h")).start();
    assert_eq!((statuses(&gateway, "/a", &[], 1), statuses(&gateway, "/b", &[], 1)), (vec![204], vec![204]));
    assert_eq!(statuses(&gateway, "/c", &[], 1), [204]);
    assert_eq!(statuses(&gateway, "/called", &[], 2), [204, 429]);
    gateway.edit(&(text("3/h") + "-- a comment")).unwrap();
    assert_eq!(statuses(&gateway, "/a", &[], 1), [429]);
    gateway.edit(&text("5/h")).unwrap();
    assert_eq!(statuses(&gateway, "/b", &[], 3), [204, 204, 429]);
    assert_eq!(statuses(&gateway, "/c", &[], 3), [204, 204, 429]);
}

/// Many connections on both workers at one key, while time stands still: exactly the rate.
#[test]
fn workers_together_never_let_more_through_than_allowed() {
    let gateway = gateway::script(
        r#"route "GET /x" { rate_limit { "100/h", "150/day" }, rate_limit { { "120/h", by = "{route}" } }, function() return 204 end }"#,
    )
    .clock(&still())
    .workers(4)
    .start();
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = gateway.client();
                let mine = (0..40).filter(|_| client.get("/x").status == 204).count();
                passed.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(passed.into_inner(), 100);
}

#[test]
fn a_refusal_may_be_answered_otherwise_and_keeps_its_fields() {
    let gateway = gateway::script(
        r#"
        gateway { errors = { ["rate_limit.*"] = { status = 420, json = { calm = "down" } } } }
        route "GET /x" { rate_limit "1/h", function() return 204 end }
        "#,
    )
    .start();
    gateway.get("/x").with(204);
    let refused = gateway.get("/x").with(420);
    assert_eq!((refused.at("/calm").as_str(), refused.header("retry-after")), (Some("down"), Some("3600")));
    assert!(fields(&refused).1.starts_with(r#""1/h";r=0;t=3600"#));
}
