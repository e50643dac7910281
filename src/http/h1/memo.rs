//! The lines that stood in the head before: a service sends most of them again and again, and to see that one is the same
//! takes a fifth of reading it.

use crate::http::headers::Field;
use crate::http::headers::Known;

/// Lines remembered.
const KEPT: usize = 32;
/// Longer ones are not.
const LONGEST: usize = 256;

/// The fields of the last head from one place, each at its number.
#[derive(Default)]
pub struct Memo(Vec<Kept>);

/// A line as it stood on the wire, and the field found in it, whose positions count from the line's beginning. A line
/// without text is none.
struct Kept {
    text: Vec<u8>,
    field: Field,
}

impl Memo {
    /// The field of the line that begins at `at` of `buf`, if it is the one that stood there before, and where the next one
    /// begins.
    #[inline]
    pub(super) fn line(&self, number: usize, buf: &[u8], at: usize) -> Option<(Field, usize)> {
        let kept = self.0.get(number).filter(|kept| !kept.text.is_empty())?;
        buf.get(at..)?.starts_with(&kept.text).then(|| (kept.field.later(at), at + kept.text.len()))
    }

    /// Remembers a line and its field, whose positions count from the line's beginning. Cookies are for one client and come
    /// once.
    pub(super) fn keep(&mut self, number: usize, line: &[u8], field: Field) {
        if number > self.0.len() || number >= KEPT {
            return;
        }
        if number == self.0.len() {
            self.0.push(Kept { text: Vec::new(), field });
        }
        let kept = &mut self.0[number];
        let fits = line.len() <= LONGEST && field.known() != Known::SetCookie;
        kept.text.clear();
        kept.text.extend_from_slice(if fits { line } else { &[] });
        kept.field = field;
    }
}
