//! Which content coding a client would rather have (RFC 9110 §12.5.3).

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `zstd`
    Zstd,
    /// `br`
    Br,
    /// `gzip`
    Gzip,
}

impl Coding {
    /// All of them, those that cost least for what they save first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.as_str().eq_ignore_ascii_case(name))
    }

    /// How files that have it end.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Br => "br",
            Self::Gzip => "gz",
        }
    }
}

/// The coding among `offers` that `Accept-Encoding` likes best, the earlier among equals; `None`: none at all.
///
/// Without the field, and where `identity` is liked better, a body goes as it is.
pub fn choose(field: Option<&[u8]>, offers: &[Coding]) -> Option<Coding> {
    let field = std::str::from_utf8(field?).ok()?;
    let (mut own, mut rest, mut identity) = ([None; 3], None, None);
    for entry in field.split(',').take(MOST) {
        let mut pieces = entry.split(';').map(str::trim);
        let name = pieces.next().unwrap_or_default();
        let quality = match pieces.find_map(|piece| piece.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')) {
            Some(text) => quality(text.trim()).unwrap_or(0),
            None => 1000,
        };
        let plain = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        if name == "*" {
            rest = Some(quality);
        } else if name.eq_ignore_ascii_case("identity") {
            identity = Some(quality);
        } else if let Some(at) = Coding::ALL.iter().position(|coding| coding.as_str().eq_ignore_ascii_case(plain)) {
            own[at] = Some(quality);
        }
    }
    let of = |coding: Coding| own[coding as usize].or(rest).unwrap_or(0);
    let best = offers.iter().copied().rev().max_by_key(|coding| of(*coding))?;
    (of(best) > 0 && of(best) >= identity.unwrap_or(0)).then_some(best)
}

/// `0.8` as 800; `None` when it is no quality (RFC 9110 §12.4.2).
pub(crate) fn quality(text: &str) -> Option<u16> {
    let value: f64 = text.parse().ok()?;
    (0.0..=1.0).contains(&value).then(|| (value * 1000.0).round() as u16)
}

const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_coding_wins() {
        for (field, expected) in [
            ("gzip", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip;q=1.0, br;q=0.5", Some("gzip")),
            ("br;q=0.5, gzip;q=0.5", Some("br")),
            ("gzip;q=0", None),
            ("gzip;q=0, *", Some("zstd")),
            ("*;q=0", None),
            ("*;q=0, br;q=0.1", Some("br")),
            ("identity", None),
            ("identity;q=0.5, gzip;q=0.4", None),
            ("identity;q=0, gzip;q=0.4", Some("gzip")),
            ("GZIP; Q=0.9", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("gzip;q=2", None),
            ("gzip;q=x", None),
            ("gzip ; q = 0.001", Some("gzip")),
            ("deflate, compress", None),
            ("", None),
            (",,;;q=", None),
        ] {
            let chosen = choose(Some(field.as_bytes()), &Coding::ALL).map(Coding::as_str);
            assert_eq!(chosen, expected, "{field:?}");
        }
        assert_eq!(choose(None, &Coding::ALL), None);
        assert_eq!(choose(Some(b"gzip"), &[]), None);
        assert_eq!(choose(Some(b"zstd, gzip"), &[Coding::Gzip]), Some(Coding::Gzip));
        assert_eq!(choose(Some(b"\xff"), &Coding::ALL), None);
        let long = "gzip;q=0.1,".repeat(100_000);
        assert_eq!(choose(Some(long.as_bytes()), &Coding::ALL), Some(Coding::Gzip));
        assert!(Coding::ALL.iter().enumerate().all(|(at, coding)| *coding as usize == at));
    }
}
