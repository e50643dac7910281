//! An error that a file's top level raised, as a fault with its place.

use crate::script::declare::Session;
use crate::script::diagnose::Diagnostic;
use crate::script::driver::fault;

/// What `error` says, where it was raised, and what may help.
pub(super) fn explain(error: &mlua::Error, session: &Session) -> Diagnostic {
    let message = fault::message(error);
    if message.ends_with("not enough memory") {
        return Diagnostic::error("the file needs more than 256 MB of memory to load");
    }
    let (place, text) = match place(&message) {
        Some((file, line, text)) => (Some((file, line)), text),
        None => (fault::located(error), message.as_str()),
    };
    let said = if text.starts_with("table: 0x") {
        "the file raised a table, which has no message".to_owned()
    } else {
        worded(text)
    };
    let mut told = Diagnostic::error(said);
    if text.contains(super::run::OVER) {
        told = told.help("the top level declares, and is run again for every worker and reload; work belongs into steps, `every` or `after`");
    }
    let Some((file, line)) = place else { return told };
    if let Some((name, from)) = caller(error).filter(|_| text.contains("nil with") || text.contains("nil value")) {
        let told_help = format!(
            "`{name}` is called while the file loads, from line {from}; a step is listed by its name alone, without `()`"
        );
        told = told.help(told_help);
    }
    told = told.at(&file, line);
    let Ok(source) = session.files.text(&file) else { return told };
    let code = source.lines().nth(line as usize - 1).unwrap_or_default();
    if text.contains("attempt to") && told.help.is_empty() {
        let verbs = [".get(", ".post(", ".put(", ".delete(", ".patch(", ".use(", ":get(", ":post("];
        let express = text.contains("call a nil value") && verbs.iter().any(|verb| code.contains(verb));
        told = told.help(if express {
            "a route is declared: route \"GET /path\" { function(req) … end }".to_owned()
        } else {
            hint(text)
        });
    }
    match token(text).and_then(|token| column(code, &token).map(|column| (token, column))) {
        Some((token, column)) => {
            told.column = column;
            told.width = u32::try_from(token.chars().count()).unwrap_or(1);
            told
        }
        None => told,
    }
}

/// The function an error was raised in, and the line of the top level that called it.
fn caller(error: &mlua::Error) -> Option<(String, u32)> {
    let trace = match error {
        mlua::Error::RuntimeError(text) => text.split_once("stack traceback:")?.1.to_owned(),
        mlua::Error::CallbackError { traceback, .. } => traceback.clone(),
        _ => return None,
    };
    let frames: Vec<&str> =
        trace.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('[')).collect();
    let [inner, outer] = frames.as_slice() else { return None };
    let name = inner.split("in function '").nth(1)?.split('\'').next()?;
    let line = outer.split(':').nth(1)?.parse().ok()?;
    outer.contains("in function <").then(|| (name.to_owned(), line))
}

/// `file:line: text`
fn place(message: &str) -> Option<(String, u32, &str)> {
    let colon = message.find(':')?;
    let rest = &message[colon + 1..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let line = rest[..digits].parse().ok()?;
    let text = rest[digits..].strip_prefix(':')?.trim_start();
    (!message[..colon].contains(char::is_whitespace)).then(|| (message[..colon].to_owned(), line, text))
}

/// Luau's quotes as ours.
fn worded(text: &str) -> String {
    let mut out = String::new();
    let mut open = true;
    let quoted = text.matches('\'').count().is_multiple_of(2);
    for symbol in text.chars() {
        if symbol == '\'' && quoted && text.contains("attempt to") {
            open = !open;
            out.push('`');
        } else {
            out.push(symbol);
        }
    }
    out
}

fn hint(text: &str) -> String {
    if let Some(name) = text.split("attempt to index nil with '").nth(1).and_then(|rest| rest.split('\'').next()) {
        return format!("what stands before `.{name}` is nil");
    }
    if let Some(name) = text.split("attempt to index function with '").nth(1).and_then(|rest| rest.split('\'').next()) {
        return format!("this is a function; options are given as a table: gateway {{ {name} = … }}");
    }
    if text.contains("attempt to call a nil value") {
        return "what is called here is nil: is a name misspelt, or declared further down?".to_owned();
    }
    if text.contains("attempt to call a table value") {
        return "a table is called: is a comma missing before it?".to_owned();
    }
    if text.contains("attempt to call a string value") {
        return "a text is called: is a comma missing after it?".to_owned();
    }
    if text.contains("concatenate") && text.contains("nil") {
        return "one side of `..` is nil".to_owned();
    }
    String::new()
}

/// The token the message is about.
fn token(text: &str) -> Option<String> {
    if !text.starts_with("attempt to") {
        if let Some(rest) = text.strip_prefix('`') {
            return rest.split('`').next().map(str::to_owned);
        }
        // A primitive's own message begins with its name: `regex: …`, `json.decode: …`.
        let name = text.split(':').next()?;
        let word = name.split('.').next()?;
        return crate::script::words::find(word).map(|_| name.to_owned());
    }
    text.split('\'').nth(1).map(str::to_owned).filter(|name| !name.is_empty())
}

fn column(code: &str, token: &str) -> Option<u32> {
    let at = code.find(&format!(".{token}")).map(|at| at + 1).or_else(|| code.find(token))?;
    u32::try_from(code[..at].chars().count() + 1).ok()
}
