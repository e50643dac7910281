//! The table of gateway, group or route: named options, then a list of steps, routes and groups.

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Declared;
use super::Poison;
use super::Session;
use super::session::Block;
use super::session::Item;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::policy;
use crate::script::words::Opt;

/// Reads `table`; the second part are the routes and groups in its list.
pub(crate) fn read(
    lua: &Lua,
    session: &Session,
    anchor: Anchor,
    owner: String,
    table: &Table,
    options: &[Opt],
) -> mlua::Result<(Block, Vec<usize>)> {
    let mut check = Check { lua, session, anchor, owner, list: List::Steps, needs: Vec::new() };
    let options = check.settings(table, options)?;
    let Check { anchor, owner, .. } = check;
    let (steps, children) = list(session, &anchor, &owner, table)?;
    Ok((Block { options, steps, anchor, owner }, children))
}

/// The list part alone: steps, then routes and groups.
pub(super) fn list(
    session: &Session,
    anchor: &Anchor,
    owner: &str,
    table: &Table,
) -> mlua::Result<(Vec<Item>, Vec<usize>)> {
    let mut list = Reader { session, anchor, owner, steps: Vec::new(), children: Vec::new() };
    for index in 1..=table.raw_len() {
        list.entry(index, table.raw_get(index)?);
    }
    Ok((list.steps, list.children))
}

/// Whether a file of the script wrote it.
fn is_yours(function: &Function) -> bool {
    function.info().source.is_some_and(|source| source.starts_with('@'))
}

struct Reader<'a> {
    session: &'a Session,
    anchor: &'a Anchor,
    owner: &'a str,
    steps: Vec<Item>,
    children: Vec<usize>,
}

impl Reader<'_> {
    fn entry(&mut self, index: usize, value: Value) {
        if Poison::is(&value) {
            return;
        }
        if let Some(node) = Declared::of(&value) {
            return self.child(index, node);
        }
        let table = value.as_table().is_some_and(policy::is_step);
        match &value {
            Value::Function(function) => match policy::word_of(self.session, function) {
                Some(word) => {
                    let said = format!("`{word}` in the list of {} is the word itself, not a step", self.owner);
                    return self.fault(index, said, format!("write `{word} {{}}`"));
                }
                None if is_yours(function) => {}
                // The first half of `route "…"`, which is told by itself.
                None if self.session.pending.borrow().iter().any(|pending| !pending.done) => return,
                None => {
                    let said = format!("a built-in function stands in the list of {}", self.owner);
                    return self.fault(index, said, "a step is a function(req) of yours, or what a policy returns");
                }
            },
            _ if table => {}
            Value::Table(words) if let Some(word) = policy::word_of_table(words) => {
                let said = format!("`{word}` in the list of {} is the word itself, not a step", self.owner);
                return self.fault(index, said, format!("write `{word} {{}}`"));
            }
            other => return self.foreign(index, other),
        }
        if let Some(first) = self.children.first() {
            let told = format!("a step stands after a route in the list of {}", self.owner);
            let nodes = self.session.nodes.borrow();
            let line = nodes[*first].block.anchor.line;
            return self.fault(index, told, format!("steps come before routes: move it above line {line}"));
        }
        self.steps.push(Item { value });
    }

    fn child(&mut self, index: usize, node: usize) {
        let mut nodes = self.session.nodes.borrow_mut();
        let child = &mut nodes[node];
        let owner = child.block.owner.clone();
        if let Some((file, line)) = &child.claimed {
            let said = format!("{owner} stands in two lists");
            let label = format!("it belongs to the list at {file}:{line} already");
            drop(nodes);
            return self.fault(index, said, label);
        }
        if self.anchor.word == "route" {
            drop(nodes);
            return self.fault(
                index,
                format!("{owner} stands inside {}", self.owner),
                "routes hold steps only; a `group` holds routes",
            );
        }
        child.claimed = Some((self.anchor.file.clone(), self.anchor.line));
        drop(nodes);
        self.children.push(node);
    }

    fn foreign(&self, index: usize, value: &Value) {
        let said = format!("{} in the list of {} is no step", describe(value), self.owner);
        let label = match value {
            Value::Table(_) => "is the policy's word missing before it? `mock { status = 204 }`",
            Value::String(_) => "the list holds steps; is a name missing before it? `to = \"…\"`",
            Value::Boolean(_) => "write `if condition then step else nil` outside the list",
            _ => "the list holds functions, policies, routes and groups",
        };
        self.fault(index, said, label);
    }

    fn fault(&self, index: usize, message: impl Into<String>, label: impl Into<String>) {
        let mut anchor = Anchor { spot: Spot::Value, ..self.anchor.clone() };
        anchor.path.push(Segment::Index(index));
        self.session.fault(anchor, message, label, "");
    }
}

impl Block {
    /// The place of an option's value.
    pub(crate) fn value(&self, path: &[&str]) -> Anchor {
        let path = path.iter().map(|name| Segment::Key((*name).to_owned())).collect();
        Anchor { path, spot: Spot::Value, ..self.anchor.clone() }
    }

    /// The place of the text that was declared.
    pub(crate) fn subject(&self) -> Anchor {
        Anchor { spot: Spot::Subject, ..self.anchor.clone() }
    }

    /// File and line.
    pub(crate) fn place(&self) -> crate::plan::Place {
        (self.anchor.file.clone(), self.anchor.line)
    }
}
