//! The health protocol of gRPC (`grpc.health.v1`): what is asked, and what the answers mean. Pure.
//!
//! Its two messages are so small that they are written and read by hand:
//! `HealthCheckRequest { string service = 1; }` and `HealthCheckResponse { ServingStatus status = 1; }`.

use crate::http::grpc::is_grpc;
use crate::upstream::h2::Heard;

/// The method that is called.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The message that asks about `service`, in its frame; an empty name asks about the host as a whole.
pub(super) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(SERVICE);
        varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// Whether the host is well by its answer; why not, in a few words.
pub(super) fn verdict(heard: &Heard) -> Result<(), String> {
    if heard.status != 200 {
        return Err(format!("status {}", heard.status));
    }
    if !is_grpc(&heard.fields) {
        return Err("its answer is no gRPC".into());
    }
    let code = heard.trailers.text(STATUS).or_else(|| heard.fields.text(STATUS));
    match code.map(str::parse::<u32>) {
        Some(Ok(0)) => {}
        Some(Ok(NOT_FOUND)) => return Err(UNKNOWN_SERVICE.into()),
        Some(Ok(UNIMPLEMENTED)) => return Err("it does not speak grpc.health.v1 (UNIMPLEMENTED)".into()),
        Some(Ok(code)) => return Err(format!("grpc-status {code}")),
        Some(Err(_)) | None => return Err("its answer has no grpc-status".into()),
    }
    match framed(&heard.message).and_then(state) {
        Some(1) => Ok(()),
        Some(0) => Err("UNKNOWN".into()),
        Some(2) => Err("NOT_SERVING".into()),
        Some(3) => Err(UNKNOWN_SERVICE.into()),
        Some(other) => Err(format!("a state that nobody knows ({other})")),
        None => Err("its message is malformed".into()),
    }
}

/// The one message of an answer, out of its frame; it cannot be compressed, since nobody said that we could read that.
fn framed(bytes: &[u8]) -> Option<&[u8]> {
    let (head, message) = bytes.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?);
    (head[0] == 0 && usize::try_from(length) == Ok(message.len())).then_some(message)
}

/// Field 1 of a message; 0 where it is absent, as the encoding has it. Fields that are not known are passed over.
fn state(mut message: &[u8]) -> Option<u64> {
    let mut state = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        let (field, wire) = (tag >> 3, tag & 7);
        match wire {
            0 => {
                let value = take_varint(&mut message)?;
                if field == 1 {
                    state = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
        if field == 0 || (field == 1 && wire != 0) {
            return None;
        }
    }
    Some(state)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Field 1, a text.
const SERVICE: u8 = 1 << 3 | 2;

const STATUS: &str = "grpc-status";
const NOT_FOUND: u32 = 5;
const UNIMPLEMENTED: u32 = 12;
const UNKNOWN_SERVICE: &str = "it knows no service of this name";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    fn heard(message: &[u8], trailers: &[(&str, &str)]) -> Heard {
        let fields = Headers::of(&[("content-type", "application/grpc")]);
        Heard { status: 200, fields, message: message.to_vec(), trailers: Headers::of(trailers) }
    }

    fn said(message: &[u8]) -> Result<(), String> {
        verdict(&heard(message, &[("grpc-status", "0")]))
    }

    #[test]
    fn the_question_is_a_message_in_a_frame() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), [&[0, 0, 0, 0, 5, 0x0a, 3][..], b"a.B"].concat());
        let long = "x".repeat(200);
        assert_eq!(&question(&long)[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_who_serves_is_well() {
        assert_eq!(said(b"\0\0\0\0\x02\x08\x01"), Ok(()));
        // fields of later versions, and one that is told twice: the last counts
        assert_eq!(said(b"\0\0\0\0\x0c\x08\x02\x12\x01x\x1d1234\x08\x01"), Ok(()));
        for (message, why) in [
            (&b"\0\0\0\0\0"[..], "UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x02", "NOT_SERVING"),
            (b"\0\0\0\0\x02\x08\x03", UNKNOWN_SERVICE),
            (b"\0\0\0\0\x02\x08\x63", "nobody knows (99)"),
        ] {
            assert!(said(message).unwrap_err().contains(why), "{message:?}");
        }
        for (status, why) in
            [("5", UNKNOWN_SERVICE), ("12", "UNIMPLEMENTED"), ("14", "grpc-status 14"), ("x", "no grpc")]
        {
            assert!(verdict(&heard(b"", &[("grpc-status", status)])).unwrap_err().contains(why), "{status}");
        }
        let mut only_trailers = heard(b"", &[]);
        assert!(verdict(&only_trailers).unwrap_err().contains("no grpc-status"));
        only_trailers.fields.set("grpc-status", "12");
        assert!(verdict(&only_trailers).unwrap_err().contains("UNIMPLEMENTED"));
        let page = Heard { fields: Headers::of(&[("content-type", "text/html")]), ..heard(b"", &[]) };
        assert!(verdict(&page).unwrap_err().contains("no gRPC"));
        assert_eq!(verdict(&Heard { status: 503, ..heard(b"", &[]) }), Err("status 503".into()));
    }

    #[test]
    fn messages_that_are_none_are_said_to_be() {
        for message in [
            &b""[..],
            b"\0\0\0",
            b"\0\0\0\0\x02\x08",
            b"\0\0\0\0\x01\x08\x01",
            b"\0\xff\xff\xff\xff\x08\x01",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x01\x08",
            b"\0\0\0\0\x02\x0a\x05",
            b"\0\0\0\0\x02\x0f\x01",
            b"\0\0\0\0\x02\0\x01",
            b"\0\0\0\0\x02\x0a\0",
            b"\0\0\0\0\x02\x09\x01",
            b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x01",
        ] {
            assert_eq!(said(message), Err("its message is malformed".into()), "{message:?}");
        }
    }
}
