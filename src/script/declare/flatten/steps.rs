//! The steps of a list as they stand: fragments dissolved, what acts outside its place told from what runs in it.

use mlua::Function;
use mlua::Value;

use super::Block;
use super::Session;
use crate::plan::Cors;
use crate::script::diagnose::Anchor;
use crate::script::pipeline;
use crate::script::policy;
use crate::script::policy::Made;
use crate::script::policy::Outside;

/// A step with the identity that `skip` compares.
#[derive(Clone)]
pub(super) struct Placed {
    pub(super) value: Value,
    pub(super) step: pipeline::Step,
    /// It acts outside its place: nothing runs there.
    pub(super) outside: Option<Outside>,
    pub(super) options: String,
    pub(super) needs: Vec<String>,
}

pub(super) fn same(a: &Value, b: &Value) -> bool {
    a.to_pointer() == b.to_pointer()
}

/// The steps that run in their place.
pub(super) fn running(steps: &[Placed]) -> Vec<pipeline::Step> {
    steps.iter().filter(|placed| placed.outside.is_none()).map(|placed| placed.step.clone()).collect()
}

/// The innermost cross-origin policy, and its `when`.
pub(super) fn in_force(steps: &[Placed]) -> (Option<Cors>, Option<Function>) {
    let found = steps
        .iter()
        .rev()
        .filter(|placed| placed.step.enforce)
        .find_map(|placed| Some((placed.outside.as_ref()?, &placed.step.when)));
    let Some((Outside(policy), when)) = found else { return (None, None) };
    (Some(Cors { policy: policy.clone(), when: when.is_some() }), when.clone())
}

/// The steps of one list, fragments dissolved. What they keep is named after `holder`, unless it was held before.
pub(super) fn steps(session: &Session, block: &Block, level: &'static str, holder: &str) -> Vec<Placed> {
    let mut flat: Vec<(Value, Made)> = Vec::new();
    for item in &block.steps {
        policy::flatten(&item.value, &|_| false, &mut flat);
    }
    flat.iter().for_each(|(_, made)| session.hold(holder, &made.slots));
    let steps: Vec<_> = flat.into_iter().filter_map(|(value, made)| Placed::new(value, made, level)).collect();
    let mut outside = steps.iter().filter(|placed| placed.outside.is_some());
    if let (Some(first), Some(second)) = (outside.next(), outside.next()) {
        let (file, line) = second.step.place.clone();
        let at = Anchor { file, line, word: second.step.word.clone(), ..Anchor::default() };
        let label = format!("the first stands at {}:{}; one list can have one", first.step.place.0, first.step.place.1);
        session.fault(at, format!("two `cors` in the list of {}", block.owner), label, "");
    }
    steps
}

impl Placed {
    fn new(value: Value, made: Made, level: &'static str) -> Option<Self> {
        let step = pipeline::Step {
            call: made.call?,
            wraps: made.wraps,
            waits: made.waits,
            when: made.when,
            status: made.status,
            detail: made.detail,
            enforce: made.enforce,
            word: made.word,
            level,
            place: made.place,
        };
        let outside = made.outside.and_then(|data| data.borrow::<Outside>().ok().map(|outside| outside.clone()));
        Some(Self { value, step, outside, options: made.options, needs: made.needs })
    }

    pub(super) fn listed(&self) -> crate::plan::Step {
        crate::plan::Step {
            word: self.step.word.clone(),
            options: self.options.clone(),
            level: self.step.level.to_owned(),
            place: self.step.place.clone(),
        }
    }
}
