use rcgen::CertificateParams;
use rcgen::KeyPair;

use super::*;

fn pair(hosts: &[&str]) -> (Pem, Pem) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
    (Pem::new(params.self_signed(&key).unwrap().pem()), Pem::new(key.serialize_pem()))
}

fn entry(hosts: &[&str], (cert, key): (Pem, Pem)) -> TlsEntry {
    TlsEntry {
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        source: Source::Pair { cert, key },
        min: MinVersion::V12,
        client_ca: None,
        client_cert: ClientCert::Required,
    }
}

fn certs(entries: Vec<TlsEntry>) -> Result<Certs, CertFault> {
    Certs::new(&TlsConfig { entries, redirect_http: false }, &[b"http/1.1"], &|_| Arc::default())
}

fn who(certs: &Certs, name: Option<&str>) -> Option<String> {
    certs.of(name).and_then(|entry| Some(entry.leaf()?.title().to_owned()))
}

#[test]
fn the_most_exact_name_wins_and_the_rest_gets_the_first_without_names() {
    let certs = certs(vec![
        entry(&[], pair(&["a.dev", "c.dev", "*.d.dev"])),
        entry(&["*.b.dev"], pair(&["*.b.dev"])),
        entry(&["x.b.dev", "c.dev"], pair(&["x.b.dev"])),
        entry(&[], pair(&["e.dev", "a.dev"])),
    ])
    .unwrap();
    for (name, expected) in [
        (Some("a.dev"), "a.dev"),
        (Some("y.b.dev"), "*.b.dev"),
        (Some("x.b.dev"), "x.b.dev"),
        (Some("c.dev"), "x.b.dev"),
        (Some("1.d.dev"), "a.dev"),
        (Some("e.dev"), "e.dev"),
        (Some("z.y.b.dev"), "a.dev"),
        (Some("b.dev"), "a.dev"),
        (Some(""), "a.dev"),
        (None, "a.dev"),
    ] {
        assert_eq!(who(&certs, name).as_deref(), Some(expected), "{name:?}");
    }
}

#[test]
fn where_every_certificate_has_names_others_get_none() {
    let certs = certs(vec![entry(&["a.dev"], pair(&["a.dev", "b.dev"]))]).unwrap();
    assert!(certs.of(Some("a.dev")).is_some());
    assert!(certs.of(Some("b.dev")).is_none() && certs.of(None).is_none());
}

#[test]
fn what_cannot_be_used_is_named() {
    let (cert, key) = pair(&["a.dev"]);
    let (_, other) = pair(&["a.dev"]);
    let fault = |cert: &Pem, key: &Pem| certs(vec![entry(&[], (cert.clone(), key.clone()))]).unwrap_err();
    assert!(certs(vec![entry(&[], (cert.clone(), key.clone()))]).is_ok());
    let wrong = fault(&cert, &other);
    assert_eq!((wrong.entry, wrong.option), (0, "key"));
    assert!(wrong.message.contains("does not belong"), "{wrong}");
    assert_eq!(fault(&key, &cert).option, "cert", "swapped");
    assert_eq!(fault(&cert, &cert).option, "key");
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERT"] {
        assert_eq!(fault(&Pem::new(text), &key).option, "cert", "{text}");
        assert_eq!(fault(&cert, &Pem::new(text)).option, "key", "{text}");
    }
    let locked =
        fault(&cert, &Pem::new("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"));
    assert!(locked.advice.contains("encrypted"), "{locked:?}");
}

#[test]
fn a_name_belongs_to_one_certificate() {
    let twice = certs(vec![entry(&["a.dev"], pair(&["a.dev"])), entry(&["b.dev", "a.dev"], pair(&["b.dev"]))]);
    let fault = twice.unwrap_err();
    assert_eq!((fault.entry, fault.option), (1, "host"));
}
