//! The functions of one level: `errors`, `on_response`, `on_error`, `on_log`.

use mlua::Value;

use super::Session;
use super::read;
use super::session::Block;
use crate::plan::Levels;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::pipeline::Level;

/// Reads them; codes are checked once every `code = "…"` of the script is known.
pub(super) fn read(session: &Session, block: &Block, name: &'static str) -> Level {
    let options = &block.options;
    let errors = read::table(options, "errors").map(|errors| read::sorted(&errors)).unwrap_or_default();
    for (code, answer) in &errors {
        let at = |more: &[&str]| {
            let mut at = block.value(&["errors", code]);
            at.path.extend(more.iter().map(|name| Segment::Key((*name).to_owned())));
            at
        };
        session.codes.borrow_mut().push((code.clone(), Anchor { spot: Spot::Key, ..at(&[]) }));
        if let Value::Table(answer) = answer {
            bodies(session, answer, at(&[]));
        }
    }
    Level {
        name,
        on_response: read::function(options, "on_response"),
        on_error: read::function(options, "on_error"),
        on_log: read::function(options, "on_log"),
        errors,
    }
}

/// At most one body.
fn bodies(session: &Session, answer: &mlua::Table, at: Anchor) {
    let present = |name: &&str| answer.raw_get::<Value>(*name).is_ok_and(|value| !value.is_nil());
    let bodies: Vec<&str> = ["json", "text", "html", "xml", "body"].into_iter().filter(present).collect();
    if let [first, second, ..] = bodies.as_slice() {
        session.fault(at, format!("the answer has both `{first}` and `{second}`"), "an answer has one body", "");
    }
}

/// Which of them there are.
pub(super) fn levels(level: &Level) -> Levels {
    Levels {
        on_request: false,
        on_response: level.on_response.is_some(),
        on_error: level.on_error.is_some(),
        errors: !level.errors.is_empty(),
        on_log: level.on_log.is_some(),
    }
}

/// Either of the two.
pub(super) fn both(a: Levels, b: Levels) -> Levels {
    Levels {
        on_request: a.on_request || b.on_request,
        on_response: a.on_response || b.on_response,
        on_error: a.on_error || b.on_error,
        errors: a.errors || b.errors,
        on_log: a.on_log || b.on_log,
    }
}
