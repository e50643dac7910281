//! Parameters of a schema: which types it allows decides what a text is read as.

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use crate::primitive::scan::Kind;
use crate::primitive::scan::Scan;

/// What a schema lets a parameter be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Types {
    number: bool,
    boolean: bool,
    text: bool,
    null: bool,
    /// A list, with the types of its items.
    list: Option<Box<Self>>,
    /// An object, with the types of its members.
    object: Option<Vec<(String, Self)>>,
}

/// Schemas looked at for one parameter: references and branches may lead to each other.
const MOST: usize = 200;

impl Types {
    /// The types that `schema`, a part of `document`, allows.
    pub fn of(schema: &Value, document: &Value) -> Self {
        let mut types = Self::default();
        types.gather(schema, document, 0, &mut MOST.clone());
        types
    }

    /// Lists and members are read one level deep: no parameter is written deeper.
    fn gather(&mut self, schema: &Value, document: &Value, level: usize, left: &mut usize) {
        if *left == 0 || level > 2 {
            return;
        }
        *left -= 1;
        if let Some(target) = schema["$ref"].as_str().and_then(|reference| target(document, reference)) {
            self.gather(target, document, level, left);
        }
        for branch in ["allOf", "anyOf", "oneOf"].iter().filter_map(|name| schema[*name].as_array()).flatten() {
            self.gather(branch, document, level, left);
        }
        let values = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        let written = match &schema["type"] {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ if schema.get("items").is_some() => vec!["array"],
            _ if schema.get("properties").is_some() => vec!["object"],
            _ => values
                .map(|value| match value {
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "number",
                    Value::Null => "null",
                    _ => "string",
                })
                .collect(),
        };
        self.null |= schema["nullable"].as_bool() == Some(true);
        for name in written {
            match name {
                "integer" | "number" => self.number = true,
                "boolean" => self.boolean = true,
                "null" => self.null = true,
                "array" => {
                    let mut items = Self::default();
                    items.gather(&schema["items"], document, level + 1, left);
                    self.list = Some(Box::new(items));
                }
                "object" => {
                    let members = schema["properties"].as_object().filter(|_| level == 0).into_iter().flatten();
                    let mut known = self.object.take().unwrap_or_default();
                    for (name, schema) in members {
                        let mut types = Self::default();
                        types.gather(schema, document, level + 1, left);
                        known.push((name.clone(), types));
                    }
                    self.object = Some(known);
                }
                _ => self.text = true,
            }
        }
    }

    /// Whether a list will do, and nothing plain.
    pub fn is_list(&self) -> bool {
        self.list.is_some()
    }

    /// Whether an object will do.
    pub fn is_object(&self) -> bool {
        self.object.is_some()
    }

    /// Whether nothing plain will do: an object, or a list of objects.
    pub fn is_complex(&self) -> bool {
        let plain = self.text || self.number || self.boolean;
        !plain && (self.object.is_some() || self.list.as_ref().is_some_and(|items| items.is_complex()))
    }

    /// What a member of an object may be.
    pub fn member(&self, name: &str) -> Option<&Self> {
        self.object.iter().flatten().find(|member| member.0 == name).map(|member| &member.1)
    }

    /// The names of an object's members.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.object.iter().flatten().map(|member| member.0.as_str())
    }

    /// A parameter given this many times.
    pub fn read(&self, values: &[&str]) -> Value {
        match (&self.list, values) {
            (Some(items), _) => values.iter().map(|text| items.single(text)).collect(),
            (None, [text]) => self.single(text),
            _ => values.iter().map(|text| Value::from(*text)).collect(),
        }
    }

    /// An object given as pairs.
    pub fn read_object<'a>(&self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
        let members = self.object.as_deref().unwrap_or_default();
        let read = |(name, text): (&str, &str)| {
            let types = members.iter().find(|member| member.0 == name).map(|member| &member.1);
            (name.to_owned(), types.map_or_else(|| text.into(), |types| types.single(text)))
        };
        Value::Object(pairs.map(read).collect::<Map<_, _>>())
    }

    /// Fields of a form: several of one name are a list, where the schema wants one.
    pub fn read_fields(&self, pairs: &[(String, String)]) -> Value {
        let members = self.object.as_deref().unwrap_or_default();
        let mut object = Map::new();
        for (name, text) in pairs {
            if object.contains_key(name) {
                continue;
            }
            let all: Vec<&str> = pairs.iter().filter(|pair| pair.0 == *name).map(|pair| pair.1.as_str()).collect();
            let types = members.iter().find(|member| member.0 == *name).map(|member| &member.1);
            let value = match types {
                Some(types) => types.read(&all),
                None if all.len() > 1 => all.into_iter().map(Value::from).collect(),
                None => text.as_str().into(),
            };
            object.insert(name.clone(), value);
        }
        Value::Object(object)
    }

    fn single(&self, text: &str) -> Value {
        match text {
            "true" if self.boolean => true.into(),
            "false" if self.boolean => false.into(),
            "null" if self.null && !self.text => Value::Null,
            _ if self.number => number(text).unwrap_or_else(|| text.into()),
            _ => text.into(),
        }
    }
}

/// Every digit is kept.
fn number(text: &str) -> Option<Value> {
    let mut scan = Scan::new(text.as_bytes()).ok()?;
    let digits = (scan.kind().ok()? == Kind::Number).then(|| scan.number().ok())??;
    (digits.len() == text.len()).then(|| Value::Number(Number::from_string_unchecked(digits.to_owned())))
}

/// What a reference within the document leads to.
pub fn target<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    document.pointer(&pointer)
}
