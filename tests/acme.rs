//! Certificates by ACME (S-91): asked for, proved, served, renewed; when that fails, the old one stays and it is said.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use moongate::clock::Clock;

use crate::support::acme;
use crate::support::acme::Acme;
use crate::support::acme::Mood;
use crate::support::client::Client;
use crate::support::front;
use crate::support::front::Front;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::gateway::Setup;
use crate::support::temp::Dir;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::wait;
use crate::support::wait::Stopwatch;

const DAY: u64 = 24 * 3600;

/// Clients look at certificates in real time, so that is when the clock begins.
fn clock() -> Clock {
    Clock::fake(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

/// Two listeners, the first in clear text; every request of a step is refused.
fn both(authority: &Acme, clock: &Clock, more: &str) -> Setup {
    setup(authority, clock, r#"{ { "127.0.0.1:0", tls = false }, "127.0.0.2:0" }"#, more)
}

fn setup(authority: &Acme, clock: &Clock, listen: &str, more: &str) -> Setup {
    let script = format!(
        r#"
        gateway {{
          listen = {listen}, idle = "100d",
          tls = {{ redirect_http = true, acme = {{
            email = "ops@a.dev", domains = {{ "a.dev", "www.a.dev" }}, directory = "{}", storage = "certificates"{more},
          }} }},
          function(req) req.headers["x-step"] = "ran" end,
        }}
        route "GET /who" {{ function(req) return {{ text = req.tls.sni }} end }}
        route "/.well-known/{{rest*}}" {{ function() return 404 end }}
        "#,
        authority.directory()
    );
    gateway::script(&script).listeners_of_the_script().clock(clock)
}

/// The listener of TLS, which stands last.
fn secure(gateway: &Gateway) -> SocketAddr {
    *gateway.addresses().last().unwrap()
}

fn start(authority: &Acme, setup: Setup) -> Gateway {
    let gateway = setup.start();
    let tls = secure(&gateway);
    authority.names_lead_to(Some(gateway.address()), Some(tls));
    gateway
}

/// Turns the clock until `holds`.
fn turn(clock: &Clock, what: &str, mut holds: impl FnMut() -> bool) {
    wait::until(what, || {
        clock.advance(Duration::from_millis(200));
        holds()
    });
}

/// The same over hours and days: by leaps while the authority is not asked, slowly while it is. `gateway` is asked each
/// time, so that it keeps up with the clock on a busy machine; an attempt that is outrun all the same is made again.
fn leap(clock: &Clock, authority: &Acme, gateway: &Gateway, what: &str, mut holds: impl FnMut() -> bool) {
    let (mut calls, mut quiet) = (authority.calls(), Stopwatch::start());
    wait::until(what, || {
        if authority.calls() != calls {
            (calls, quiet) = (authority.calls(), Stopwatch::start());
        }
        let is_quiet = quiet.elapsed() > Duration::from_millis(400);
        clock.advance(if is_quiet { Duration::from_secs(600) } else { Duration::from_millis(100) });
        let _ = failed(gateway);
        holds()
    });
}

fn visit(authority: &Acme, gateway: &Gateway, name: &str) -> Result<Client, String> {
    Visitor::of(&authority.root()).try_connect(secure(gateway), name)
}

/// The certificate that is shown.
fn shown(authority: &Acme, gateway: &Gateway) -> Option<Vec<u8>> {
    let mut client = visit(authority, gateway, "a.dev").ok()?;
    client.get("/who").with(200);
    Some(client.session().peer_certificates().unwrap()[0].to_vec())
}

fn failed(gateway: &Gateway) -> f64 {
    gateway.metric("moongate_acme_attempts_total{name=\"a.dev\",result=\"failed\"}")
}

#[test]
fn a_certificate_is_proved_in_clear_text_before_every_step_and_served_by_every_worker() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let gateway = start(&authority, both(&authority, &clock, "").workers(2));
    turn(&clock, "it is issued", || authority.issued() == 1 && shown(&authority, &gateway).is_some());
    for _ in 0..8 {
        for name in ["a.dev", "www.a.dev"] {
            assert_eq!(visit(&authority, &gateway, name).unwrap().get("/who").with(200).text(), name);
        }
    }
    assert!(visit(&authority, &gateway, "b.dev").is_err(), "nobody asked for that name");
    // What was a proof is a request like any other again.
    let path = "/.well-known/acme-challenge/token-0-0";
    assert_eq!(gateway.client().host("a.dev").get(path).status, 308);
    assert_eq!((authority.accounts(), authority.orders()), (1, 1));
    let end = gateway.metric("moongate_tls_certificate_not_after{name=\"a.dev\"}");
    let expected = clock.unix().as_secs_f64() + (90 * DAY) as f64;
    assert!((end - expected).abs() < 3600.0, "{end} is not about {expected}");
}

#[test]
fn a_certificate_is_proved_by_a_handshake_that_leads_to_nothing_else() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let gateway = start(&authority, setup(&authority, &clock, r#"{ "127.0.0.1:0" }"#, ""));
    turn(&clock, "it is issued", || authority.issued() == 1 && shown(&authority, &gateway).is_some());
    assert!(gateway.metric("moongate_tls_handshakes_total{result=\"acme\"}") == 2.0);
    let curious = Visitor::of(&authority.root()).offering(&["acme-tls/1"]);
    assert!(curious.try_connect(secure(&gateway), "a.dev").is_err(), "no proof is asked for now");
}

#[test]
fn before_the_first_certificate_clear_text_is_served_and_tls_is_not() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    authority.mood(Mood::Gone);
    let gateway = start(&authority, both(&authority, &clock, ""));
    assert!(visit(&authority, &gateway, "a.dev").is_err());
    assert_eq!(gateway.client().host("a.dev").get("/who").status, 308);
    turn(&clock, "the failure is counted", || failed(&gateway) == 1.0);
    authority.mood(Mood::Well);
    turn(&clock, "it is tried again", || authority.issued() == 1 && shown(&authority, &gateway).is_some());
}

#[test]
fn it_is_renewed_in_time_without_dropping_a_connection() {
    let clock = clock();
    let authority = acme::start(&clock, 1);
    let gateway = start(&authority, both(&authority, &clock, ""));
    turn(&clock, "it is issued", || shown(&authority, &gateway).is_some());
    let (first, began) = (shown(&authority, &gateway), clock.unix().as_secs());
    let mut old = visit(&authority, &gateway, "a.dev").unwrap();
    old.get("/who").with(200);
    let generation = gateway.generation();
    leap(&clock, &authority, &gateway, "it is renewed", || authority.issued() == 2);
    let hours = (clock.unix().as_secs() - began) / 3600;
    assert!((11..=13).contains(&hours), "a day's certificate was renewed after {hours} hours");
    // Its time begins in what is the future for a client with a watch; the bytes are what counts.
    turn(&clock, "the new one is shown", || shown_to_anyone(&gateway) != first);
    old.get("/who").with(200);
    assert_eq!(gateway.generation(), generation, "no reload was needed");
    assert_eq!(authority.accounts(), 1, "the account stays");
}

fn shown_to_anyone(gateway: &Gateway) -> Option<Vec<u8>> {
    let mut client = acme::anyone(secure(gateway), "a.dev");
    client.session().peer_certificates().map(|chain| chain[0].to_vec())
}

#[test]
fn an_authority_may_want_it_sooner_and_learns_what_is_replaced() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let began = clock.unix().as_secs();
    authority.suggests((began + 2 * DAY, began + 3 * DAY));
    let gateway = start(&authority, both(&authority, &clock, ""));
    turn(&clock, "it is issued", || authority.issued() == 1);
    leap(&clock, &authority, &gateway, "it is renewed", || authority.issued() == 2);
    // The clock is turned while real connections are made: how far it gets until they are answered is not certain.
    let days = (clock.unix().as_secs() - began) / DAY;
    assert!((2..30).contains(&days), "renewed after {days} days; unasked it would be after 60");
    assert_eq!(authority.replaced(), 1);
    drop(gateway);
}

#[test]
fn whatever_goes_wrong_the_old_one_stays_and_it_is_said() {
    let clock = clock();
    let authority = acme::start(&clock, 1);
    let gateway = start(&authority, both(&authority, &clock, ""));
    turn(&clock, "it is issued", || shown(&authority, &gateway).is_some());
    let first = shown(&authority, &gateway);
    for mood in [Mood::Doubts, Mood::Busy(5), Mood::Gone] {
        authority.mood(mood);
        let before = failed(&gateway);
        leap(&clock, &authority, &gateway, "it fails", || failed(&gateway) > before);
        assert_eq!(shown_to_anyone(&gateway), first, "{mood:?}");
    }
    authority.mood(Mood::Well);
    leap(&clock, &authority, &gateway, "it comes through in the end", || authority.issued() == 2);
}

#[test]
fn a_rate_limit_is_respected() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    authority.mood(Mood::Busy(7200));
    let gateway = start(&authority, both(&authority, &clock, ""));
    turn(&clock, "the first attempt fails", || failed(&gateway) == 1.0);
    authority.mood(Mood::Well);
    let calls = authority.calls();
    for _ in 0..70 {
        clock.advance(Duration::from_secs(100));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(authority.calls(), calls, "7000 seconds later nobody has asked again");
    clock.advance(Duration::from_secs(300));
    turn(&clock, "it is issued", || authority.issued() == 1);
}

#[test]
fn a_nonce_that_is_refused_is_replaced() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    authority.mood(Mood::Forgets);
    let gateway = start(&authority, both(&authority, &clock, ""));
    turn(&clock, "it is issued", || authority.issued() == 1);
    assert_eq!(failed(&gateway), 0.0);
}

#[test]
fn what_was_issued_outlives_the_process_and_is_the_owners_alone() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let dir = Dir::new();
    let first = both(&authority, &clock, "");
    let storage = dir.join("kept");
    let first = start(&authority, first.with("certificates", storage.display()));
    turn(&clock, "it is issued", || shown(&authority, &first).is_some());
    let certificate = shown(&authority, &first);
    drop(first);
    let files = files(&storage);
    assert_eq!(files.len(), 2, "{files:?}");
    for (path, mode) in files {
        assert_eq!(mode, 0o600, "{path}");
    }
    let (calls, orders) = (authority.calls(), authority.orders());
    let second = both(&authority, &clock, "").with("certificates", storage.display()).start();
    assert_eq!(shown(&authority, &second), certificate, "from the first moment");
    second.reload().unwrap();
    assert_eq!(shown(&authority, &second), certificate);
    assert_eq!(
        (authority.orders(), authority.calls().min(calls + 2)),
        (orders, authority.calls()),
        "nothing is ordered"
    );
}

/// `https://localhost` before the authority, with a certificate of this one.
fn front(authority: &Acme, signed_by: &Authority) -> Front {
    let front = front::before(authority.address(), &signed_by.server(&["localhost"]));
    authority.is_known_as(format!("https://localhost:{}", front.port()));
    front
}

#[test]
fn an_authority_of_ones_own_is_believed_by_its_ca() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let own = Authority::new("Own");
    let _front = front(&authority, &own);
    let setup = both(&authority, &clock, r#", ca = "own.pem""#).file("own.pem", &own.pem);
    let gateway = start(&authority, setup);
    turn(&clock, "it is issued", || authority.issued() == 1 && shown(&authority, &gateway).is_some());
    assert_eq!(failed(&gateway), 0.0);
}

#[test]
fn an_authority_whose_certificate_nobody_vouches_for_is_told_nothing() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let (own, other) = (Authority::new("Own"), Authority::new("Other"));
    let _front = front(&authority, &own);
    for ca in ["", r#", ca = "other.pem""#] {
        let setup = both(&authority, &clock, ca).file("other.pem", &other.pem);
        let gateway = start(&authority, setup);
        turn(&clock, "it fails", || failed(&gateway) >= 1.0);
        assert!(shown(&authority, &gateway).is_none());
    }
    assert_eq!((authority.calls(), authority.accounts()), (0, 0));
}

/// A gateway that keeps its certificates where others do.
fn sharing(authority: &Acme, clock: &Clock, storage: &Path) -> Setup {
    both(authority, clock, "").with("certificates", storage.display())
}

#[test]
fn gateways_that_share_a_folder_order_once_and_take_up_what_another_renewed() {
    let (clock, dir) = (clock(), Dir::new());
    let authority = acme::start(&clock, 1);
    let storage = dir.join("shared");
    let first = start(&authority, sharing(&authority, &clock, &storage));
    turn(&clock, "it is issued", || shown(&authority, &first).is_some());
    let other_clock = Clock::fake(clock.unix());
    let second = sharing(&authority, &other_clock, &storage).start();
    let old = shown(&authority, &second);
    assert_eq!((old.is_some(), old == shown(&authority, &first)), (true, true));
    let began = clock.unix().as_secs();
    leap(&clock, &authority, &first, "it is renewed", || authority.issued() == 2);
    assert!(clock.unix().as_secs() - began > 11 * 3600, "after half of its time");
    turn(&clock, "it is shown", || shown_to_anyone(&first) != old);
    let (new, orders) = (shown_to_anyone(&first), authority.orders());
    // Long before it is due there too.
    wait::until("the other one has it as well", || {
        other_clock.advance(Duration::from_secs(600));
        failed(&second) == 0.0 && shown_to_anyone(&second) == new
    });
    assert!(other_clock.unix().as_secs() - began < 11 * 3600);
    assert_eq!((authority.issued(), authority.orders(), authority.accounts()), (2, orders, 1));
}

#[test]
fn gateways_that_start_together_do_not_order_the_same_twice() {
    let (clock, dir) = (clock(), Dir::new());
    let authority = acme::start(&clock, 90);
    let storage = dir.join("shared");
    let first = sharing(&authority, &clock, &storage).start();
    let second = sharing(&authority, &clock, &storage).start();
    // Names lead to one of them only: the other's order would fail.
    authority.names_lead_to(Some(first.address()), Some(secure(&first)));
    turn(&clock, "both have it", || [&first, &second].iter().all(|gateway| shown(&authority, gateway).is_some()));
    assert_eq!(shown(&authority, &first), shown(&authority, &second));
    assert_eq!(authority.accounts(), 1);
}

fn files(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        match path.is_dir() {
            true => {
                assert_eq!(mode, 0o700, "{path:?}");
                found.extend(files(&path));
            }
            false => found.push((path.display().to_string(), mode)),
        }
    }
    found
}

#[test]
fn a_reload_keeps_what_was_issued_and_drops_what_is_no_longer_wanted() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let gateway = start(&authority, both(&authority, &clock, ""));
    turn(&clock, "it is issued", || shown(&authority, &gateway).is_some());
    let first = shown(&authority, &gateway);
    for _ in 0..3 {
        gateway.reload().unwrap();
        assert_eq!(shown(&authority, &gateway), first);
    }
    gateway.edit(r#"gateway { listen = "127.0.0.1:0" } route "GET /" { function() return 204 end }"#).unwrap();
    let orders = authority.orders();
    for _ in 0..300 {
        clock.advance(Duration::from_secs(DAY / 2));
    }
    gateway.client().get("/").with(204);
    assert_eq!(authority.orders(), orders, "nobody asks for it any more");
}

#[test]
fn without_a_place_for_the_key_nothing_starts() {
    let clock = clock();
    let authority = acme::start(&clock, 90);
    let error = both(&authority, &clock, "").with(r#", storage = "certificates""#, "").try_start().err().unwrap();
    assert!(error.contains("--state"), "{error}");
    assert_eq!(authority.calls(), 0);
}
