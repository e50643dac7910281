//! W3C Trace Context (STANDARDS S-70): a client's trace is carried on, a missing or broken one begun anew.

use crate::http::hex;

/// The trace a request belongs to: its id and the flags, as they go to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    id: hex::Text<32>,
    /// The sampled flag and its siblings, two hex digits.
    flags: [u8; 2],
    /// Whether the client's `traceparent` was valid; `tracestate` is dropped when it was not.
    pub carried: bool,
}

impl Trace {
    /// The trace that `traceparent` names, or a new one made of `chance`.
    pub fn of(traceparent: Option<&[u8]>, chance: &mut dyn FnMut() -> u64) -> Self {
        traceparent.and_then(Self::parse).unwrap_or_else(|| Self::begin(chance))
    }

    fn begin(chance: &mut dyn FnMut() -> u64) -> Self {
        // An all-zero id is invalid; one bit makes sure.
        let mut id = [0; 32];
        id[..16].copy_from_slice(&hex::sixteen(chance()));
        id[16..].copy_from_slice(&hex::sixteen(chance() | 1));
        Self { id: hex::Text(id), flags: *b"00", carried: false }
    }

    /// `version "-" trace-id "-" parent-id "-" flags`; a version above 00 may carry more behind a further dash.
    fn parse(value: &[u8]) -> Option<Self> {
        let (head, rest) = value.split_at_checked(55)?;
        let version = &head[..2];
        let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
        let (id, parent, flags) = (&head[3..35], &head[36..52], &head[53..55]);
        let sound = dashes && [version, id, parent, flags].iter().all(|part| part.iter().all(|&byte| is_hex(byte)));
        let more = rest.is_empty() || (version != b"00" && rest[0] == b'-');
        if !sound || !more || version == b"ff" || all_zero(id) || all_zero(parent) {
            return None;
        }
        Some(Self { id: hex::Text(id.try_into().ok()?), flags: [flags[0], flags[1]], carried: true })
    }

    /// 32 lower-case hex digits.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// The `traceparent` to send on, with a span id of our own made of `chance`.
    pub fn write(&self, out: &mut Vec<u8>, chance: u64) {
        let mut line = *b"00-                                -                -  ";
        line[3..35].copy_from_slice(&self.id.0);
        line[36..52].copy_from_slice(&hex::sixteen(chance | 1));
        line[53..].copy_from_slice(&self.flags);
        out.extend_from_slice(&line);
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn all_zero(digits: &[u8]) -> bool {
    digits.iter().all(|&digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::Trace;

    fn of(text: &str) -> Trace {
        let mut next = 7;
        Trace::of(Some(text.as_bytes()), &mut || {
            next += 1;
            next
        })
    }

    #[test]
    fn a_valid_trace_is_carried_on_under_a_span_of_ours() {
        let trace = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(trace.carried);
        let mut line = Vec::new();
        trace.write(&mut line, 0xabc);
        assert_eq!(line, b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abd-01");
    }

    #[test]
    fn a_later_version_is_read_leniently() {
        assert!(of("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").carried);
    }

    #[test]
    fn what_the_standard_calls_invalid_begins_a_new_trace() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let trace = of(text);
            assert!(!trace.carried, "{text}");
            assert_eq!(trace.id().len(), 32);
        }
    }
}
