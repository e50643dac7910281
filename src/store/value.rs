//! What a store can hold: plain data, no functions, no handles.

/// A stored value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true`, `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a fraction, or too large for an integer.
    Number(f64),
    /// A text; any bytes.
    Text(Box<[u8]>),
    /// A list or table.
    Json(Box<serde_json::Value>),
}

impl Value {
    /// A text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Bool(_) | Self::Int(_) | Self::Number(_) => 0,
                Self::Text(text) => text.len(),
                Self::Json(value) => json_size(value),
            }
    }

    /// The sum of a number and `by`: an integer while both are and it fits; `None` when this is no number.
    pub fn plus(&self, by: &Self) -> Option<Self> {
        if let (Self::Int(value), Self::Int(by)) = (self, by)
            && let Some(sum) = value.checked_add(*by)
        {
            return Some(Self::Int(sum));
        }
        Some(Self::Number(self.as_f64()? + by.as_f64()?))
    }

    /// As bytes outside the process: numbers and tables as JSON, a text as it is unless it would be read as something
    /// else: then as JSON too. What is no number (NaN) becomes `null`.
    pub fn write(&self) -> Vec<u8> {
        let json = |value: &dyn std::fmt::Display| value.to_string().into_bytes();
        match self {
            Self::Bool(value) => json(value),
            Self::Int(value) => json(value),
            Self::Number(value) => {
                serde_json::Number::from_f64(*value).map_or_else(|| b"null".to_vec(), |number| json(&number))
            }
            Self::Json(value) => json(&**value),
            Self::Text(text) => match std::str::from_utf8(text) {
                Ok(own) if is_json(text) => serde_json::Value::from(own).to_string().into_bytes(),
                _ => text.to_vec(),
            },
        }
    }

    /// What [`Value::write`] wrote, or any other bytes: those that are no JSON are a text.
    pub fn read(bytes: &[u8]) -> Self {
        if !may_be_json(bytes) {
            return Self::text(bytes);
        }
        match serde_json::from_slice(bytes) {
            Err(_) => Self::text(bytes),
            Ok(serde_json::Value::Bool(value)) => Self::Bool(value),
            Ok(serde_json::Value::String(text)) => Self::text(text),
            Ok(serde_json::Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) if number.as_str().contains(['.', 'e', 'E']) => Self::Number(value),
                _ => Self::Json(Box::new(number.into())),
            },
            Ok(other) => Self::Json(Box::new(other)),
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }
}

/// Whether these bytes are worth a parser's while.
fn may_be_json(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| b"{[\"-0123456789tfn \t\r\n".contains(first))
}

fn is_json(bytes: &[u8]) -> bool {
    may_be_json(bytes) && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn json_size(value: &serde_json::Value) -> usize {
    size_of::<serde_json::Value>()
        + match value {
            serde_json::Value::Null | serde_json::Value::Bool(_) => 0,
            serde_json::Value::Number(number) => number.as_str().len(),
            serde_json::Value::String(text) => text.len(),
            serde_json::Value::Array(list) => list.iter().map(json_size).sum(),
            serde_json::Value::Object(map) => map.iter().map(|(key, value)| key.len() + 32 + json_size(value)).sum(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_went_out_and_others_can_read_it() {
        let json = |text: &str| Value::Json(Box::new(serde_json::from_str(text).unwrap()));
        for (value, written) in [
            (Value::Bool(true), "true"),
            (Value::Int(-5), "-5"),
            (Value::Int(i64::MAX), "9223372036854775807"),
            (Value::Number(0.5), "0.5"),
            (Value::Number(2.0), "2.0"),
            (Value::text("hello"), "hello"),
            (Value::text(""), ""),
            (Value::text("true story"), "true story"),
            (Value::text("5"), r#""5""#),
            (Value::text(" null "), r#"" null ""#),
            (Value::text(r#"{"a":1}"#), r#""{\"a\":1}""#),
            (Value::text(r#""quoted""#), r#""\"quoted\"""#),
            (json(r#"{"b":[1,null,"x"],"a":9007199254740993}"#), r#"{"b":[1,null,"x"],"a":9007199254740993}"#),
            (json("123456789012345678901234567890"), "123456789012345678901234567890"),
        ] {
            assert_eq!(String::from_utf8(value.write()).unwrap(), written);
            assert_eq!(Value::read(written.as_bytes()), value, "{written}");
        }
        let bytes = Value::text(b"\xff\x00\"");
        assert_eq!(Value::read(&bytes.write()), bytes);
        assert_eq!(Value::Number(f64::NAN).write(), b"null");
    }
}
