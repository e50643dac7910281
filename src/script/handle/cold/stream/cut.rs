//! Where a passing body is cut into pieces: chunks, lines, events.

use mlua::Lua;
use mlua::Table;
use mlua::Value;

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Whatever arrived together.
    Chunks,
    /// Up to a line feed.
    Lines,
    /// Up to an empty line: a server-sent event.
    Events,
}

impl Cut {
    /// How much of `data` is the next piece; `last` says that nothing more comes.
    pub(super) fn find(self, data: &[u8], last: bool) -> Option<usize> {
        let end = match self {
            Self::Chunks => (!data.is_empty()).then_some(data.len()),
            Self::Lines => memchr::memchr(b'\n', data).map(|at| at + 1),
            Self::Events => event_end(data),
        };
        end.or_else(|| (last && !data.is_empty()).then_some(data.len()))
    }

    /// A piece as the function gets it.
    pub(super) fn show(self, lua: &Lua, piece: &[u8]) -> mlua::Result<Option<Value>> {
        let text = |text: &[u8]| lua.create_string(text).map(Value::String);
        match self {
            Self::Chunks => text(piece).map(Some),
            Self::Lines => text(without_end(piece)).map(Some),
            Self::Events => parse_event(lua, piece).map(|event| event.map(Value::Table)),
        }
    }

    /// What goes out for what the function returned; nil drops the piece.
    pub(super) fn render(self, value: &Value, out: &mut Vec<u8>) -> mlua::Result<()> {
        match (self, value) {
            (_, Value::Nil) => {}
            (Self::Events, Value::Table(event)) => render_event(event, out)?,
            (_, value @ (Value::String(_) | Value::Integer(_) | Value::Number(_))) => {
                let text = value.to_string()?;
                match (self, value) {
                    (Self::Events, _) => data_lines(&text, out),
                    (_, Value::String(bytes)) => out.extend_from_slice(&bytes.as_bytes()),
                    _ => out.extend_from_slice(text.as_bytes()),
                }
                match self {
                    Self::Chunks => {}
                    Self::Lines | Self::Events => out.push(b'\n'),
                }
            }
            (_, other) => {
                let kind = other.type_name();
                return Err(mlua::Error::runtime(format!("a function on a stream returns text or nil, not {kind}")));
            }
        }
        Ok(())
    }
}

/// The end of the first event: after an empty line, whichever line ends are used.
fn event_end(data: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let line = from + memchr::memchr(b'\n', &data[from..])? + 1;
        let blank = without_end(&data[from..line]).is_empty();
        if blank {
            return Some(line);
        }
        from = line;
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// An event's fields; `None` when it has none (comments, keep-alives).
fn parse_event(lua: &Lua, piece: &[u8]) -> mlua::Result<Option<Table>> {
    let mut data: Option<Vec<u8>> = None;
    let event = lua.create_table()?;
    let mut any = false;
    for line in piece.split(|&byte| byte == b'\n').map(without_end) {
        if line.is_empty() || line.starts_with(b":") {
            continue;
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        any = true;
        if name == b"data" {
            match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            }
        } else {
            event.raw_set(lua.create_string(name)?, lua.create_string(value)?)?;
        }
    }
    if let Some(data) = data {
        event.raw_set("data", lua.create_string(data)?)?;
    }
    Ok(any.then_some(event))
}

fn render_event(event: &Table, out: &mut Vec<u8>) -> mlua::Result<()> {
    for name in ["event", "id", "retry"] {
        if let Some(value) = event.get::<Option<String>>(name)? {
            if value.contains(['\r', '\n']) {
                return Err(mlua::Error::runtime(format!("`{name}` of an event is one line")));
            }
            out.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
    }
    if let Some(data) = event.get::<Option<String>>("data")? {
        data_lines(&data, out);
    }
    out.push(b'\n');
    Ok(())
}

fn data_lines(data: &str, out: &mut Vec<u8>) {
    for line in data.split('\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.strip_suffix('\r').unwrap_or(line).as_bytes());
        out.push(b'\n');
    }
}
