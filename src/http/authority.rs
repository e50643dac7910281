//! The authority of a target: which names and addresses are taken for one (RFC 3986 §3.2).

use std::cell::RefCell;
use std::net::Ipv6Addr;
use std::rc::Rc;

/// How many are remembered.
const KEPT: usize = 16;

thread_local! {
    /// Those asked for last: few are asked for again and again, and to look is a tenth of the work.
    static RECENT: RefCell<[Option<Rc<str>>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// A name or an address with an optional port, in lower case; nothing that names a user, a zone or a list.
pub(crate) fn valid(value: &[u8]) -> Option<Rc<str>> {
    // hosts of one owner end alike, and are often as long: they differ where they begin
    let begin = value.first_chunk().map_or(0, |begin| u64::from_le_bytes(*begin));
    let place = (begin.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize ^ (value.len() % KEPT);
    RECENT.with_borrow_mut(|recent| match &recent[place] {
        Some(known) if known.as_bytes() == value => Some(Rc::clone(known)),
        _ => {
            let found = Rc::<str>::from(checked(value)?);
            recent[place] = Some(Rc::clone(&found));
            Some(found)
        }
    })
}

fn checked(value: &[u8]) -> Option<String> {
    let name = value.iter().take_while(|&&byte| is_host_byte(byte)).count();
    if name == 0 || (name < value.len() && value[name] != b':') {
        return valid_literal(value);
    }
    let text = std::str::from_utf8(value).ok()?;
    lower(text, name)
}

/// `[…]` with an IPv6 address in it.
fn valid_literal(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (address, _) = text.strip_prefix('[')?.split_once(']')?;
    address.parse::<Ipv6Addr>().ok()?;
    lower(text, address.len() + 2)
}

/// `text` without an empty port, if what follows its first `name` bytes is a port or nothing.
fn lower(text: &str, name: usize) -> Option<String> {
    let (name, port) = text.split_at(name);
    let kept = match port.strip_prefix(':') {
        None if port.is_empty() => name,
        Some("") => name,
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u16>().ok()?;
            text
        }
        _ => return None,
    };
    let mut host = kept.to_owned();
    host.make_ascii_lowercase();
    Some(host)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

#[cfg(test)]
mod tests {
    use super::valid;

    #[test]
    fn what_was_asked_for_before_changes_no_answer() {
        let hosts = ["api.example.com", "www.example.com", "API.example.com", "a.dev:80", "a.dev:", "a.dev", "[::1]:8"];
        let told = ["api.example.com", "www.example.com", "api.example.com", "a.dev:80", "a.dev", "a.dev", "[::1]:8"];
        for _ in 0..3 {
            for (host, told) in hosts.iter().zip(told) {
                assert_eq!(valid(host.as_bytes()).as_deref(), Some(told), "{host}");
                for wrong in ["", "a b", "u@a.dev", "a.dev:x", "a.dev:99999", "api.example.com,a"] {
                    assert_eq!(valid(wrong.as_bytes()), None, "{wrong}");
                }
            }
        }
    }
}
