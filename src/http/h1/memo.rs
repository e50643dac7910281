//! What stood in the head before: a service sends most lines again and again, and often the whole head. To see that a line
//! is the same takes a fifth of reading it, and a whole head takes no more than a line.

use crate::http::h1::HeadLimits;
use crate::http::h1::ResponseHead;
use crate::http::headers::Field;
use crate::http::headers::Known;

/// Lines remembered.
const KEPT: usize = 32;
/// Longer ones are not.
const LONGEST: usize = 256;

/// The last head from one place.
#[derive(Default)]
pub struct Memo {
    /// Its fields, each at its number.
    lines: Vec<Kept>,
    /// A head that came twice in a row, whose fields stand in its own text.
    whole: Option<Whole>,
    /// A line was not the one that stood there before.
    differs: bool,
}

/// A head, and what it was understood with.
struct Whole {
    head: ResponseHead,
    length: usize,
    limits: HeadLimits,
    to_head: bool,
}

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
        let kept = self.lines.get(number).filter(|kept| !kept.text.is_empty())?;
        buf.get(at..)?.starts_with(&kept.text).then(|| (kept.field.later(at), at + kept.text.len()))
    }

    /// Remembers a line and its field, whose positions count from the line's beginning. Cookies are for one client and come
    /// once.
    pub(super) fn keep(&mut self, number: usize, line: &[u8], field: Field) {
        self.differs = true;
        if number > self.lines.len() || number >= KEPT {
            return;
        }
        if number == self.lines.len() {
            self.lines.push(Kept { text: Vec::new(), field });
        }
        let kept = &mut self.lines[number];
        let fits = line.len() <= LONGEST && field.known() != Known::SetCookie;
        kept.text.clear();
        kept.text.extend_from_slice(if fits { line } else { &[] });
        kept.field = field;
    }

    /// The head at the start of `buf`, if it is the one that came twice in a row, and its length.
    #[inline]
    pub(super) fn head(&self, buf: &[u8], limits: HeadLimits, to_head: bool) -> Option<(ResponseHead, usize)> {
        let whole = self.whole.as_ref().filter(|whole| whole.limits == limits && whole.to_head == to_head)?;
        let text = &whole.head.headers.buffer()[..whole.length];
        buf.starts_with(text).then(|| (copy(&whole.head), whole.length))
    }

    /// A head of this length was understood. It is remembered when every line was the one that stood there before: one that
    /// is never seen again costs nothing.
    #[inline]
    pub(super) fn understood(&mut self, head: &ResponseHead, length: usize, limits: HeadLimits, to_head: bool) {
        if !std::mem::take(&mut self.differs) && head.upgrade.is_none() {
            self.whole = Some(Whole { head: copy(head), length, limits, to_head });
        }
    }
}

/// The same head, of no upgrade.
fn copy(head: &ResponseHead) -> ResponseHead {
    ResponseHead { headers: head.headers.for_now(), upgrade: None, ..*head }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::Fault;
    use crate::http::h1::Framing;
    use crate::http::h1::Scan;
    use crate::http::h1::response;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 5\r\nX-A: b\r\n\r\n";

    impl Memo {
        fn read(
            &mut self,
            text: &str,
            limits: HeadLimits,
            to_head: bool,
        ) -> Result<Option<(ResponseHead, usize)>, Fault> {
            response(text.as_bytes(), limits, &mut Scan::default(), to_head, Some(self))
        }

        /// The status, the framing and the fields of a whole head.
        fn told(&mut self, text: &str, to_head: bool) -> (u16, Framing, String) {
            let (head, length) = self.read(text, HeadLimits::default(), to_head).expect("sound").expect("whole");
            assert_eq!(length, text.find("\r\n\r\n").expect("an end") + 4);
            let mut fields = Vec::new();
            head.headers.write_to(&mut fields, |_| true);
            (head.status, head.framing, String::from_utf8(fields).expect("text"))
        }
    }

    #[test]
    fn a_head_that_came_twice_in_a_row_is_known_as_a_whole() {
        let mut memo = Memo::default();
        let first = memo.told(HEAD, false);
        assert_eq!(first, (200, Framing::Length(5), "Server: s\r\nX-A: b\r\n".to_owned()));
        assert!(memo.whole.is_none(), "it came once");
        assert_eq!(memo.told(HEAD, false), first);
        assert!(memo.head(HEAD.as_bytes(), HeadLimits::default(), false).is_some());
        assert_eq!(memo.told(&format!("{HEAD}hello"), false), first, "with the body behind it");
        assert!(
            memo.read(&HEAD[..HEAD.len() - 1], HeadLimits::default(), false).expect("sound").is_none(),
            "not all of it"
        );
    }

    #[test]
    fn what_differs_from_the_head_before_is_read_anew() {
        let mut memo = Memo::default();
        memo.told(HEAD, false);
        memo.told(HEAD, false);
        assert_eq!(memo.told(&HEAD.replace("200 OK", "404 No"), false).0, 404);
        assert_eq!(memo.told(&HEAD.replace("X-A: b", "X-A: c"), false).2, "Server: s\r\nX-A: c\r\n");
        assert_eq!(memo.told(&HEAD.replace("X-A: b\r\n", ""), false).2, "Server: s\r\n");
        assert!(memo.read(&HEAD.replace("X-A: b", "X-A: \0"), HeadLimits::default(), false).is_err());
    }

    #[test]
    fn a_head_is_the_same_for_the_same_question_and_limits_only() {
        let mut memo = Memo::default();
        memo.told(HEAD, false);
        memo.told(HEAD, false);
        let (_, framing, fields) = memo.told(HEAD, true);
        assert_eq!((framing, &*fields), (Framing::None, "Server: s\r\nX-A: b\r\ncontent-length: 5\r\n"));
        assert_eq!(memo.told(HEAD, false).1, Framing::Length(5));
        for limits in
            [HeadLimits { count: 2, ..HeadLimits::default() }, HeadLimits { bytes: 20, ..HeadLimits::default() }]
        {
            assert!(matches!(memo.read(HEAD, limits, false), Err(Fault::HeadersTooLarge(_))), "{limits:?}");
        }
    }

    #[test]
    fn what_is_for_one_client_is_not_kept() {
        let mut memo = Memo::default();
        let cookie = HEAD.replace("X-A: b", "Set-Cookie: a=secret");
        for _ in 0..3 {
            assert!(memo.told(&cookie, false).2.contains("secret"));
        }
        assert!(memo.whole.is_none());
        assert!(memo.lines.iter().all(|line| !String::from_utf8_lossy(&line.text).contains("secret")));
    }
}
