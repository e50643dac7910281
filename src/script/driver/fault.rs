//! From what Lua raised to a failure: which code, which line, whose fault.

use std::fmt;

use mlua::Error;
use mlua::MultiValue;

use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::context::Context;

/// A failure on its way through mlua.
#[derive(Debug)]
struct Raised(Failure);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.detail)
    }
}

impl std::error::Error for Raised {}

/// `failure` as an error that ends the request when it leaves a waiting or strict function.
pub fn raise(failure: Failure) -> Error {
    Error::external(Raised(failure))
}

/// The failure inside `error`, if it is one that was [`raise`]d.
pub fn raised(error: &Error) -> Option<Failure> {
    match error {
        Error::ExternalError(inner) => inner.downcast_ref::<Raised>().map(|raised| raised.0.clone()),
        Error::CallbackError { cause, .. } | Error::BadArgument { cause, .. } => raised(cause),
        Error::WithContext { cause, .. } => raised(cause),
        _ => None,
    }
}

/// What went wrong, in one line, without traceback.
pub fn message(error: &Error) -> String {
    match error {
        Error::RuntimeError(text) => split(text).0.to_owned(),
        Error::SyntaxError { message, .. } => message.clone(),
        Error::CallbackError { cause, .. } => message(cause),
        Error::BadArgument { to, pos, name, cause } => {
            let name = name.as_ref().map_or_else(|| format!("#{pos}"), |name| format!("`{name}`"));
            let to = to.as_ref().map(|to| format!(" to `{to}`")).unwrap_or_default();
            format!("bad argument {name}{to}: {}", message(cause))
        }
        Error::FromLuaConversionError { from, to, message } => match message {
            Some(message) => message.clone(),
            None => format!("{to} expected, got {from}"),
        },
        Error::WithContext { context, cause } => format!("{context}: {}", message(cause)),
        other => split(&other.to_string()).0.to_owned(),
    }
}

/// The failure that `error` comes to when nothing caught it.
pub fn failure(context: &Context, error: Error) -> Failure {
    if let Some(failure) = context.rejected.take() {
        return failure;
    }
    if context.watch.fired() {
        return timeout(context, &error);
    }
    if let Some(failure) = raised(&error) {
        return failure;
    }
    if is_memory(&error) {
        context.wear();
        let failure = Failure::new(Code::ScriptMemory, "the gateway is out of memory for its script");
        return placed(failure, &error);
    }
    placed(Failure::new(Code::ScriptError, "a function of the gateway failed"), &error)
}

/// What a run came to: a rejection counts whatever the run returned.
pub(super) fn after(context: &Context, result: mlua::Result<MultiValue>) -> Result<MultiValue, Failure> {
    if context.answered.borrow().is_some()
        && let Some(answer) = context.answered.take()
    {
        return Ok(MultiValue::from_vec(vec![answer]));
    }
    match result {
        Err(error) => Err(failure(context, error)),
        Ok(_) if context.rejected.borrow().is_some() => Err(failure(context, Error::runtime("rejected"))),
        Ok(_) if context.watch.fired() => {
            let late = Error::runtime("ran longer than `limits.step` without waiting");
            Err(timeout(context, &late))
        }
        Ok(values) => Ok(values),
    }
}

fn timeout(context: &Context, error: &Error) -> Failure {
    let failure = Failure::new(Code::ScriptTimeout, "a function of the gateway took too long");
    let mut failure = placed(failure, error);
    if failure.cause.is_empty() {
        failure.cause = format!("longer than {:?}", context.step());
    }
    failure
}

fn is_memory(error: &Error) -> bool {
    match error {
        Error::MemoryError(_) => true,
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => is_memory(cause),
        Error::RuntimeError(text) => split(text).0.ends_with("not enough memory"),
        _ => false,
    }
}

/// With cause, place and traceback from `error`.
fn placed(mut failure: Failure, error: &Error) -> Failure {
    let message = without_ours(&message(error)).to_owned();
    let traceback = traceback(error);
    let at = place(&message).or_else(|| traceback.as_deref().and_then(first_place));
    failure.cause = match place(&message) {
        Some((file, line)) => message[file.len() + line.to_string().len() + 2..].trim_start().to_owned(),
        None => message,
    };
    failure.place = at;
    failure.traceback = traceback;
    failure
}

/// A message that an error in our own Lua would have placed there.
fn without_ours(message: &str) -> &str {
    let ours = OURS.iter().find_map(|ours| message.strip_prefix(ours)?.strip_prefix(':'));
    ours.and_then(|rest| rest.split_once(": ")).map_or(message, |(_, rest)| rest)
}

/// The way there, without our own frames.
fn traceback(error: &Error) -> Option<String> {
    let trace = full_traceback(error)?;
    let lines: Vec<_> =
        trace.lines().map(str::trim).filter(|line| !OURS.iter().any(|ours| line.starts_with(ours))).collect();
    Some(shortened(&lines).join("\n\t"))
}

/// An endless recursion has twenty thousand frames; both ends tell the story.
pub(super) fn shortened(lines: &[&str]) -> Vec<String> {
    let all = || lines.iter().map(|&line| line.to_owned());
    if lines.len() <= FRAMES {
        return all().collect();
    }
    let (head, tail) = (FRAMES - FRAMES / 4, FRAMES / 4);
    let gap = format!("… {} more", lines.len() - head - tail);
    all().take(head).chain([gap]).chain(all().skip(lines.len() - tail)).collect()
}

/// Lines of a traceback that are shown.
const FRAMES: usize = 20;

/// Chunks of our own.
const OURS: [&str; 2] = ["[moongate]", "[steps]"];

fn full_traceback(error: &Error) -> Option<String> {
    match error {
        Error::CallbackError { traceback: trace, .. } => Some(split(trace).1.unwrap_or(trace).trim().to_owned()),
        Error::WithContext { cause, .. } => full_traceback(cause),
        Error::RuntimeError(text) | Error::MemoryError(text) => split(text).1.map(|trace| trace.trim().to_owned()),
        _ => None,
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once("\nstack traceback:") {
        Some((message, trace)) => (message, Some(trace)),
        None => (text, None),
    }
}

/// The first line of a traceback that stands in a file of the script.
fn first_place(trace: &str) -> Option<(String, u32)> {
    trace.lines().find_map(|line| place(line.trim()))
}

/// `file:line` at the head of `text`; our own prelude is no place.
pub(crate) fn place(text: &str) -> Option<(String, u32)> {
    let mut from = 0;
    while let Some(colon) = text[from..].find(':') {
        let colon = from + colon;
        let digits = text[colon + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let line = text[colon + 1..colon + 1 + digits].parse().ok();
        let ends = text[colon + 1 + digits..].chars().next().is_none_or(|next| next == ':' || next == ' ');
        if let Some(line) = line
            && ends
            && !text[..colon].starts_with("[")
            && !text[..colon].contains(' ')
        {
            return Some((text[..colon].to_owned(), line));
        }
        from = colon + 1;
    }
    None
}

/// Where in the script `error` came from, unless its text says so already.
pub fn located(error: &Error) -> Option<(String, u32)> {
    if place(&message(error)).is_some() {
        return None;
    }
    traceback(error).as_deref().and_then(first_place)
}
