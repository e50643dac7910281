//! Templates, patterns, JSON, addresses, certificates, forms, and whole scripts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::net::Certificate;
use moongate::primitive::form as forms;
use moongate::primitive::json_limit;
use moongate::primitive::json_limit::JsonLimit;
use moongate::primitive::query::Query;
use moongate::primitive::scan::Scan;
use moongate::primitive::url as urls;
use moongate::route::Pattern;
use moongate::script::LoadOptions;
use moongate::script::load;
use moongate::transform::json::path::Path;
use moongate::transform::template::Escape;
use moongate::transform::template::Template;

use super::lossy;
use super::two;

/// A value never becomes more than a value where it is put.
pub(super) fn template(bytes: &[u8]) {
    let (text, value) = two(bytes);
    let (text, value) = (lossy(text), lossy(value));
    let params = ["id".to_owned(), "rest".to_owned()];
    for escape in [Escape::Url, Escape::Header, Escape::Json, Escape::Xml, Escape::Plain] {
        let Ok(template) = Template::parse(&text, escape, &params) else { continue };
        let filled = template.render(&mut |_| Some(Cow::Borrowed(value.as_str())));
        let Ok(filled) = filled else { continue };
        if escape == Escape::Header && !text.contains(['\r', '\n', '\0']) {
            assert!(!filled.contains(['\r', '\n', '\0']), "{text:?} with {value:?}");
        }
        if escape == Escape::Url && !text.contains("..") && text.starts_with('/') && !text.contains(['?', '#', '{']) {
            assert!(!filled.split('/').any(|part| part == ".."), "{text:?} with {value:?}");
        }
    }
}

pub(super) fn pattern(bytes: &[u8]) {
    let text = lossy(bytes);
    if let Ok(pattern) = Pattern::parse(&text) {
        assert!(pattern.names().count() <= text.matches('{').count());
    }
}

/// What our scanner takes, another parser takes as well.
pub(super) fn json(bytes: &[u8]) {
    let ours = Scan::new(bytes).and_then(|mut scan| scan.skip().and_then(|()| scan.end()));
    let plain = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if ours.is_ok() {
        let theirs = serde_json::from_slice::<serde_json::Value>(plain);
        // Exponents beyond all bounds and lone surrogates are a matter of taste.
        let taste = plain.iter().any(|byte| matches!(byte, b'e' | b'E' | b'\\'));
        assert!(theirs.is_ok() || taste, "{theirs:?} {:?}", lossy(bytes));
    }
    let _ = JsonLimit::new(&json_limit::Config::default()).check(bytes);
}

pub(super) fn json_path(bytes: &[u8]) {
    let (path, document) = two(bytes);
    let Ok(path) = Path::parse(&lossy(path)) else { return };
    let Ok(mut document) = serde_json::from_slice::<serde_json::Value>(document) else { return };
    let found = path.all(&document).len();
    assert!(found > 0 || path.get(&document).is_none());
    path.set(&mut document, &serde_json::Value::Null);
}

/// What was encoded is decoded to the same.
pub(super) fn url(bytes: &[u8]) {
    let (address, rest) = two(bytes);
    let _ = urls::parse(&lossy(address));
    let _ = urls::join("https://a.dev/b/c", &lossy(rest));
    let decoded = urls::decode(&lossy(rest));
    assert_eq!(urls::decode(&urls::encode(&decoded)), decoded);
}

pub(super) fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::parse(bytes) {
        assert_eq!(certificate.fingerprint().len(), 64);
        let _ = certificate.title();
        let _ = certificate.hosts().count();
    }
}

/// What was read is the same after it was written.
pub(super) fn form(bytes: &[u8]) {
    let read = |text: &[u8]| forms::parse(text).map(|(k, v)| (k.into_owned(), v.into_owned())).collect::<Vec<_>>();
    let pairs = read(bytes);
    let written = forms::encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(read(written.as_bytes()), pairs);
    let mut query = Query::parse(&lossy(bytes));
    query.set("a", "b&c=d");
    assert_eq!(query.get("a"), Some("b&c=d"));
    let _ = query.encode();
}

/// Any script loads or is told what is wrong with it.
pub(super) fn script(bytes: &[u8]) {
    let folder = std::env::temp_dir().join(format!("moongate-fuzz-{}", std::process::id()));
    if std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    let file = folder.join("gateway.lua");
    let options = LoadOptions {
        env: BTreeMap::new(),
        clock: Clock::fake(Duration::from_secs(1_750_000_000)),
        ..LoadOptions::default()
    };
    if std::fs::write(&file, bytes).is_ok()
        && let Err(faults) = load(&file, &options)
    {
        assert!(!faults.render(false).trim().is_empty());
        faults.to_json();
    }
}
