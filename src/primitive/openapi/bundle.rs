//! References to other files: what they lead to is taken into the document, so that every reference stays inside it.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Map;
use serde_json::Value;

use super::OpenapiError;

/// Reads another file of the document by its name, which is relative to where the document's own name is.
type Reader<'a> = &'a dyn Fn(&str) -> Result<Value, String>;

/// `document`, the file of this name, with what it refers to in other files.
pub fn bundle(
    name: &str,
    mut document: Value,
    read: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<Value, OpenapiError> {
    if !document.is_object() {
        return Ok(document);
    }
    let mut bundle = Bundle { main: name, read, files: HashMap::new(), taken: HashMap::new(), parts: Vec::new() };
    bundle.walk(&mut document, name, Kind::Other, false)?;
    let mut next = 0;
    while next < bundle.parts.len() {
        let (file, kind) = (bundle.parts[next].file.clone(), bundle.parts[next].kind);
        let mut value = std::mem::take(&mut bundle.parts[next].value);
        bundle.walk(&mut value, &file, kind, false)?;
        bundle.parts[next].value = value;
        next += 1;
    }
    for part in bundle.parts {
        let components = member(&mut document, "components");
        member(components, part.kind.home()).as_object_mut().map(|home| home.insert(part.name, part.value));
    }
    Ok(document)
}

/// What stands at a place: schemas are translated, and other things are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Schema,
    Other,
}

impl Kind {
    /// Where among the components what another file has is put.
    fn home(self) -> &'static str {
        match self {
            Self::Schema => "schemas",
            Self::Other => "others",
        }
    }
}

struct Bundle<'a> {
    main: &'a str,
    read: Reader<'a>,
    files: HashMap<String, Value>,
    /// What was taken from where, by its place among the parts.
    taken: HashMap<(String, String, Kind), usize>,
    parts: Vec<Part>,
}

/// A piece of another file.
struct Part {
    file: String,
    kind: Kind,
    name: String,
    value: Value,
}

impl Bundle<'_> {
    /// Mends every reference below `value`, a piece of `file`; `named`: its members have names of the document's own
    /// choice, which mean nothing.
    fn walk(&mut self, value: &mut Value, file: &str, kind: Kind, named: bool) -> Result<(), OpenapiError> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.walk(item, file, kind, false)),
            Value::Object(members) => {
                if let (Some(Value::String(reference)), false) = (members.get_mut("$ref"), named) {
                    self.mend(reference, file, kind)?;
                }
                for (name, value) in members.iter_mut().filter(|(name, _)| named || !is_data(name)) {
                    let schema = !named && matches!(name.as_str(), "schema" | "schemas");
                    let kind = if schema { Kind::Schema } else { kind };
                    self.walk(value, file, kind, !named && MAPS.contains(&name.as_str()))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn mend(&mut self, reference: &mut String, file: &str, kind: Kind) -> Result<(), OpenapiError> {
        let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if path.contains("://") || path.starts_with("//") {
            return Err(OpenapiError(format!("`{reference}` leads to another host: put that file beside this one")));
        }
        let target = if path.is_empty() { file.to_owned() } else { beside(file, path) };
        if target == self.main {
            *reference = format!("#{fragment}");
            return Ok(());
        }
        let fragment = fragment.to_owned();
        let name = self.take(reference, target, fragment, kind)?;
        *reference = format!("#/components/{}/{name}", kind.home());
        Ok(())
    }

    /// The name that what stands in `file` at `fragment` has among the components.
    fn take(&mut self, reference: &str, file: String, fragment: String, kind: Kind) -> Result<String, OpenapiError> {
        let place = (file, fragment, kind);
        if let Some(&index) = self.taken.get(&place) {
            return Ok(self.parts[index].name.clone());
        }
        let (file, fragment, _) = &place;
        if !self.files.contains_key(file) {
            let text = (self.read)(file).map_err(|said| OpenapiError(format!("`{reference}`: {said}")))?;
            self.files.insert(file.clone(), text);
        }
        let pointer = percent_decode_str(fragment).decode_utf8_lossy();
        let found = self.files.get(file).and_then(|document| document.pointer(&pointer));
        let lost = || OpenapiError(format!("`{reference}` leads nowhere: {file} has no `{fragment}`"));
        let value = found.cloned().ok_or_else(lost)?;
        let index = self.parts.len();
        if index == MOST {
            return Err(OpenapiError(format!("more than {MOST} references lead to other files")));
        }
        let name = format!("{}-{index}", label(file, fragment));
        self.parts.push(Part { file: file.clone(), kind, name: name.clone(), value });
        self.taken.insert(place, index);
        Ok(name)
    }
}

/// What holds things by names of the document's own choice.
const MAPS: [&str; 17] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "schemas",
    "responses",
    "requestBodies",
    "headers",
    "examples",
    "links",
    "callbacks",
    "content",
    "encoding",
    "paths",
    "pathItems",
    "mapping",
];

/// What holds data, not parts of a document.
fn is_data(name: &str) -> bool {
    matches!(name, "example" | "default" | "enum" | "const" | "value") || name.starts_with("x-")
}

/// The member of this name, an object.
fn member<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value[name].is_object() {
        value[name] = Value::Object(Map::new());
    }
    &mut value[name]
}

/// `path` as `file` writes it, from where `file` is.
fn beside(file: &str, path: &str) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut steps: Vec<&str> = match path.strip_prefix('/') {
        Some(_) => return path.into_owned(),
        None => file.split('/').collect(),
    };
    steps.pop();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." if steps.last().is_some_and(|last| *last != "..") => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps.join("/")
}

/// The last word of a place, as far as a name may have it.
fn label(file: &str, fragment: &str) -> String {
    let last = fragment.rsplit('/').next().filter(|last| !last.is_empty());
    let stem = file.rsplit('/').next().and_then(|file| file.split('.').next());
    let word = last.or(stem).unwrap_or_default();
    word.chars().filter(char::is_ascii_alphanumeric).take(40).collect()
}

/// More pieces of other files are nobody's.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(name: &str) -> Result<Value, String> {
        match name {
            "api/schemas.yaml" => Ok(json!({
                "Pet": { "type": "object", "properties": {
                    "tag": { "$ref": "#/Tag" }, "friend": { "$ref": "#/Pet" },
                    // Names that mean something elsewhere.
                    "default": { "$ref": "#/Tag" }, "$ref": { "type": "string" },
                } },
                "Tag": { "type": "string", "nullable": true, "default": "none" },
                "a/b": { "type": "integer" },
            })),
            "shared/paths.json" => Ok(json!({
                "get": {
                    "parameters": [{ "name": "n", "in": "query", "schema": { "$ref": "../api/schemas.yaml#/a~1b" } }],
                    "responses": { "200": { "$ref": "../api/api.yaml#/components/responses/Fine" } },
                },
            })),
            _ => Err(format!("{name} is not there")),
        }
    }

    fn document(paths: &Value) -> Value {
        json!({ "openapi": "3.0.3", "paths": paths, "components": { "responses": { "Fine": { "description": "" } } } })
    }

    #[test]
    fn references_to_files_become_references_within() {
        let paths = json!({
            "/pets": { "post": { "requestBody": { "content": { "application/json": {
                "schema": { "$ref": "./schemas.yaml#/Pet" }, "example": { "$ref": "https://not.a/reference" },
            } } } } },
            "/other": { "$ref": "../shared/paths.json" },
        });
        let bundled = bundle("api/api.yaml", document(&paths), &files).unwrap();
        let at = |pointer: &str| bundled.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {bundled}"));
        let leads = |pointer: &str| at(at(pointer).as_str().unwrap().strip_prefix('#').unwrap());
        let pet = leads("/paths/~1pets/post/requestBody/content/application~1json/schema/$ref");
        let (tag, friend) = (&pet["properties"]["tag"]["$ref"], &pet["properties"]["friend"]["$ref"]);
        assert_eq!(at(&tag.as_str().unwrap()[1..])["default"], "none");
        assert_eq!(at(&friend.as_str().unwrap()[1..]), pet, "a circle is one");
        assert_eq!(&pet["properties"]["default"]["$ref"], tag);
        let other = leads("/paths/~1other/$ref");
        let param = other.pointer("/get/parameters/0/schema/$ref").unwrap().as_str().unwrap();
        assert_eq!(at(&param[1..])["type"], "integer");
        assert_eq!(other["get"]["responses"]["200"]["$ref"], "#/components/responses/Fine");
        assert_eq!(bundled["components"]["schemas"].as_object().map(Map::len), Some(3));
    }

    #[test]
    fn a_bundled_document_is_an_api() {
        let paths = json!({ "/pets": { "post": { "requestBody": { "required": true, "content": { "application/json": {
            "schema": { "$ref": "schemas.yaml#/Pet" },
        } } } } } });
        let api = super::super::Api::new(bundle("api/api.yaml", document(&paths), &files).unwrap()).unwrap();
        assert!(api.body(0, "application/json", br#"{"tag":null,"friend":{"tag":"x"}}"#).is_ok());
        let Err(super::super::Refusal::Faults(faults)) = api.body(0, "application/json", br#"{"friend":{"tag":1}}"#)
        else {
            panic!("a tag is text")
        };
        assert_eq!(faults[0].pointer, "/friend/tag");
    }

    #[test]
    fn what_leads_away_is_named() {
        for (reference, says) in [
            ("https://a.dev/x.yaml#/X", "leads to another host"),
            ("//a.dev/x.yaml", "leads to another host"),
            ("schemas.yaml#/Dog", "leads nowhere: api/schemas.yaml has no `/Dog`"),
            ("../../etc/passwd", "../etc/passwd is not there"),
            ("/etc/passwd", "/etc/passwd is not there"),
            ("none.yaml", "api/none.yaml is not there"),
        ] {
            let paths = json!({ "/": { "get": { "parameters": [{ "$ref": reference }] } } });
            let said = bundle("api/api.yaml", document(&paths), &files).unwrap_err().to_string();
            assert!(said.contains(says) && said.contains(reference), "{said}");
        }
    }
}
