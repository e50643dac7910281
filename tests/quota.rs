//! `quota`: windows of the calendar that outlive the process.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::binary;
use crate::support::binary::Setup;
use crate::support::gateway;
use crate::support::wait;

const SCRIPT: &str = r#"
local function ok() return 204 end
route "GET /x" { quota { "3/year", by = "{header.x-who}" }, ok }
route "GET /own" { quota { "2/year", file = "own.journal", name = "own" }, ok }
"#;

#[test]
fn a_quota_is_of_the_calendar_and_says_when_it_is_whole_again() {
    // 1,800,000,000 is 08:00 of January 15th, 2027.
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let script = r#"route "GET /x" { quota { "2/day", name = "daily" }, function(req) return { text = tostring(req.limits.daily.left) } end }"#;
    let gateway = gateway::script(script).clock(&clock).start();
    assert_eq!((gateway.get("/x").text(), gateway.get("/x").text()), ("1", "0"));
    let refused = gateway.get("/x");
    refused.refused(429, "quota.exceeded");
    assert_eq!(refused.header("retry-after"), Some("57600"));
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""daily";q=2;w=86400"#));
    assert_eq!(refused.header("ratelimit"), Some(r#""daily";r=0;t=57600"#));
    clock.advance(Duration::from_secs(57_600));
    gateway.get("/x").with(200);
}

#[test]
fn a_quota_outlives_a_process_that_is_killed() {
    let state = |setup: Setup| setup.argument("--state").argument("$DIR/state");
    let first = state(binary::script(SCRIPT)).start();
    let ask =
        |client: &mut crate::support::client::Client, who: &str| client.call("GET", "/x", &[("x-who", who)], "").status;
    let mut client = first.client();
    let file = first.dir().path().join("state/quota.journal");
    let size = || std::fs::metadata(&file).map_or(0, |meta| meta.len());
    assert_eq!((ask(&mut client, "a"), ask(&mut client, "a")), (204, 204));
    let empty = size();
    wait::until("it is written", || size() > empty);
    assert_eq!((ask(&mut client, "b"), client.get("/own").status), (204, 204));
    let before = size();
    wait::until("more is written", || size() > before);
    wait::until("the other file too", || first.dir().path().join("state/own.journal").exists());
    std::thread::sleep(Duration::from_millis(1200));
    let dir = first.dir().clone();
    // Killed, not asked to leave; and the last write was torn.
    drop(first);
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend([40, 0, 0, 0, 9]);
    std::fs::write(&file, torn).unwrap();
    let second = state(Setup::again(&dir)).start();
    let mut client = second.client();
    assert_eq!((ask(&mut client, "a"), ask(&mut client, "a")), (204, 429));
    assert_eq!((ask(&mut client, "b"), ask(&mut client, "b"), ask(&mut client, "b")), (204, 204, 429));
    assert_eq!((client.get("/own").status, client.get("/own").status), (204, 429));
}
