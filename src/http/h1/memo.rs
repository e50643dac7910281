//! The lines that stood in the head before: a service sends most of them again and again, and to see that one is the same
//! takes a fifth of reading it.

use crate::http::h1::line::Line;
use crate::http::headers::Known;

/// Lines remembered.
const KEPT: usize = 32;
/// Longer ones are not.
const LONGEST: usize = 256;

/// The fields of the last head from one place, each at its number.
#[derive(Default)]
pub struct Memo(Vec<Kept>);

/// A line as it stood on the wire, and what was found in it. A line without text is none.
struct Kept {
    text: Vec<u8>,
    known: Known,
    /// Where the name ends, and the value begins and ends.
    name: usize,
    value: (usize, usize),
    whole: bool,
}

impl Memo {
    /// What is known of the line that begins at `at` of `buf`, if it is the one that stood there before.
    #[inline]
    pub(super) fn line(&self, number: usize, buf: &[u8], at: usize) -> Option<Line> {
        let kept = self.0.get(number)?;
        if kept.text.is_empty() || !buf.get(at..)?.starts_with(&kept.text) {
            return None;
        }
        Some(Line::Field {
            known: kept.known,
            name: at..at + kept.name,
            value: at + kept.value.0..at + kept.value.1,
            whole: kept.whole,
            next: at + kept.text.len(),
        })
    }

    /// Remembers what was found in the line that begins at `at`. Cookies are for one client and come once.
    pub(super) fn keep(&mut self, number: usize, buf: &[u8], at: usize, line: &Line) {
        let Line::Field { known, name, value, whole, next } = line else { return };
        if number > self.0.len() || number >= KEPT {
            return;
        }
        if number == self.0.len() {
            self.0.push(Kept { text: Vec::new(), known: Known::Other, name: 0, value: (0, 0), whole: false });
        }
        let kept = &mut self.0[number];
        kept.text.clear();
        if next - at <= LONGEST && *known != Known::SetCookie {
            kept.text.extend_from_slice(&buf[at..*next]);
            kept.known = *known;
            kept.name = name.end - at;
            kept.value = (value.start - at, value.end - at);
            kept.whole = *whole;
        }
    }
}
