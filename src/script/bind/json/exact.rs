//! A number that a Lua number cannot hold: kept as its digits, so that it leaves as it came.

use std::cmp::Ordering;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

/// The digits of a JSON number. Prints as them, compares by value, refuses arithmetic that would round it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exact(Box<str>);

impl Exact {
    /// `digits` as a number that is kept as it is. They must be a JSON number.
    pub(crate) fn new(digits: &str) -> Self {
        Self(digits.into())
    }

    /// The digits.
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    /// The exact number that `value` is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        value.as_userdata().and_then(|data| data.borrow::<Self>().ok()).map(|exact| exact.clone())
    }

    /// Hands it to `lua`.
    pub(crate) fn push(self, lua: &Lua) -> mlua::Result<AnyUserData> {
        lua.create_userdata(self)
    }

    /// The nearest Lua number.
    fn nearest(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl UserData for Exact {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, exact, ()| Ok(exact.0.to_string()));
        methods.add_method("number", |_, exact, ()| Ok(exact.nearest()));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b)| Ok(compare(&a, &b)? == Ordering::Equal));
        methods.add_meta_function(MetaMethod::Lt, |_, (a, b)| Ok(compare(&a, &b)? == Ordering::Less));
        methods.add_meta_function(MetaMethod::Le, |_, (a, b)| Ok(compare(&a, &b)? != Ordering::Greater));
        methods.add_meta_function(MetaMethod::Concat, |_, (a, b): (Value, Value)| {
            Ok(format!("{}{}", joinable(&a)?, joinable(&b)?))
        });
        for operator in [
            MetaMethod::Add,
            MetaMethod::Sub,
            MetaMethod::Mul,
            MetaMethod::Div,
            MetaMethod::Mod,
            MetaMethod::Pow,
            MetaMethod::Unm,
            MetaMethod::IDiv,
        ] {
            methods.add_meta_function(operator, |_, (a, b): (Value, Value)| -> mlua::Result<f64> {
                let digits = Self::of(&a).or_else(|| Self::of(&b)).map(|exact| exact.0).unwrap_or_default();
                let advice = "compute with :number(), which rounds it";
                Err(mlua::Error::runtime(format!("{digits} does not fit a number exactly; {advice}")))
            });
        }
    }
}

fn joinable(value: &Value) -> mlua::Result<String> {
    match (Exact::of(value), value) {
        (Some(exact), _) => Ok(exact.0.into()),
        (None, Value::String(_) | Value::Integer(_) | Value::Number(_)) => value.to_string(),
        (None, other) => Err(mlua::Error::runtime(format!("cannot join a number and a {}", other.type_name()))),
    }
}

/// The order of two numbers of which one at least is exact.
fn compare(a: &Value, b: &Value) -> mlua::Result<Ordering> {
    let (left, right) = (operand(a)?, operand(b)?);
    if let (Some(left), Some(right)) = (integer(&left), integer(&right)) {
        return Ok(left.cmp(&right));
    }
    let (left, right) = (left.parse::<f64>().unwrap_or(f64::NAN), right.parse::<f64>().unwrap_or(f64::NAN));
    left.partial_cmp(&right).ok_or_else(|| mlua::Error::runtime("NaN does not compare"))
}

fn operand(value: &Value) -> mlua::Result<String> {
    match (Exact::of(value), value) {
        (Some(exact), _) => Ok(exact.0.into()),
        (None, Value::Integer(number)) => Ok(number.to_string()),
        (None, Value::Number(number)) => Ok(format!("{number}")),
        (None, other) => Err(mlua::Error::runtime(format!("cannot compare a number and a {}", other.type_name()))),
    }
}

/// An integer of any length: sign, then length, then digits decide.
#[derive(PartialEq, Eq)]
struct Integer<'a> {
    negative: bool,
    digits: &'a str,
}

fn integer(text: &str) -> Option<Integer<'_>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| Integer { negative: text.starts_with('-'), digits: digits.trim_start_matches('0') })
}

impl Ord for Integer<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = (self.digits.len(), self.digits).cmp(&(other.digits.len(), other.digits));
        match (self.negative, other.negative) {
            (false, false) => size,
            (true, true) => size.reverse(),
            _ if self.digits.is_empty() && other.digits.is_empty() => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Integer<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
