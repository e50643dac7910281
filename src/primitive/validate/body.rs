//! A JSON text against a rule: one pass over the bytes, no tree; defaults are noted as texts to put in.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::Fault;
use super::List;
use super::MOST;
use super::Object;
use super::Rule;
use super::fault::Path;
use super::is_whole;
use crate::primitive::scan::DEEPEST;
use crate::primitive::scan::Kind;
use crate::primitive::scan::Scan;
use crate::primitive::scan::ScanFault;

/// What a text came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// As it should be.
    Fine,
    /// As it should be, once the defaults stand in it: the whole text.
    Filled(Vec<u8>),
    /// Not.
    Faulty(Vec<Fault>),
}

/// Checks a JSON text. An error: it is none.
pub fn check(rule: &Rule, text: &[u8]) -> Result<Checked, ScanFault> {
    let mut reader = Reader { scan: Scan::new(text)?, faults: Vec::new(), fills: Vec::new(), quiet: false };
    let end = reader.value(rule, &Path::ROOT, 0).and_then(|()| Ok(reader.scan.end()?));
    match end {
        Ok(()) if reader.faults.is_empty() => {}
        Ok(()) | Err(End::Enough) => return Ok(Checked::Faulty(reader.faults)),
        Err(End::Syntax(fault)) => return Err(fault),
    }
    if reader.fills.is_empty() {
        return Ok(Checked::Fine);
    }
    let mut filled = Vec::with_capacity(text.len() + 32 * reader.fills.len());
    let mut from = 0;
    for (place, fill) in &reader.fills {
        filled.extend_from_slice(&text[from..place.start]);
        filled.extend_from_slice(fill.as_bytes());
        from = place.end;
    }
    filled.extend_from_slice(&text[from..]);
    Ok(Checked::Filled(filled))
}

struct Reader<'a> {
    scan: Scan<'a>,
    faults: Vec<Fault>,
    /// What something is put in for, in order, and what.
    fills: Vec<(Range<usize>, String)>,
    /// One of several rules is tried: that it does not fit is all that counts.
    quiet: bool,
}

/// Why reading stops.
enum End {
    Syntax(ScanFault),
    /// There are faults enough to tell.
    Enough,
}

impl From<ScanFault> for End {
    fn from(fault: ScanFault) -> Self {
        Self::Syntax(fault)
    }
}

impl<'a> Reader<'a> {
    fn value(&mut self, rule: &Rule, path: &Path<'_>, depth: usize) -> Result<(), End> {
        if depth > DEEPEST {
            return Err(self.scan.fault("nested too deeply").into());
        }
        let kind = self.scan.kind()?;
        match (rule, kind) {
            (Rule::Any, _) => Ok(self.scan.skip()?),
            (Rule::Bool, Kind::Bool) => Ok(self.scan.word().map(|_| ())?),
            (Rule::Int(bounds), Kind::Number) => {
                let digits = self.scan.number()?;
                self.hold(is_whole(digits) && bounds.hold(digits), rule, path)
            }
            (Rule::Number(bounds), Kind::Number) => {
                let digits = self.scan.number()?;
                self.hold(bounds.hold(digits), rule, path)
            }
            (Rule::Text(text), Kind::Text) => {
                let value = self.scan.text()?;
                self.hold(text.holds(&value), rule, path)
            }
            (Rule::OneOf(words), Kind::Text) => {
                let value = self.scan.text()?;
                self.hold(words.iter().any(|word| **word == value), rule, path)
            }
            (Rule::List(list), Kind::List) => self.list(rule, list, path, depth),
            (Rule::Map(of), Kind::Object) => self.map(of, path, depth),
            (Rule::Object(object), Kind::Object) => self.object(object, path, depth),
            (Rule::Either(rules), _) => self.either(rules, rule, path, depth),
            (Rule::Nullable(_), Kind::Null) => Ok(self.scan.word().map(|_| ())?),
            (Rule::Nullable(inner), _) => self.value(inner, path, depth),
            (Rule::Other(judge), _) => {
                let start = self.scan.at();
                self.scan.skip()?;
                let mut value: Value = serde_json::from_str(self.scan.since(start))
                    .map_err(|_| End::Syntax(self.scan.fault("a value that cannot be read")))?;
                let found = judge.judge(&value, MOST - self.faults.len());
                if self.quiet && !found.is_empty() {
                    return Err(End::Enough);
                }
                if found.is_empty() && judge.fill(&mut value) {
                    self.fills.push((start..self.scan.at(), value.to_string()));
                }
                let pointer = path.pointer();
                for fault in found {
                    self.fault(Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault })?;
                }
                Ok(())
            }
            _ => {
                self.scan.skip()?;
                self.hold(false, rule, path)
            }
        }
    }

    fn hold(&mut self, holds: bool, rule: &Rule, path: &Path<'_>) -> Result<(), End> {
        if holds { Ok(()) } else { self.tell(path, || format!("must be {rule}")) }
    }

    fn tell(&mut self, path: &Path<'_>, message: impl FnOnce() -> String) -> Result<(), End> {
        if self.quiet { Err(End::Enough) } else { self.fault(Fault::at(path, message())) }
    }

    fn fault(&mut self, fault: Fault) -> Result<(), End> {
        self.faults.push(fault);
        if self.faults.len() >= MOST { Err(End::Enough) } else { Ok(()) }
    }

    fn list(&mut self, rule: &Rule, list: &List, path: &Path<'_>, depth: usize) -> Result<(), End> {
        let (mut more, mut count) = (self.scan.enter(b']'), 0);
        while more {
            self.value(&list.items, &path.index(count), depth + 1)?;
            count += 1;
            more = self.scan.more(b']')?;
        }
        let fits = list.min.is_none_or(|min| count >= min) && list.max.is_none_or(|max| count <= max);
        self.hold(fits, rule, path)
    }

    fn map(&mut self, of: &Rule, path: &Path<'_>, depth: usize) -> Result<(), End> {
        let mut more = self.scan.enter(b'}');
        while more {
            let name = self.scan.name()?;
            self.value(of, &path.name(&name), depth + 1)?;
            more = self.scan.more(b'}')?;
        }
        Ok(())
    }

    fn object(&mut self, object: &Object, path: &Path<'_>, depth: usize) -> Result<(), End> {
        let mut seen = Seen::new(object.fields.len());
        let mut more = self.scan.enter(b'}');
        let empty = !more;
        while more {
            let name: Cow<'a, str> = self.scan.name()?;
            let inner = path.name(&name);
            match object.find(&name) {
                Some(index) => {
                    if !seen.first(index) {
                        self.tell(&inner, || "stands here twice".to_owned())?;
                    }
                    self.value(&object.fields[index].rule, &inner, depth + 1)?;
                }
                None if object.extra => self.scan.skip()?,
                None => {
                    self.tell(&inner, || "is not expected".to_owned())?;
                    self.scan.skip()?;
                }
            }
            more = self.scan.more(b'}')?;
        }
        if seen.left == 0 {
            return Ok(());
        }
        self.absent(object, &seen, empty, path)
    }

    /// Members that are not there: told, or filled in before the closing brace.
    fn absent(&mut self, object: &Object, seen: &Seen, empty: bool, path: &Path<'_>) -> Result<(), End> {
        let (brace, mut first) = (self.scan.at() - 1, empty);
        for (_, field) in object.fields.iter().enumerate().filter(|(index, _)| !seen.has(*index)) {
            if let Some(default) = &field.default {
                let comma = if std::mem::take(&mut first) { "" } else { "," };
                let name = Value::String(field.name.to_string());
                self.fills.push((brace..brace, format!("{comma}{name}:{default}")));
            } else if field.required {
                self.tell(&path.name(&field.name), || "is missing".to_owned())?;
            }
        }
        Ok(())
    }

    /// The first rule that takes the value; where none does, what each of them is.
    fn either(&mut self, rules: &[Rule], whole: &Rule, path: &Path<'_>, depth: usize) -> Result<(), End> {
        let (start, fills) = (self.scan.clone(), self.fills.len());
        let quiet = std::mem::replace(&mut self.quiet, true);
        for rule in rules {
            let tried = self.value(rule, path, depth);
            match tried {
                Err(End::Enough) => {
                    self.fills.truncate(fills);
                    self.scan = start.clone();
                }
                tried => {
                    self.quiet = quiet;
                    return tried;
                }
            }
        }
        self.quiet = quiet;
        self.scan.skip()?;
        self.hold(false, whole, path)
    }
}

/// Which members were seen.
struct Seen {
    few: u64,
    many: Vec<bool>,
    left: usize,
}

impl Seen {
    fn new(count: usize) -> Self {
        Self { few: 0, many: if count > 64 { vec![false; count] } else { Vec::new() }, left: count }
    }

    fn has(&self, index: usize) -> bool {
        if self.many.is_empty() { self.few >> index & 1 == 1 } else { self.many[index] }
    }

    /// Notes a member: whether it is the first of its name.
    fn first(&mut self, index: usize) -> bool {
        let first = !self.has(index);
        if self.many.is_empty() {
            self.few |= 1 << index;
        } else {
            self.many[index] = true;
        }
        self.left -= usize::from(first);
        first
    }
}
