//! What is signed, to the byte; what is not, is refused.

use super::*;
use crate::http::Method;
use crate::primitive::codec::base64_encode;

/// Tue, 24 Nov 2026 10:00:00 GMT
const NOW: Duration = Duration::from_secs(1_795_514_400);
const DATE: &str = "Tue, 24 Nov 2026 10:00:00 GMT";

fn signatures(body: bool) -> Signatures<u8> {
    let headers = vec!["date".to_owned(), "host".to_owned()];
    let skew = Duration::from_secs(300);
    let config = Config { headers, algorithm: Hash::Sha256, name: "hmac-sha256".into(), skew, body };
    let mut signatures = Signatures::new(config);
    signatures.add("ann", b"secret", 1);
    signatures.add("bob", b"other", 2);
    signatures
}

/// A request signed as this text by `secret`, with these parameters before the signature.
fn signed(text: &str, said: &str, secret: &str, body: &str) -> Request {
    let mut request = Request {
        method: Method::Post,
        raw_path: Some("/a%2Fb".into()),
        query: Some("q=1".into()),
        ..Request::default()
    };
    request.headers.set("host", "Shop.dev");
    request.headers.set("date", DATE);
    request.headers.set("digest", format!("SHA-256={}", base64_encode(Hash::Sha256.digest(body.as_bytes()))));
    let mac = base64_encode(Hash::Sha256.hmac(secret.as_bytes(), text.as_bytes()).unwrap());
    request.headers.set("authorization", format!("Signature {said},signature=\"{mac}\""));
    request.body = body.to_owned().into();
    request
}

const TEXT: &str = "@request-target: post /a%2Fb?q=1\nhost: Shop.dev\ndate: Tue, 24 Nov 2026 10:00:00 GMT";
const SAID: &str = r#"keyId="ann",algorithm="hmac-sha256",headers="@request-target host date""#;

fn check(request: &Request) -> Result<u8, Unsigned> {
    signatures(false).check(request, NOW).map(|signed| *signed.user)
}

#[test]
fn a_signature_over_exactly_this_text_counts() {
    assert_eq!(check(&signed(TEXT, SAID, "secret", "")), Ok(1));
    let draft = TEXT.replace("@request-target", "(request-target)");
    let said = r#"keyId="ann", headers="(request-target) Host date""#;
    assert_eq!(check(&signed(&draft, said, "secret", "")), Ok(1));
    let kong = format!("{TEXT}\nx-two: a, b");
    let mut two =
        signed(&kong, r#"username="bob", algorithm="hs2019", headers="@request-target host date x-two""#, "other", "");
    two.headers.add("x-two", "a");
    two.headers.add("X-Two", "b");
    assert_eq!(check(&two), Ok(2));
}

#[test]
fn any_other_text_key_or_time_does_not() {
    let right = || signed(TEXT, SAID, "secret", "");
    assert_eq!(check(&signed(TEXT, SAID, "other", "")), Err(Unsigned::Wrong));
    assert_eq!(check(&signed(TEXT, &SAID.replace("ann", "cid"), "secret", "")), Err(Unsigned::Wrong));
    assert_eq!(check(&signed(TEXT, &SAID.replace("ann", "cid"), "nobody", "")), Err(Unsigned::Wrong));
    let mut other = right();
    other.method = Method::Put;
    assert_eq!(check(&other), Err(Unsigned::Wrong));
    let mut other = right();
    other.raw_path = Some("/a/b".into());
    assert_eq!(check(&other), Err(Unsigned::Wrong));
    let mut other = right();
    other.query = None;
    assert_eq!(check(&other), Err(Unsigned::Wrong));
    let mut other = right();
    other.headers.set("host", "shop.dev");
    assert_eq!(check(&other), Err(Unsigned::Wrong));
    for off in [301, 299] {
        let expected = |signed: Result<Signed<'_, u8>, Unsigned>| match off {
            301 => assert_eq!(signed.map(|_| ()).err(), Some(Unsigned::Date)),
            _ => assert_eq!(signed.map(|signed| signed.until).ok(), Some(NOW.as_secs() + 300)),
        };
        expected(signatures(false).check(&right(), NOW + Duration::from_secs(off)));
        expected(signatures(false).check(&right(), NOW - Duration::from_secs(off)));
    }
}

#[test]
fn what_must_be_signed_is_asked_for_by_name() {
    let unlisted = |headers: &str| check(&signed(TEXT, &format!(r#"keyId="ann",headers="{headers}""#), "secret", ""));
    assert_eq!(unlisted("host date"), Err(Unsigned::Unlisted("@request-target".into())));
    assert_eq!(unlisted("@request-target host"), Err(Unsigned::Unlisted("date".into())));
    assert_eq!(unlisted("@request-target date"), Err(Unsigned::Unlisted("host".into())));
    assert_eq!(unlisted("@request-target date host x-absent"), Err(Unsigned::Wrong));
    let said = r#"keyId="ann",algorithm="hmac-sha1",headers="@request-target host date""#;
    assert_eq!(check(&signed(TEXT, said, "secret", "")), Err(Unsigned::Algorithm));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let read = |field: &str| {
        let mut request = signed(TEXT, SAID, "secret", "");
        request.headers.set("authorization", field);
        check(&request).unwrap_err()
    };
    for field in ["Bearer x", "Basic Og==", "Signature", ""] {
        assert_eq!(read(field), Unsigned::Missing, "{field}");
    }
    for field in [
        "Signature x",
        r#"Signature keyId="ann""#,
        r#"Signature keyId="ann",signature="!""#,
        r#"Signature signature="eA==""#,
        r#"Signature keyId="ann",keyId="bob",signature="eA==""#,
        r#"Signature keyId="ann",username="bob",signature="eA==""#,
        r#"Signature keyId="an\n",signature="eA==""#,
        r#"Signature keyId="ann" signature="eA==""#,
        r#"Signature keyId="ann,signature=eA=="#,
        "Signature =,=,=",
    ] {
        assert_eq!(read(field), Unsigned::Malformed, "{field}");
    }
    let mut twice = signed(TEXT, SAID, "secret", "");
    twice.headers.add("authorization", "Signature x=1");
    assert_eq!(check(&twice), Err(Unsigned::Malformed));
    twice.headers.remove("authorization");
    assert_eq!(check(&twice), Err(Unsigned::Missing));
}

#[test]
fn a_body_needs_a_digest_that_was_signed_and_fits() {
    let check = |request: &Request| signatures(true).check(request, NOW).map(|signed| signed.body);
    assert_eq!(check(&signed(TEXT, SAID, "secret", "")), Ok(None), "no body, no digest");
    assert_eq!(check(&signed(TEXT, SAID, "secret", "{}")), Err(Unsigned::Unlisted("digest".into())));
    let digest = base64_encode(Hash::Sha256.digest(b"{}"));
    let text = format!("{TEXT}\ndigest: SHA-256={digest}");
    let said = r#"keyId="ann",headers="@request-target host date digest""#;
    let body = check(&signed(&text, said, "secret", "{}")).unwrap().unwrap();
    assert!(body.fits(b"{}") && !body.fits(b"{ }") && !body.fits(b""));
    let mut none = signed(&text, said, "secret", "{}");
    none.headers.set("digest", "MD5=x");
    assert!(check(&none).is_err());
    let fields = |text: &str| BodyDigest::read(text.as_bytes()).map(|body| body.fits(b"{}"));
    assert_eq!(fields(&format!("sha-256=:{digest}:")), Some(true));
    assert_eq!(fields(&format!("md5=x, SHA-256={digest}")), Some(true));
    assert_eq!((fields("SHA-256=!"), fields(""), fields("sha-256")), (None, None, None));
}

#[test]
fn a_signature_passes_once_while_its_date_would_let_it() {
    let seen = Seen::new(2);
    assert_eq!(seen.first([1; 16], 10, 5), First::Yes);
    assert_eq!(seen.first([1; 16], 10, 10), First::No);
    assert_eq!(seen.first([2; 16], 12, 10), First::Yes);
    assert_eq!(seen.first([3; 16], 12, 10), First::Full, "who cannot be noted cannot be told from a repetition");
    assert_eq!((seen.first([3; 16], 14, 11), seen.len(), seen.is_empty()), (First::Yes, 2, false));
    assert_eq!(seen.first([2; 16], 20, 13), First::Yes);
}
