//! What an X.509 certificate says about its holder: names, issuer, time, fingerprint.

use std::net::IpAddr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::prelude::AttributeTypeAndValue;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::GeneralName;
use x509_parser::prelude::ParsedExtension;
use x509_parser::prelude::X509Certificate;
use x509_parser::prelude::X509Name;

/// A certificate, read once; every part is text by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// As it came (DER).
    pub der: Vec<u8>,
    /// SHA-256 of the DER bytes: what `x5t#S256` of a bound token must be.
    pub sha256: [u8; 32],
    /// The holder as RFC 4514 writes names: `CN=orders,O=Acme`.
    pub subject: String,
    /// The first common name of the subject.
    pub common_name: Option<String>,
    /// Who signed it, as `subject`.
    pub issuer: String,
    /// The serial number in lower case hex.
    pub serial: String,
    /// Alternative names.
    pub names: Vec<Name>,
    /// Seconds of Unix time from which it holds.
    pub not_before: i64,
    /// Seconds of Unix time until which it holds.
    pub not_after: i64,
}

/// One alternative name of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A host, lower case; may begin with `*.`
    Dns(String),
    /// A mail address.
    Email(String),
    /// A URI such as `spiffe://cluster/orders`.
    Uri(String),
    /// An address.
    Ip(IpAddr),
}

/// Bytes that are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no X.509 certificate")]
pub struct Unreadable;

impl Certificate {
    /// Reads DER bytes; whether anyone should believe it is not asked here.
    pub fn parse(der: &[u8]) -> Result<Self, Unreadable> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        let names = parsed.subject_alternative_name().map_err(|_| Unreadable)?;
        let names = names.map(|extension| extension.value.general_names.iter().filter_map(name).collect());
        let common = parsed.subject().iter_common_name().next();
        Ok(Self {
            sha256,
            subject: distinguished(parsed.subject()),
            common_name: common.and_then(|it| it.as_str().ok()).map(str::to_owned),
            issuer: distinguished(parsed.issuer()),
            serial: hex(parsed.raw_serial()),
            names: names.unwrap_or_default(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            der: der.to_vec(),
        })
    }

    /// SHA-256 in lower case hex.
    pub fn fingerprint(&self) -> String {
        hex(&self.sha256)
    }

    /// By what an authority that issued it knows it (RFC 9773 §4.1): its signer's key, and its number.
    pub fn renewal_id(&self) -> Option<String> {
        let (_, parsed) = X509Certificate::from_der(&self.der).ok()?;
        let signer = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(signer) => signer.key_identifier.as_ref(),
            _ => None,
        })?;
        Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(signer.0), URL_SAFE_NO_PAD.encode(parsed.raw_serial())))
    }

    /// The host names it is for, wildcards among them.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            Name::Dns(host) => Some(host.as_str()),
            _ => None,
        })
    }

    /// As people would call it: the first host, else the common name, else the whole subject.
    pub fn title(&self) -> &str {
        self.hosts().next().or(self.common_name.as_deref()).unwrap_or(&self.subject)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        GeneralName::DNSName(host) => Some(Name::Dns(host.to_ascii_lowercase())),
        GeneralName::RFC822Name(address) => Some(Name::Email((*address).to_owned())),
        GeneralName::URI(uri) => Some(Name::Uri((*uri).to_owned())),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| Name::Ip(bytes.into())),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| Name::Ip(bytes.into())),
            _ => None,
        },
        _ => None,
    }
}

/// The most specific part first, as RFC 4514 §2.1 wants it.
fn distinguished(name: &X509Name<'_>) -> String {
    let sets: Vec<_> = name.iter_rdn().collect();
    let sets = sets.into_iter().rev().map(|set| set.iter().map(attribute).collect::<Vec<_>>().join("+"));
    sets.collect::<Vec<_>>().join(",")
}

fn attribute(part: &AttributeTypeAndValue<'_>) -> String {
    let oid = part.attr_type().to_id_string();
    let short = SHORT.iter().find(|(known, _)| *known == oid).map_or(oid.as_str(), |(_, short)| short);
    match part.as_str() {
        Ok(text) => format!("{short}={}", escaped(text)),
        Err(_) => format!("{short}=#{}", hex(part.as_slice())),
    }
}

/// RFC 4514 §2.4: a value must not be able to look like a further attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        let edge = (at == 0 && matches!(letter, ' ' | '#')) || (at + 1 == text.len() && letter == ' ');
        if letter.is_control() {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("\\{byte:02x}")));
            continue;
        }
        if edge || matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '=' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4514 §3, and the mail address that many authorities still write.
const SHORT: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.5", "serialNumber"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests {
    use rcgen::CertificateParams;
    use rcgen::DnType;
    use rcgen::KeyPair;
    use rcgen::SanType;

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::new(vec!["A.example.com".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Certificate::parse(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn names_come_out_as_text() {
        let certificate = made(|params| {
            params.distinguished_name.push(DnType::CountryName, "DE");
            params.distinguished_name.push(DnType::OrganizationName, "Acme");
            params.distinguished_name.push(DnType::CommonName, "orders");
            params.subject_alt_names.push(SanType::URI("spiffe://cluster/orders".try_into().unwrap()));
            params.subject_alt_names.push(SanType::IpAddress([10, 0, 0, 7].into()));
            params.subject_alt_names.push(SanType::Rfc822Name("a@b.dev".try_into().unwrap()));
        });
        assert!(certificate.subject.contains("CN=orders"), "{}", certificate.subject);
        assert!(certificate.subject.contains("O=Acme"));
        assert_eq!(certificate.subject, certificate.issuer);
        assert_eq!(certificate.common_name.as_deref(), Some("orders"));
        let names: Vec<_> = certificate.names.iter().map(Name::to_string).collect();
        assert_eq!(names, ["a.example.com", "spiffe://cluster/orders", "10.0.0.7", "a@b.dev"]);
        assert_eq!(certificate.title(), "a.example.com");
        assert_eq!(certificate.fingerprint().len(), 64);
        assert!(certificate.not_before < certificate.not_after);
    }

    #[test]
    fn a_value_cannot_pose_as_a_further_attribute() {
        let certificate = made(|params| {
            params.distinguished_name.push(DnType::CommonName, "x,O=Admin+OU=\"root\"\r\n");
        });
        assert!(certificate.subject.contains(r#"x\,O\=Admin\+OU\=\"root\"\0d\0a"#), "{}", certificate.subject);
    }

    #[test]
    fn garbage_is_no_certificate() {
        let whole = made(|_| {}).der;
        for bytes in [&b""[..], b"0", b"hello", &whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
            assert_eq!(Certificate::parse(bytes), Err(Unreadable));
        }
    }
}
