//! Whether a client's certificate is one of those a route accepts, beyond being signed by `client_ca`.

use crate::net::Certificate;
use crate::net::certificate::Name;
use crate::primitive::glob::Glob;

/// Which certificates; each list that is written must hold, by any of its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// SHA-256 in hex, with colons or without, in either case; empty: any.
    pub fingerprints: Vec<String>,
    /// Globs over the whole subject (`CN=orders,O=Acme`), or over the common name where they have no `=`; empty: any.
    pub subjects: Vec<String>,
    /// Globs over alternative names: a pattern with `://` looks at URIs, one with `@` at mail addresses, one that is
    /// an address at addresses, any other at host names; empty: any.
    pub san: Vec<String>,
}

/// [`Config`], compiled.
#[derive(Clone, Debug)]
pub struct Mtls {
    fingerprints: Vec<[u8; 32]>,
    subjects: Vec<Subject>,
    san: Vec<Alternative>,
}

/// An entry that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Why a certificate is not accepted; for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It ended while the connection lived.
    #[error("the certificate's time is over, or has not come")]
    Time,
    /// Not one of those listed.
    #[error("its {0} is not one of those accepted")]
    Unlisted(&'static str),
}

#[derive(Clone, Debug)]
enum Subject {
    Whole(Glob),
    CommonName(Glob),
}

#[derive(Clone, Debug)]
enum Alternative {
    Dns(Glob),
    Uri(Glob),
    Email(Glob),
    Ip(ipnet::IpNet),
}

impl Mtls {
    /// Compiles the lists.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {
            fingerprints: config.fingerprints.iter().map(|text| fingerprint(text)).collect::<Result<_, _>>()?,
            subjects: config.subjects.iter().map(|text| subject(text)).collect::<Result<_, _>>()?,
            san: config.san.iter().map(|text| alternative(text)).collect::<Result<_, _>>()?,
        })
    }

    /// Whether `certificate` is accepted at `now`, in seconds of Unix time.
    pub fn check(&self, certificate: &Certificate, now: i64) -> Result<(), Denied> {
        if now > certificate.not_after || now < certificate.not_before {
            return Err(Denied::Time);
        }
        if !self.fingerprints.is_empty() && !self.fingerprints.contains(&certificate.sha256) {
            return Err(Denied::Unlisted("fingerprint"));
        }
        if !self.subjects.is_empty() && !self.subjects.iter().any(|subject| subject.fits(certificate)) {
            return Err(Denied::Unlisted("subject"));
        }
        let named = |wanted: &Alternative| certificate.names.iter().any(|name| wanted.fits(name));
        if !self.san.is_empty() && !self.san.iter().any(named) {
            return Err(Denied::Unlisted("alternative names"));
        }
        Ok(())
    }
}

impl Subject {
    fn fits(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Whole(glob) => glob.matches(&certificate.subject),
            Self::CommonName(glob) => certificate.common_name.as_deref().is_some_and(|name| glob.matches(name)),
        }
    }
}

impl Alternative {
    fn fits(&self, name: &Name) -> bool {
        match (self, name) {
            (Self::Dns(glob), Name::Dns(text))
            | (Self::Uri(glob), Name::Uri(text))
            | (Self::Email(glob), Name::Email(text)) => glob.matches(text),
            (Self::Ip(network), Name::Ip(address)) => network.contains(address),
            _ => false,
        }
    }
}

fn fingerprint(text: &str) -> Result<[u8; 32], ConfigError> {
    let digits: String = text.trim_start_matches("sha256:").chars().filter(|&letter| letter != ':').collect();
    let wrong = || ConfigError(format!("`{text}` is no SHA-256 fingerprint: 64 hex digits, colons or not"));
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

fn subject(text: &str) -> Result<Subject, ConfigError> {
    let glob = glob(text)?;
    Ok(if text.contains('=') { Subject::Whole(glob) } else { Subject::CommonName(glob) })
}

fn alternative(text: &str) -> Result<Alternative, ConfigError> {
    let network =
        || text.parse::<ipnet::IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(Into::into));
    if text.contains("://") {
        glob(text).map(Alternative::Uri)
    } else if text.contains('@') {
        glob(text).map(Alternative::Email)
    } else if let Some(network) = network() {
        Ok(Alternative::Ip(network))
    } else {
        glob(&text.to_ascii_lowercase()).map(Alternative::Dns)
    }
}

fn glob(text: &str) -> Result<Glob, ConfigError> {
    Glob::new(text).map_err(|error| ConfigError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_750_000_000;

    fn certificate() -> Certificate {
        Certificate {
            der: Vec::new(),
            sha256: [0xab; 32],
            subject: "CN=orders,OU=shop,O=Acme".into(),
            common_name: Some("orders".into()),
            issuer: "CN=CA".into(),
            serial: "01".into(),
            names: vec![
                Name::Dns("orders.internal".into()),
                Name::Uri("spiffe://acme/orders".into()),
                Name::Email("orders@acme.dev".into()),
                Name::Ip([10, 0, 0, 7].into()),
            ],
            not_before: NOW - 10,
            not_after: NOW + 10,
        }
    }

    fn check(fingerprints: &[&str], subjects: &[&str], san: &[&str]) -> Result<(), Denied> {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let config = Config { fingerprints: list(fingerprints), subjects: list(subjects), san: list(san) };
        Mtls::new(&config).unwrap().check(&certificate(), NOW)
    }

    #[test]
    fn without_lists_every_certificate_will_do() {
        assert_eq!(check(&[], &[], &[]), Ok(()));
    }

    #[test]
    fn fingerprints_are_read_however_they_are_written() {
        let (plain, other) = ("ab".repeat(32), "ac".repeat(32));
        let colons = vec!["AB"; 32].join(":");
        for written in [&plain, &colons, &format!("sha256:{plain}")] {
            assert_eq!(check(&[&other, written], &[], &[]), Ok(()), "{written}");
        }
        assert_eq!(check(&[&other], &[], &[]), Err(Denied::Unlisted("fingerprint")));
        for wrong in ["", "ab", &"ab".repeat(20), &"zz".repeat(32), &"ä".repeat(32)] {
            let config = Config { fingerprints: vec![wrong.to_owned()], ..Config::default() };
            assert!(Mtls::new(&config).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_is_meant_as_a_whole_or_by_its_common_name() {
        for yes in ["CN=orders,*", "CN=*,O=Acme", "orders", "ord*", "*"] {
            assert_eq!(check(&[], &[yes], &[]), Ok(()), "{yes}");
        }
        for no in ["CN=orders", "O=Acme", "Acme", "order", "*,O=Acme2"] {
            assert_eq!(check(&[], &[no], &[]), Err(Denied::Unlisted("subject")), "{no}");
        }
    }

    #[test]
    fn an_alternative_name_matches_its_own_kind_alone() {
        for yes in ["*.internal", "ORDERS.internal", "spiffe://acme/*", "*@acme.dev", "10.0.0.7", "10.0.0.0/8"] {
            assert_eq!(check(&[], &[], &[yes]), Ok(()), "{yes}");
        }
        for no in ["*/orders", "acme", "*acme.dev", "11.0.0.0/8", "http://*", "x@*", "internal"] {
            assert_eq!(check(&[], &[], &[no]), Err(Denied::Unlisted("alternative names")), "{no}");
        }
    }

    #[test]
    fn every_list_must_hold() {
        assert_eq!(check(&[], &["orders"], &["nope"]), Err(Denied::Unlisted("alternative names")));
        assert_eq!(check(&[], &["nope", "orders"], &["nope", "*.internal"]), Ok(()));
    }

    #[test]
    fn its_time_may_end_while_the_connection_lives() {
        let any = Mtls::new(&Config::default()).unwrap();
        for (now, expected) in [(NOW + 10, Ok(())), (NOW + 11, Err(Denied::Time)), (NOW - 11, Err(Denied::Time))] {
            assert_eq!(any.check(&certificate(), now), expected);
        }
    }
}
