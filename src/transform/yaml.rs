//! YAML as the JSON it stands for: one document, aliases bounded, names of mappings as text.

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

/// A text that is no YAML, or no YAML that JSON could say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct YamlFault(String);

/// Larger texts are refused.
const LARGEST: usize = 64 << 20;

/// Reads one document.
pub fn decode(text: &[u8]) -> Result<Value, YamlFault> {
    if text.len() > LARGEST {
        return Err(YamlFault(format!("the YAML text is larger than {} MB", LARGEST >> 20)));
    }
    let mut yaml: Yaml = serde_yaml_ng::from_slice(text).map_err(|error| YamlFault(error.to_string()))?;
    yaml.apply_merge().map_err(|error| YamlFault(error.to_string()))?;
    convert(yaml)
}

fn convert(yaml: Yaml) -> Result<Value, YamlFault> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::String(text) => text.into(),
        Yaml::Number(number) => Value::Number(numeral(&number)?),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?),
        Yaml::Mapping(members) => {
            let mut object = Map::with_capacity(members.len());
            for (name, value) in members {
                object.insert(label(name)?, convert(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => convert(tagged.value)?,
    })
}

fn numeral(number: &serde_yaml_ng::Number) -> Result<Number, YamlFault> {
    let whole = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
    let any = whole.or_else(|| number.as_f64().and_then(Number::from_f64));
    any.ok_or_else(|| YamlFault(format!("{number} is no number of JSON")))
}

/// A mapping's name: `200:` is one too.
fn label(name: Yaml) -> Result<String, YamlFault> {
    Ok(match name {
        Yaml::String(text) => text,
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        Yaml::Null => "null".to_owned(),
        _ => return Err(YamlFault("a list or mapping cannot name a member".to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_says_what_json_would() {
        let text = "a: 1\nlist: [x, 2.5, null, true]\n200: &base { b: 'yes' }\nc: { <<: *base, d: 2026-01-31 }\nbig: 18446744073709551615\n";
        let expected = json!({ "a": 1, "list": ["x", 2.5, null, true], "200": { "b": "yes" }, "c": { "d": "2026-01-31", "b": "yes" }, "big": 18446744073709551615_u64 });
        assert_eq!(decode(text.as_bytes()).unwrap(), expected);
        assert_eq!(decode(b"").unwrap(), Value::Null);
        assert!(decode(b"a: [1").unwrap_err().to_string().contains("line"));
        assert!(decode(b"a: 1\na: 2").is_err(), "a name twice");
        assert!(decode(b"[1]: 2").is_err());
        assert!(decode(b"--- 1\n--- 2").is_err(), "two documents");
        assert!(decode(b"x: .nan").is_err());
    }

    #[test]
    fn hostile_texts_end() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let alias = format!("*a{},", n - 1).repeat(10);
            bomb.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
        }
        assert!(decode(bomb.as_bytes()).is_err());
        assert!(decode("[".repeat(100_000).as_bytes()).is_err());
    }
}
