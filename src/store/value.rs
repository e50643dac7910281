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

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }
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
