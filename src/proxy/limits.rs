//! What limits said about a request: fields of its answer (draft-ietf-httpapi-ratelimit-headers-10), `req.limits` of
//! functions, and permits it holds.

use std::any::Any;
use std::cell::Cell;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::http::Response;

/// What one limit said.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its name: printable ASCII.
    pub name: Rc<str>,
    /// The most there can be.
    pub limit: u64,
    /// What is left.
    pub left: u64,
    /// Seconds until all of it is there again; of an exhausted one, until there is room.
    pub reset: u64,
    /// Seconds it takes to come back from nothing.
    pub span: u64,
    /// Whether the answer's fields tell of it.
    pub field: bool,
}

/// What all of them said, and what is held until the answer has ended.
#[derive(Default)]
pub struct Limits {
    told: RefCell<Vec<Told>>,
    /// How many of them functions have seen.
    seen: Cell<usize>,
    held: RefCell<Vec<Box<dyn Any>>>,
}

impl Limits {
    /// Another word of a limit; of one name the last counts.
    pub fn tell(&self, told: Told) {
        let mut all = self.told.borrow_mut();
        let known = all.iter().position(|other| other.name == told.name && other.field == told.field);
        if let Some(known) = known {
            all.remove(known);
            self.seen.set(self.seen.get() - usize::from(known < self.seen.get()));
        }
        all.push(told);
    }

    /// Whether there is something that no function has seen.
    pub fn is_news(&self) -> bool {
        self.seen.get() < self.told.borrow().len()
    }

    /// What no function has seen; it is seen by this.
    pub fn news(&self) -> Vec<Told> {
        let told = self.told.borrow();
        told[self.seen.replace(told.len())..].to_vec()
    }

    /// Keeps something until the answer has ended, whatever way that is.
    pub fn hold(&self, permit: Box<dyn Any>) {
        self.held.borrow_mut().push(permit);
    }

    /// Gives up what was held, to be dropped or kept longer.
    pub fn held(&self) -> Vec<Box<dyn Any>> {
        std::mem::take(&mut *self.held.borrow_mut())
    }

    /// `RateLimit-Policy` and `RateLimit`.
    pub(crate) fn finish(&self, response: &mut Response) {
        let told = self.told.borrow();
        let mut shown = told.iter().filter(|told| told.field).peekable();
        if shown.peek().is_none() {
            return;
        }
        let (mut policies, mut states) = (String::with_capacity(48), String::with_capacity(48));
        for Told { name, limit, left, reset, span, .. } in shown {
            for text in [&mut policies, &mut states] {
                if !text.is_empty() {
                    text.push_str(", ");
                }
                quoted(text, name);
            }
            // Writing to a String cannot fail.
            let _ = write!(policies, ";q={};w={}", number(*limit), number(*span));
            let _ = write!(states, ";r={};t={}", number(*left), number(*reset));
        }
        response.headers.add("RateLimit-Policy", policies);
        response.headers.add("RateLimit", states);
    }
}

/// A string of structured fields (RFC 9651 §3.3.3).
fn quoted(text: &mut String, name: &str) {
    text.push('"');
    for char in name.chars() {
        if matches!(char, '"' | '\\') {
            text.push('\\');
        }
        text.push(char);
    }
    text.push('"');
}

/// Integers of structured fields have 15 digits (RFC 9651 §3.3.1).
fn number(number: u64) -> u64 {
    number.min(999_999_999_999_999)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, left: u64, field: bool) -> Told {
        Told { name: name.into(), limit: 10, left, reset: 3, span: 60, field }
    }

    #[test]
    fn fields_are_structured_and_list_every_limit() {
        let limits = Limits::default();
        let mut response = Response::new(200);
        limits.finish(&mut response);
        assert!(response.headers.is_empty());
        limits.tell(told("a \"b\" \\", 5, true));
        limits.tell(told("hidden", 5, false));
        limits.tell(Told { limit: u64::MAX, ..told("c", 4, true) });
        limits.finish(&mut response);
        let field = |name| response.headers.text(name).unwrap_or_default();
        assert_eq!(field("ratelimit"), r#""a \"b\" \\";r=5;t=3, "c";r=4;t=3"#);
        assert_eq!(field("ratelimit-policy"), r#""a \"b\" \\";q=10;w=60, "c";q=999999999999999;w=60"#);
    }

    #[test]
    fn the_last_word_of_a_limit_counts_and_is_news() {
        let limits = Limits::default();
        limits.tell(told("a", 5, true));
        limits.tell(told("b", 5, true));
        assert_eq!((limits.news().len(), limits.is_news()), (2, false));
        limits.tell(told("a", 4, true));
        assert!(limits.is_news());
        assert_eq!(limits.news().iter().map(|told| (&*told.name, told.left)).collect::<Vec<_>>(), [("a", 4)]);
        assert_eq!(limits.told.borrow().len(), 2);
    }
}
