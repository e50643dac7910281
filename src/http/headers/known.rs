//! Names the gateway itself looks at, told apart by one look into a table.

macro_rules! known_names {
    ($($variant:ident $text:literal),* $(,)?) => {
        /// Names the gateway itself looks at, told apart once, when a head is parsed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Known {
            /// Any other name.
            Other,
            $(#[doc = $text] $variant,)*
        }

        impl Known {
            const ALL: &[(Self, &str)] = &[$((Self::$variant, $text),)*];
        }

        const _: () = assert!(Known::ALL.len() < 64, "a set of names is one word");
    };
}

impl Known {
    /// Its place in a set of names.
    #[inline]
    pub(super) fn bit(self) -> u64 {
        1 << self as u8
    }

    /// Whether it says who sent a request, from where and under which id: what proxies tell one another.
    #[inline]
    pub fn is_forwarding(self) -> bool {
        matches!(
            self,
            Self::Forwarded
                | Self::XForwardedFor
                | Self::XForwardedProto
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XRequestId
        )
    }

    /// Which one `name` is, without case. Any bytes may be asked for: what is known is a token.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        if name.is_empty() {
            return Self::Other;
        }
        match TABLE[slot(SALT, name)] {
            Some((known, text)) if is_same(name, text.as_bytes()) => known,
            _ => Self::Other,
        }
    }
}

/// Whether `name` is `lower` but for its case, eight bytes at a time. `lower` holds letters, digits and `-` only; bit 5 is
/// free where bit 6 says that a letter stands, and nowhere else.
#[inline]
fn is_same(name: &[u8], lower: &[u8]) -> bool {
    if name.len() != lower.len() {
        return false;
    }
    // letters have bit 6; where they stand, bit 5 of the name does not count
    let same = |a: &[u8; 8], b: &[u8; 8]| {
        let (a, b) = (u64::from_le_bytes(*a), u64::from_le_bytes(*b));
        a | (b & 0x4040_4040_4040_4040) >> 1 == b
    };
    match (name.first_chunk(), lower.first_chunk(), name.last_chunk(), lower.last_chunk()) {
        (Some(first), Some(lower_first), Some(last), Some(lower_last)) => {
            let ends = same(first, lower_first) && same(last, lower_last);
            ends && (name.len() <= 16 || name.as_chunks().0.iter().zip(lower.as_chunks().0).all(|(a, b)| same(a, b)))
        }
        // up to seven bytes: four from either end
        _ => match (name.first_chunk(), lower.first_chunk(), name.last_chunk(), lower.last_chunk()) {
            (Some(first), Some(lower_first), Some(last), Some(lower_last)) => {
                same(&eight(*first, *last), &eight(*lower_first, *lower_last))
            }
            _ => name.eq_ignore_ascii_case(lower),
        },
    }
}

#[inline]
fn eight([a, b, c, d]: [u8; 4], [e, f, g, h]: [u8; 4]) -> [u8; 8] {
    [a, b, c, d, e, f, g, h]
}

/// A perfect hash over the names, found while compiling: one slot to look at, one comparison.
const SALT: u32 = find_salt();
static TABLE: [Option<(Known, &str)>; 256] = table(SALT);

const fn slot(salt: u32, name: &[u8]) -> usize {
    let length = name.len();
    let (first, late, last) = (name[0] | 0x20, name[length * 3 / 4] | 0x20, name[length - 1] | 0x20);
    (u32::from_le_bytes([length as u8, first, late, last]).wrapping_mul(salt) >> 24) as usize
}

const fn find_salt() -> u32 {
    let mut salt = 0x9e37_79b1_u32;
    loop {
        let (mut taken, mut at) = ([false; 256], 0);
        while at < Known::ALL.len() {
            let slot = slot(salt, Known::ALL[at].1.as_bytes());
            if taken[slot] {
                break;
            }
            taken[slot] = true;
            at += 1;
        }
        if at == Known::ALL.len() {
            return salt;
        }
        salt = salt.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f) | 1;
    }
}

const fn table(salt: u32) -> [Option<(Known, &'static str)>; 256] {
    let (mut table, mut at) = ([None; 256], 0);
    while at < Known::ALL.len() {
        table[slot(salt, Known::ALL[at].1.as_bytes())] = Some(Known::ALL[at]);
        at += 1;
    }
    table
}

known_names! {
    Host "host", Connection "connection", ContentLength "content-length", TransferEncoding "transfer-encoding",
    ContentType "content-type", ContentEncoding "content-encoding", Te "te", Trailer "trailer", Upgrade "upgrade",
    Expect "expect", KeepAlive "keep-alive", ProxyConnection "proxy-connection",
    ProxyAuthenticate "proxy-authenticate", ProxyAuthorization "proxy-authorization", Via "via",
    Forwarded "forwarded", XForwardedFor "x-forwarded-for", XForwardedProto "x-forwarded-proto",
    XForwardedHost "x-forwarded-host", XForwardedPort "x-forwarded-port", XRealIp "x-real-ip",
    XRequestId "x-request-id", Traceparent "traceparent", Tracestate "tracestate", Cookie "cookie",
    SetCookie "set-cookie", Authorization "authorization", Accept "accept", AcceptEncoding "accept-encoding",
    UserAgent "user-agent", Date "date", Server "server", Etag "etag", Origin "origin", Location "location",
    Http2Settings "http2-settings", MaxForwards "max-forwards", CacheControl "cache-control",
    LastModified "last-modified", AcceptRanges "accept-ranges", AcceptLanguage "accept-language", Vary "vary",
    SecFetchMode "sec-fetch-mode", Referer "referer", IfNoneMatch "if-none-match", IfModifiedSince "if-modified-since",
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn known_names_are_found_in_any_case_and_no_others() {
        for (known, name) in Known::ALL {
            assert_eq!(Known::of(name.as_bytes()), *known, "{name}");
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), *known, "{name}");
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                for byte in 0..=u8::MAX {
                    other[at] = byte;
                    let same = other.eq_ignore_ascii_case(name.as_bytes());
                    assert_eq!(Known::of(&other) == *known, same, "{name} with {byte} at {at}");
                }
            }
            assert_eq!(Known::of(&name.as_bytes()[1..]), Known::Other);
        }
        assert_eq!(Known::of(b""), Known::Other);
        assert_eq!(Known::of(b"x"), Known::Other);
    }
}
