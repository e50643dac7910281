//! Checks a word's table against its options: every fault with its place, every value typed and defaulted.

pub(crate) mod check;
mod text;
pub(crate) mod unknown;

use mlua::IntoLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::script::declare::Poison;
use crate::script::declare::Session;
use crate::script::declare::read::Options;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::words::Opt;
use crate::script::words::Type;

/// One table under scrutiny.
pub(crate) struct Check<'a> {
    /// The machine.
    pub(crate) lua: &'a Lua,
    /// Where faults go.
    pub(crate) session: &'a Session,
    /// The call, and how far inside its table.
    pub(crate) anchor: Anchor,
    /// As messages call it: route `GET /x`.
    pub(crate) owner: String,
    /// What its list part may hold: steps are options of nothing.
    pub(crate) list: List,
    /// Path parameters that templates name, where no route is in sight.
    pub(crate) needs: Vec<String>,
}

/// What the list part of a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Steps, routes and groups, which the caller reads.
    Steps,
    /// Values of the option named `1`.
    Values,
    /// Nothing.
    Refused,
}

/// Takes a typed value: its option, its key, the value.
type Take<'a> = dyn FnMut(&Opt, Value, Value) -> mlua::Result<()> + 'a;

impl<'a> Check<'a> {
    /// A check of the table of `word`.
    pub(crate) fn new(lua: &'a Lua, session: &'a Session, anchor: &Anchor, owner: &str, list: List) -> Self {
        Self { lua, session, anchor: anchor.clone(), owner: owner.to_owned(), list, needs: Vec::new() }
    }

    /// `table` with every value typed; what is wrong is told and left out.
    pub(crate) fn options(&mut self, table: &Table, options: &[Opt]) -> mlua::Result<Table> {
        let typed = self.lua.create_table()?;
        self.each(table, options, &mut |_, key, value| typed.raw_set(key, value))?;
        Ok(typed)
    }

    /// The same, for a table whose list part is somebody else's.
    pub(crate) fn settings(&mut self, table: &Table, options: &[Opt]) -> mlua::Result<Options> {
        let mut typed = Options::new(self.lua);
        self.each(table, options, &mut |option, _, value| {
            typed.push(option.name.clone(), value);
            Ok(())
        })?;
        Ok(typed)
    }

    /// Hands every typed value to `take`, with its option and its key.
    fn each(&mut self, table: &Table, options: &[Opt], take: &mut Take<'_>) -> mlua::Result<()> {
        let length = table.raw_len();
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            match key {
                Value::String(key) => {
                    let name = key.as_bytes();
                    let known = |option: &&Opt| option.name.as_bytes() == &*name && option.name != "1";
                    let Some(option) = options.iter().find(known) else {
                        drop(name);
                        self.unknown(&key.to_string_lossy(), options);
                        continue;
                    };
                    drop(name);
                    self.anchor.path.push(Segment::Key(option.name.clone().into_owned()));
                    if option.later {
                        self.later(&option.name);
                    } else if let Some(value) = self.value(&value, &option.of)? {
                        take(option, Value::String(key), value)?;
                    }
                    self.anchor.path.pop();
                }
                Value::Integer(index) if usize::try_from(index).is_ok_and(|index| index >= 1 && index <= length) => {}
                Value::Integer(index) if index > 0 => self.hole(index, length),
                other => {
                    let said = format!("{} has a key that is {}", self.owner, describe(&other));
                    self.fault(said, "keys are names", Spot::Word);
                }
            }
        }
        self.items(table, length, options, take)?;
        for option in options.iter().filter(|option| option.required && !option.later) {
            let unnamed = option.name == "1";
            let there = if unnamed { length > 0 } else { table.contains_key(option.name.as_ref())? };
            if there {
                continue;
            }
            let what = if unnamed { "an argument".to_owned() } else { format!("`{}`", option.name) };
            let label = if option.doc.is_empty() { format!("{what} is {}", option.of) } else { option.doc.to_string() };
            let spot = if self.anchor.path.is_empty() { Spot::Word } else { Spot::Value };
            self.fault(format!("{} needs {what}", self.place()), label, spot);
        }
        Ok(())
    }

    fn items(&mut self, table: &Table, length: usize, options: &[Opt], take: &mut Take<'_>) -> mlua::Result<()> {
        let of = options.iter().find(|option| option.name == "1");
        let inside = self.anchor.path.len();
        match (self.list, of) {
            (List::Steps, _) if inside == 0 => Ok(()),
            (_, Some(option)) => {
                for index in 1..=length {
                    self.anchor.path.push(Segment::Index(index));
                    let value: Value = table.raw_get(index)?;
                    if let Some(value) = self.value(&value, &option.of)? {
                        take(option, index.into_lua(self.lua)?, value)?;
                    }
                    self.anchor.path.pop();
                }
                Ok(())
            }
            _ if length > 0 => {
                self.anchor.path.push(Segment::Index(1));
                let value: Value = table.raw_get(1)?;
                if Poison::is(&value) {
                    self.anchor.path.pop();
                    return Ok(());
                }
                let said = format!("{} takes named options only, and this is {}", self.place(), describe(&value));
                self.fault(said, "write `name = value`", Spot::Value);
                self.anchor.path.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn hole(&mut self, index: i64, length: usize) {
        let at = length + 1;
        let said = format!("the list of {} has a hole: entry {at} is nil, entry {index} is not", self.owner);
        self.anchor.path.push(Segment::Index(at));
        self.fault(said, "this is nil", Spot::Value);
        self.anchor.path.pop();
    }

    /// A fault at the current place.
    pub(crate) fn fault(&self, message: impl Into<String>, label: impl Into<String>, spot: Spot) {
        self.session.fault(Anchor { spot, ..self.anchor.clone() }, message, label, "");
    }

    /// What the current place is called: `limits.body` in gateway.
    pub(crate) fn place(&self) -> String {
        let mut names = String::new();
        for segment in &self.anchor.path {
            match segment {
                Segment::Key(name) if names.is_empty() => names.push_str(name),
                Segment::Key(name) => names.push_str(&format!(".{name}")),
                Segment::Index(index) => names.push_str(&format!("[{index}]")),
            }
        }
        // `timeout "soon"`: the unnamed argument needs no number.
        if names == "[1]" && self.list == List::Values && self.anchor.word != "upstream" {
            return format!("the argument of {}", self.owner);
        }
        if names.is_empty() { self.owner.clone() } else { format!("`{}` of {}", names, self.owner) }
    }

    /// `value` is not what it must be.
    pub(crate) fn mismatch(&self, value: &Value, of: &Type) {
        let said = format!("{} must be {of}", self.place());
        let listen = matches!(self.anchor.path.last(), Some(Segment::Key(name)) if name == "listen");
        let to = matches!(self.anchor.path.last(), Some(Segment::Key(name)) if name == "to");
        let label = match value {
            Value::Table(_) if listen => "write \":8080\", or a list { \":8080\", \"127.0.0.1:9000\" }".to_owned(),
            Value::Table(_) if to => "one name, or a split by weight: { a = 50, b = 50 }".to_owned(),
            Value::Integer(port) if listen => format!("write \":{port}\""),
            Value::Integer(_) | Value::Number(_) if of.takes_text() && check::closer(value, of).is_none() => {
                format!("this is {}; write it in quotes", describe(value))
            }
            _ => check::closer(value, of).unwrap_or_else(|| format!("this is {}", describe(value))),
        };
        self.fault(said, label, Spot::Value);
    }
}

/// A value as messages show it.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Boolean(value) => format!("`{value}`"),
        Value::Integer(number) => format!("the number {number}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let text = text.to_string_lossy();
            let short: String = text.chars().take(40).collect();
            let dots = if short.len() < text.len() { "…" } else { "" };
            format!("the text {short:?}{dots}")
        }
        Value::Table(table) if crate::script::policy::is_step(table) => "a step".to_owned(),
        Value::Table(table) if table.raw_len() > 0 => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Function(_) => "a function".to_owned(),
        Value::UserData(data) => crate::script::declare::name_of(data),
        other => format!("a {}", other.type_name()),
    }
}
