//! Why a request goes where it goes: every route its host and path reach, in the order they are asked.

use std::convert::Infallible;
use std::ops::ControlFlow;

use crate::route::Params;
use crate::route::Table;
use crate::route::guard::Holds;
use crate::route::guard::View;
use crate::route::search;
use crate::route::table::Entry;
use crate::route::table::Form;

/// A route that was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Index in the plan.
    pub route: usize,
    /// What its parameters would be.
    pub params: Params,
    /// What came of it.
    pub outcome: Outcome,
}

/// What became of a candidate, `when` functions aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It takes the request.
    Takes,
    /// It takes the request if its `when` function accepts.
    AsksWhen,
    /// It redirects to its own form of the path.
    Redirects,
    /// Another method.
    Method,
    /// A condition of `match` does not hold.
    Condition,
    /// A condition needs the body.
    NeedsBody,
}

impl Table {
    /// Every route that host and path of the request reach, in the order they are asked: the first that takes the
    /// request is the route, those after it are the runners-up.
    pub fn ranking(&self, view: &View<'_>) -> Vec<Candidate> {
        let mut ranking = Vec::new();
        let _: ControlFlow<Infallible> = self.visit(view, &mut |entries, captures| {
            let mut entries: Vec<&Entry> = entries.iter().collect();
            entries.sort_by_key(|entry| {
                let closeness = entry.methods.closeness(view.method);
                (closeness.is_none(), entry.form, closeness)
            });
            for entry in entries {
                let mut params = Params::default();
                search::fill(&mut params, entry, captures, view.path);
                ranking.push(Candidate { route: entry.route, params, outcome: outcome(entry, view) });
            }
            ControlFlow::Continue(())
        });
        ranking
    }
}

fn outcome(entry: &Entry, view: &View<'_>) -> Outcome {
    if entry.methods.closeness(view.method).is_none() {
        return Outcome::Method;
    }
    for guard in &*entry.guards {
        match guard.holds(view) {
            Holds::Yes => {}
            Holds::No => return Outcome::Condition,
            Holds::NeedsBody => return Outcome::NeedsBody,
        }
    }
    match entry.form {
        _ if entry.when => Outcome::AsksWhen,
        Form::Redirect => Outcome::Redirects,
        Form::Written | Form::Ignored => Outcome::Takes,
    }
}
