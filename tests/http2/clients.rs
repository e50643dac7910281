//! Clients that others wrote, where this machine has them.

use super::WHO;
use super::clear;
use super::secure;
use crate::support::program::run;
use crate::support::tls::Authority;
use crate::support::upstream;

#[test]
fn curl_is_served_over_tls_and_in_clear_text() {
    let authority = Authority::new("CA");
    let gateway = secure(&authority, WHO).file("ca.pem", &authority.pem).start();
    let address = gateway.address();
    let ca = gateway.dir().join("ca.pem");
    let (url, name) = (format!("https://a.dev:{}/who", address.port()), format!("a.dev:{}:127.0.0.1", address.port()));
    let arguments =
        ["-sS", "--http2", "--cacert", ca.to_str().unwrap(), "--resolve", &name, "-w", " %{http_version}", &url];
    if let Some(said) = run("curl", &arguments) {
        assert!(said.ends_with(" 2") && said.contains(r#""version":"2""#), "{said}");
    }
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = clear(r#"route "POST /" { to = "service" }"#).service("service", &service).start();
    let body = "x".repeat(300_000);
    let file = gateway.dir().write("body", &body);
    let (url, data) = (format!("http://{}/", gateway.address()), format!("@{}", file.display()));
    if let Some(said) = run("curl", &["-sS", "--http2-prior-knowledge", "--data-binary", &data, &url]) {
        assert!(said == body, "{} bytes came back", said.len());
    }
}

#[test]
fn nghttp_and_h2load_are_served() {
    let service = upstream::says("hello");
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let url = format!("http://{}/", gateway.address());
    if let Some(said) = run("nghttp", &["-nv", "--no-dep", &url, &url]) {
        assert!(said.contains(":status: 200") && !said.contains("RST_STREAM"), "{said}");
    }
    if let Some(said) = run("h2load", &["-n", "2000", "-c", "4", "-m", "20", &url]) {
        assert!(said.contains("2000 succeeded, 0 failed"), "{said}");
    }
}
