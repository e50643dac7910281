use super::*;

fn parts(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn get(uri: &str, fields: &[(&str, &str)]) -> Result<Head, Refusal> {
    read(&parts("GET", uri, fields), true, Scheme::Https, &Limits::default())
}

fn fault(uri: &str, fields: &[(&str, &str)]) -> Refusal {
    get(uri, fields).err().unwrap_or_else(|| panic!("{uri} {fields:?} passed"))
}

#[test]
fn a_head_becomes_the_request_it_would_be_over_http_1() {
    let fields = [("accept", "*/*"), ("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("x-a", "1")];
    let Head { request, length, expects } = get("https://A.dev:8443/a/./b%7e?q=%20", &fields).unwrap();
    assert_eq!((request.path.as_str(), request.raw_path()), ("/a/b~", "/a/./b%7e"));
    assert_eq!((request.query.as_deref(), &*request.host), (Some("q=%20"), "a.dev:8443"));
    assert_eq!((request.version, request.scheme), (Version::Http2, Scheme::Https));
    assert_eq!((length, expects, request.headers.len()), (None, false, 3));
    assert_eq!(request.headers.text("cookie"), Some("a=1; b=2"));
}

#[test]
fn authority_and_host_agree_or_the_request_is_refused() {
    assert_eq!(get("https://a.dev/", &[("host", "A.dev:443")]).unwrap().request.host.as_ref(), "a.dev");
    assert_eq!(get("/", &[("host", "a.dev")]).unwrap().request.host.as_ref(), "a.dev");
    for (uri, fields) in [
        ("https://a.dev/", &[("host", "b.dev")][..]),
        ("https://a.dev/", &[("host", "a.dev:80")]),
        ("/", &[("host", "a.dev"), ("host", "a.dev")]),
        ("/", &[("host", "a.dev, b.dev")]),
        ("/", &[]),
        ("https://user@a.dev/", &[]),
        ("ftp://a.dev/", &[]),
    ] {
        assert!(matches!(fault(uri, fields), Refusal::Malformed(_)), "{uri} {fields:?}");
    }
}

#[test]
fn what_http_1_refuses_is_refused() {
    let host = ("host", "a.dev");
    for fields in [
        &[host, ("x_a", "1")][..],
        &[host, ("x-a", " 1")],
        &[host, ("x-a", "1\t")],
        &[host, ("content-length", "+1")],
        &[host, ("content-length", "1"), ("content-length", "1")],
    ] {
        assert!(matches!(fault("/", fields), Refusal::Malformed(_)), "{fields:?}");
    }
    assert_eq!(fault("/", &[host, ("expect", "tea")]), Refusal::Expectation);
    assert!(matches!(fault("/a%2fb", &[host]), Refusal::Path(_)));
    assert!(matches!(fault("/caf\u{e9}", &[host]), Refusal::Malformed(_)));
    for method in ["TRACE", "CONNECT"] {
        let plain = read(&parts(method, "https://a.dev/", &[]), true, Scheme::Https, &Limits::default());
        assert_eq!(plain.err(), Some(Refusal::Method));
    }
}

#[test]
fn limits_are_those_of_any_head() {
    let limits = Limits { headers: 200, header_count: 3, uri: 20, body: 10, ..Limits::default() };
    let read =
        |uri: &str, fields: &[(&str, &str)]| read(&parts("POST", uri, fields), false, Scheme::Https, &limits).err();
    assert_eq!(read("https://a.dev/", &[("content-length", "10"), ("x-a", "1")]), None);
    assert_eq!(read("https://a.dev/", &[("content-length", "11")]), Some(Refusal::BodyTooLarge));
    assert_eq!(read("https://a.dev/aaaaaaaaaaaaaaaaaaaaa", &[]), Some(Refusal::UriTooLong));
    let many = [("x-a", "1"), ("x-b", "1"), ("x-c", "1"), ("x-d", "1")];
    assert_eq!(read("https://a.dev/", &many), Some(Refusal::HeadersTooLarge("x-d".into())));
    let long = "x".repeat(200);
    assert_eq!(read("https://a.dev/", &[("x-a", &long)]), Some(Refusal::HeadersTooLarge("x-a".into())));
}

#[test]
fn a_websocket_comes_as_an_extended_connect() {
    let connect = |protocol: &'static str, ended| {
        let mut parts = parts("CONNECT", "https://a.dev/ws?x=1", &[("sec-websocket-version", "13")]);
        parts.extensions.insert(::h2::ext::Protocol::from_static(protocol));
        read(&parts, ended, Scheme::Https, &Limits::default())
    };
    let request = connect("websocket", false).unwrap().request;
    assert_eq!((request.method, request.path.as_str()), (Method::Get, "/ws"));
    assert_eq!(request.upgrade.as_deref(), Some("websocket"));
    assert_eq!(connect("connect-udp", false).err(), Some(Refusal::Method));
    assert!(matches!(connect("websocket", true).err(), Some(Refusal::Malformed(_))));
}
