//! Parameters: texts that are read as what they should be.

use std::borrow::Cow;

use serde_json::Number;
use serde_json::Value;

use super::Fault;
use super::Field;
use super::MOST;
use super::Object;
use super::Rule;
use super::fault::Path;
use crate::primitive::scan::Kind;
use crate::primitive::scan::Scan;

/// The parameters of one place.
#[derive(Clone, Debug)]
pub struct Params {
    /// `query`, `path`, `headers` or `cookies`: the first step of pointers.
    place: &'static str,
    object: Object,
}

/// A parameter that is something else than its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub value: Value,
    /// Whether it was absent, and this is its default.
    pub filled: bool,
}

impl Params {
    /// Parameters of `place`, and others where `extra`.
    pub fn new(place: &'static str, fields: Vec<Field>, extra: bool) -> Self {
        Self { place, object: Object::new(fields, extra) }
    }

    /// The parameters, sorted by name.
    pub fn fields(&self) -> &[Field] {
        &self.object.fields
    }

    /// Whether others than those known are refused: then the caller shows them to [`Params::stranger`].
    pub fn is_closed(&self) -> bool {
        !self.object.extra
    }

    /// A fault for a parameter that is not known.
    pub fn stranger(&self, name: &str, faults: &mut Vec<Fault>) {
        if self.object.find(name).is_none() && faults.len() < MOST {
            faults.push(Fault::at(&Path::ROOT.name(self.place).name(name), "is not expected"));
        }
    }

    /// Reads the values that `get` finds for each parameter.
    pub fn read<'v>(&self, mut get: impl FnMut(&Field) -> Vec<Cow<'v, str>>, faults: &mut Vec<Fault>) -> Vec<Read<'_>> {
        let root = Path::ROOT.name(self.place);
        let mut reads = Vec::new();
        for field in &self.object.fields {
            if faults.len() >= MOST {
                break;
            }
            let (name, path) = (&*field.name, root.name(&field.name));
            let values = get(field);
            if values.is_empty() {
                match &field.default {
                    Some(default) => reads.push(Read { name, value: default.clone(), filled: true }),
                    None if field.required => faults.push(Fault::at(&path, "is missing")),
                    None => {}
                }
            } else if let Some(Is::Other(value)) = value(&field.rule, &values, &path, faults) {
                reads.push(Read { name, value, filled: false });
            }
        }
        reads
    }
}

/// What a text was read as.
enum Is {
    /// The text.
    Text,
    Other(Value),
}

/// `None`: a fault was told.
fn value(rule: &Rule, values: &[Cow<'_, str>], path: &Path<'_>, faults: &mut Vec<Fault>) -> Option<Is> {
    match rule {
        Rule::List(list) => {
            let (before, mut items) = (faults.len(), Vec::with_capacity(values.len()));
            for (index, text) in values.iter().enumerate() {
                let read = value(&list.items, std::slice::from_ref(text), &path.index(index), faults);
                match read {
                    Some(Is::Text) => items.push(Value::String(text.to_string())),
                    Some(Is::Other(value)) => items.push(value),
                    None if faults.len() >= MOST => return None,
                    None => {}
                }
            }
            let count = values.len();
            if list.min.is_some_and(|min| count < min) || list.max.is_some_and(|max| count > max) {
                faults.push(Fault::at(path, format!("must be {rule}")));
            }
            (faults.len() == before).then_some(Is::Other(Value::Array(items)))
        }
        Rule::Either(rules) => {
            let before = faults.len();
            for rule in rules {
                if let Some(read) = value(rule, values, path, faults) {
                    return Some(read);
                }
                faults.truncate(before);
            }
            faults.push(Fault::at(path, format!("must be {rule}")));
            None
        }
        Rule::Nullable(inner) => value(inner, values, path, faults),
        Rule::Other(judge) => {
            let texts: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
            let value = judge.read(&texts);
            let found = judge.judge(&value, MOST.saturating_sub(faults.len()));
            let pointer = path.pointer();
            let fine = found.is_empty();
            faults.extend(
                found.into_iter().map(|fault| Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault }),
            );
            fine.then_some(if value.is_string() { Is::Text } else { Is::Other(value) })
        }
        _ => {
            let [text] = values else {
                faults.push(Fault::at(path, "must be given once"));
                return None;
            };
            let read = single(rule, text);
            if read.is_none() {
                faults.push(Fault::at(path, format!("must be {rule}")));
            }
            read
        }
    }
}

fn single(rule: &Rule, text: &str) -> Option<Is> {
    match rule {
        Rule::Bool => match text {
            "true" => Some(Is::Other(true.into())),
            "false" => Some(Is::Other(false.into())),
            _ => None,
        },
        Rule::Int(bounds) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let whole = !digits.is_empty() && digits.len() <= 1000 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = whole.then(|| plain(text))?;
            bounds.hold(&number).then(|| Is::Other(exact(number)))
        }
        Rule::Number(bounds) => {
            let mut scan = Scan::new(text.as_bytes()).ok()?;
            let digits = (scan.kind().ok()? == Kind::Number).then(|| scan.number().ok())??;
            (digits.len() == text.len() && bounds.hold(digits)).then(|| Is::Other(exact(digits.to_owned())))
        }
        Rule::Text(rules) => rules.holds(text).then_some(Is::Text),
        Rule::OneOf(words) => words.iter().any(|word| **word == *text).then_some(Is::Text),
        Rule::Any => Some(Is::Text),
        // Objects are no parameters: whoever makes rules refuses them there.
        _ => None,
    }
}

/// Without leading zeros, which no JSON number has.
fn plain(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    }
}

/// Every digit is kept.
fn exact(digits: String) -> Value {
    Value::Number(Number::from_string_unchecked(digits))
}
