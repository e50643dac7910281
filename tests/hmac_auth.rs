//! `hmac_auth`: signed requests.

use std::time::Duration;

use moongate::clock::Clock;
use moongate::primitive::codec::base64_encode;
use moongate::primitive::digest::Hash;
use moongate::primitive::time::http_date;

use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

const SAID: &str =
    "local function said(req) return { json = { user = req.user, key = req.key, body = req:text() } } end";

/// A request and what is said about it.
struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    /// The target that is signed, when it is another.
    signed: Option<&'a str>,
    secret: &'a str,
    date: Duration,
    body: &'a str,
    /// What the digest is of, when it is of something else.
    digested: Option<&'a str>,
}

const ASK: Ask<'_> =
    Ask { method: "GET", target: "/?a=1", signed: None, secret: SECRET, date: NOW, body: "", digested: None };

impl Ask<'_> {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let date = http_date(self.date).unwrap();
        let target = format!("{} {}", self.method.to_lowercase(), self.signed.unwrap_or(self.target));
        let (mut names, mut text) =
            ("@request-target date host", format!("@request-target: {target}\ndate: {date}\nhost: shop.dev"));
        let digest =
            format!("SHA-256={}", base64_encode(Hash::Sha256.digest(self.digested.unwrap_or(self.body).as_bytes())));
        if !self.body.is_empty() || self.digested.is_some() {
            names = "@request-target date host digest";
            text += &format!("\ndigest: {digest}");
        }
        let mac = base64_encode(Hash::Sha256.hmac(self.secret.as_bytes(), text.as_bytes()).unwrap());
        let signature = format!(r#"Signature keyId="ann",algorithm="hmac-sha256",headers="{names}",signature="{mac}""#);
        vec![("authorization", signature), ("date", date), ("digest", digest)]
    }

    fn send(&self, gateway: &Gateway) -> Answer {
        let fields = self.fields();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        gateway.client().host("shop.dev").call(self.method, self.target, &fields, self.body)
    }
}

fn gateway(options: &str, clock: &Clock) -> Gateway {
    let keys = r#"keys = { ann = secret "ANN", bob = { secret = "another secret, long enough", user = "bob" } }"#;
    let script = format!(r#"{SAID} route "/" {{ hmac_auth {{ {keys}, {options} }}, said }}"#);
    gateway::script(&script).env("ANN", SECRET).clock(clock).workers(2).start()
}

#[test]
fn a_signed_request_passes_once() {
    let clock = Clock::fake(NOW);
    let gateway = gateway("", &clock);
    let first = ASK.send(&gateway).with(200);
    assert_eq!((first.at("/user/sub"), first.at("/key")), ("ann".into(), "ann".into()));
    for _ in 0..4 {
        ASK.send(&gateway).refused(401, "hmac_auth.replayed");
    }
    Ask { target: "/?a=2", ..ASK }.send(&gateway).with(200);
    gateway.reload().unwrap();
    ASK.send(&gateway).refused(401, "hmac_auth.replayed");
}

#[test]
fn what_was_not_signed_like_that_is_refused() {
    let clock = Clock::fake(NOW);
    let gateway = gateway("", &clock);
    let missing = gateway.get("/?a=1");
    missing.refused(401, "hmac_auth.missing");
    assert_eq!(missing.all("www-authenticate"), [r#"Signature realm="api", headers="@request-target date host""#]);
    Ask { signed: Some("/?a=2"), ..ASK }.send(&gateway).refused(401, "hmac_auth.invalid");
    Ask { secret: "another secret, long enough", ..ASK }.send(&gateway).refused(401, "hmac_auth.invalid");
    for seconds in [301, 100_000] {
        let off = Duration::from_secs(seconds);
        Ask { date: NOW - off, ..ASK }.send(&gateway).refused(401, "hmac_auth.expired");
        Ask { date: NOW + off, ..ASK }.send(&gateway).refused(401, "hmac_auth.expired");
    }
    Ask { date: NOW - Duration::from_secs(299), ..ASK }.send(&gateway).with(200);
    clock.advance(Duration::from_secs(400));
    ASK.send(&gateway).refused(401, "hmac_auth.expired");
}

#[test]
fn a_body_is_the_one_that_was_signed() {
    let clock = Clock::fake(NOW);
    let gateway = gateway("", &clock);
    let post = || Ask { method: "POST", body: "{\"a\":1}", ..ASK };
    assert_eq!(post().send(&gateway).with(200).at("/body"), "{\"a\":1}");
    Ask { digested: Some("{}"), ..post() }.send(&gateway).refused(401, "hmac_auth.invalid");
    // The head of a request without a body, with a body.
    let bare = Ask { method: "POST", ..ASK };
    let fields = bare.fields();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let smuggled = gateway.client().host("shop.dev").call("POST", "/?a=1", &fields, "{\"a\":2}");
    smuggled.refused(401, "hmac_auth.invalid");
    // The head of a request with a body, without one; that head is still good afterwards.
    let fields = Ask { body: "other", ..post() }.fields();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.client().host("shop.dev").call("POST", "/?a=1", &fields, "").refused(401, "hmac_auth.invalid");
    Ask { body: "other", ..post() }.send(&gateway).with(200);
}

#[test]
fn without_replay_and_body_less_is_asked() {
    let clock = Clock::fake(NOW);
    let service = upstream::says("ok");
    let keys = format!(r#"keys = {{ ann = "{SECRET}" }}"#);
    let gateway = gateway::script(&format!(
        r#"route "/" {{ hmac_auth {{ {keys}, replay = false, body = false, hide = true, forward = {{ ["x-user"] = "{{user.sub}}" }} }}, to = "service" }}"#
    ))
    .service("service", &service)
    .clock(&clock)
    .start();
    for _ in 0..2 {
        ASK.send(&gateway).with(200);
    }
    assert_eq!((service.last().header("authorization"), service.last().header("x-user")), (None, Some("ann")));
    let fields = Ask { method: "POST", ..ASK }.fields();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.client().host("shop.dev").call("POST", "/?a=1", &fields, "anything").with(200);
    assert!(!gateway.admin().get("/state").text().contains(SECRET));
}
