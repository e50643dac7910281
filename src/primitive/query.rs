//! A query as an ordered list of pairs; only what was changed is encoded again.

use std::borrow::Cow;

/// A query.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pairs: Vec<Pair>,
    changed: bool,
}

#[derive(Clone, Debug)]
struct Pair {
    name: Box<str>,
    value: Box<str>,
    /// As it stands in the query.
    raw: Box<str>,
}

impl Query {
    /// Reads a query, without `?`.
    pub fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Pair { name: decode(name).into(), value: decode(value).into(), raw: piece.into() }
        });
        Self { pairs: pairs.collect(), changed: false }
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of `name`, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |pair| *pair.name == *name).map(|pair| &*pair.value)
    }

    /// Every pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| (&*pair.name, &*pair.value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Puts one value where the first of this name stands, or last; others of this name go.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut own = self.pairs.iter().enumerate().filter(|(_, pair)| *pair.name == *name);
        let (first, second) = (own.next().map(|(place, _)| place), own.next().is_some());
        match first {
            None => return self.add(name, value),
            Some(first) if !second && *self.pairs[first].value == *value => return,
            Some(first) => {
                self.pairs[first] = Pair::new(name, value);
                let mut place = 0;
                self.pairs.retain(|pair| {
                    place += 1;
                    place - 1 == first || *pair.name != *name
                });
            }
        }
        self.changed = true;
    }

    /// Adds a pair after the others.
    pub fn add(&mut self, name: &str, value: &str) {
        self.pairs.push(Pair::new(name, value));
        self.changed = true;
    }

    /// Removes every pair of this name; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.pairs.len();
        self.pairs.retain(|pair| *pair.name != *name);
        let removed = before != self.pairs.len();
        self.changed |= removed;
        removed
    }

    /// Gives every pair of this name another; whether there was one.
    pub fn rename(&mut self, name: &str, to: &str) -> bool {
        let mut renamed = false;
        for pair in self.pairs.iter_mut().filter(|pair| *pair.name == *name) {
            *pair = Pair::new(to, &pair.value);
            renamed = true;
        }
        self.changed |= renamed;
        renamed
    }

    /// Whether anything differs from what was read.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// As it is sent on; pairs that nobody touched byte for byte. Without pairs: `None`.
    pub fn encode(&self) -> Option<String> {
        let raw: Vec<&str> = self.pairs.iter().map(|pair| &*pair.raw).collect();
        (!raw.is_empty()).then(|| raw.join("&"))
    }
}

impl Pair {
    fn new(name: &str, value: &str) -> Self {
        let raw = crate::primitive::form::encode([(name, value)]);
        Self { name: name.into(), value: value.into(), raw: raw.into() }
    }
}

/// The first value of `name` in a query, decoded; for those who want no more.
pub fn first(raw: &str, name: &str) -> Option<String> {
    let pieces = raw.split('&').filter(|piece| !piece.is_empty());
    let mut pairs = pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")));
    pairs.find(|(key, _)| decode(key) == name).map(|(_, value)| decode(value))
}

/// Every pair of a query, decoded; copied only where something is escaped.
pub fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        (unescaped(name), unescaped(value))
    })
}

fn unescaped(raw: &str) -> Cow<'_, str> {
    if raw.contains(['%', '+']) { decode(raw).into() } else { raw.into() }
}

/// `+` is a space; escapes that are no UTF-8 are replaced.
fn decode(raw: &str) -> String {
    let spaced = if raw.contains('+') { Cow::Owned(raw.replace('+', " ")) } else { Cow::Borrowed(raw) };
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "a=1&tag=x%20y&b=%7e+z&tag=2&flag&e=";

    #[test]
    fn values_are_decoded_and_ordered() {
        let query = Query::parse(RAW);
        assert_eq!(query.get("b"), Some("~ z"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["x y", "2"]);
        assert_eq!((query.get("flag"), query.get("e"), query.get("none")), (Some(""), Some(""), None));
        assert_eq!((query.len(), query.is_changed()), (6, false));
        assert_eq!(query.encode().as_deref(), Some(RAW));
        assert_eq!(Query::parse("").encode(), None);
        assert_eq!(
            (first(RAW, "tag").as_deref(), first("%61=+x", "a").as_deref(), first(RAW, "x")),
            (Some("x y"), Some(" x"), None)
        );
        assert_eq!((first("", ""), first("a&b", "b").as_deref()), (None, Some("")));
    }

    #[test]
    fn only_what_was_changed_is_encoded_again() {
        let mut query = Query::parse(RAW);
        query.set("a", "1");
        assert!(!query.is_changed(), "the value it had");
        query.set("tag", "é&");
        query.add("new", "x y");
        query.remove("flag");
        assert!(!query.remove("flag"));
        query.rename("e", "f");
        assert_eq!(query.encode().as_deref(), Some("a=1&tag=%C3%A9%26&b=%7e+z&f=&new=x+y"));
        assert!(query.is_changed());
        let names: Vec<&str> = query.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "tag", "b", "f", "new"]);
    }

    proptest::proptest! {
        #[test]
        fn it_reads_what_it_wrote(pairs in proptest::collection::vec(("\\PC{0,6}", "\\PC{0,6}"), 0..6)) {
            let mut query = Query::default();
            for (name, value) in &pairs {
                query.add(name, value);
            }
            let raw = query.encode().unwrap_or_default();
            let again = Query::parse(&raw);
            let expected: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
            proptest::prop_assert_eq!(again.iter().collect::<Vec<_>>(), expected);
        }
    }
}
