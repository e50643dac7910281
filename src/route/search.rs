//! One lookup: walks what the table shows and stops at the first route that takes the request.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::http::Method;
use crate::route::Param;
use crate::route::Params;
use crate::route::guard::Closeness;
use crate::route::guard::Holds;
use crate::route::guard::View;
use crate::route::path::Captures;
use crate::route::pattern::Kind;
use crate::route::table::Entry;
use crate::route::table::Form;

/// What a lookup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This route (index in the plan).
    Route(usize),
    /// Routes match but for the method; these are allowed.
    Method(Vec<Method>),
    /// The path of the other form, to which the client is redirected (308), the query kept.
    Redirect(String),
    /// A route looks into the body: look again once it is read.
    NeedsBody,
    /// No route.
    None,
}

/// What a lookup asks its caller about routes, by their index in the plan.
pub trait Asks<E> {
    /// Whether somebody will read the parameters of the route.
    fn reads_params(&self, route: usize) -> bool;

    /// Whether the `when` function of the route accepts the request, which would have these parameters.
    fn when(&mut self, route: usize, params: &Params) -> Result<bool, E>;
}

/// A test that answers with a `when` alone reads every parameter.
#[cfg(test)]
impl<E, F: FnMut(usize, &Params) -> Result<bool, E>> Asks<E> for F {
    fn reads_params(&self, _route: usize) -> bool {
        true
    }

    fn when(&mut self, route: usize, params: &Params) -> Result<bool, E> {
        self(route, params)
    }
}

/// The state of one lookup.
pub(crate) struct Search<'a, E> {
    view: &'a View<'a>,
    params: &'a mut Params,
    asks: &'a mut dyn Asks<E>,
    allowed: Vec<Method>,
}

impl<'a, E> Search<'a, E> {
    pub(crate) fn new(view: &'a View<'a>, params: &'a mut Params, asks: &'a mut dyn Asks<E>) -> Self {
        params.list.clear();
        Self { view, params, asks, allowed: Vec::new() }
    }

    /// The entries of one terminal, in their order: the written form first, the closest method first within a form.
    pub(crate) fn visit(&mut self, entries: &[Entry], captures: &Captures) -> ControlFlow<Result<Found, E>> {
        if let [only] = entries {
            return self.alone(only, captures);
        }
        for form in [Form::Written, Form::Ignored, Form::Redirect] {
            for closeness in [Closeness::Named, Closeness::HeadAsGet, Closeness::Any] {
                for entry in entries.iter().filter(|entry| entry.form == form) {
                    if entry.methods.closeness(self.view.method) == Some(closeness) {
                        self.entry(entry, captures)?;
                    }
                }
            }
        }
        for entry in entries {
            if entry.methods.closeness(self.view.method).is_none() {
                self.refused(entry);
            }
        }
        ControlFlow::Continue(())
    }

    /// The common case.
    fn alone(&mut self, entry: &Entry, captures: &Captures) -> ControlFlow<Result<Found, E>> {
        if entry.methods.closeness(self.view.method).is_some() {
            return self.entry(entry, captures);
        }
        self.refused(entry);
        ControlFlow::Continue(())
    }

    /// The outcome when no route took the request.
    pub(crate) fn mismatch(mut self) -> Found {
        self.params.list.clear();
        if self.allowed.is_empty() {
            return Found::None;
        }
        if self.allowed.contains(&Method::Get) && !self.allowed.contains(&Method::Head) {
            self.allowed.push(Method::Head);
        }
        self.allowed.sort_by(|left, right| left.as_str().cmp(right.as_str()));
        Found::Method(self.allowed)
    }

    fn entry(&mut self, entry: &Entry, captures: &Captures) -> ControlFlow<Result<Found, E>> {
        for guard in &*entry.guards {
            match guard.holds(self.view) {
                Holds::Yes => {}
                Holds::No => return ControlFlow::Continue(()),
                Holds::NeedsBody => return ControlFlow::Break(Ok(Found::NeedsBody)),
            }
        }
        if entry.when || self.asks.reads_params(entry.route) {
            fill(self.params, entry, captures, self.view.path);
        }
        if entry.when {
            match self.asks.when(entry.route, self.params) {
                Ok(true) => {}
                Ok(false) => return ControlFlow::Continue(()),
                Err(error) => return ControlFlow::Break(Err(error)),
            }
        }
        if entry.form != Form::Redirect {
            return ControlFlow::Break(Ok(Found::Route(entry.route)));
        }
        match other_path(self.view.path) {
            Some(path) => ControlFlow::Break(Ok(Found::Redirect(path))),
            None => ControlFlow::Continue(()),
        }
    }

    /// Notes the methods of a route that would take the request otherwise, as far as its conditions can be told.
    fn refused(&mut self, entry: &Entry) {
        if entry.guards.iter().all(|guard| guard.holds(self.view) != Holds::No) {
            for method in entry.methods.list() {
                if !self.allowed.contains(method) {
                    self.allowed.push(method.clone());
                }
            }
        }
    }
}

/// Writes the parameters of `entry`, decoded.
pub(crate) fn fill(params: &mut Params, entry: &Entry, captures: &Captures, path: &str) {
    params.list.clear();
    if params.list.capacity() == 0 {
        params.list = Vec::with_capacity(entry.params.len());
    }
    for (parameter, &(start, end)) in entry.params.iter().zip(captures.ranges()) {
        let raw = &path[start as usize..end as usize];
        let value = match parameter.kind {
            Kind::Int => raw.parse().map_or_else(|_| Param::Text(raw.to_owned()), Param::Int),
            Kind::Uuid | Kind::Text => Param::Text(decode(raw)),
        };
        params.list.push((Arc::clone(&parameter.name), value));
    }
}

fn decode(raw: &str) -> String {
    if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        return raw.to_owned();
    }
    match percent_decode_str(raw).decode_utf8_lossy() {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}

/// The path with its trailing slash dropped or added; `None` where a client would take it for another host.
fn other_path(path: &str) -> Option<String> {
    let other = match path.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{path}/"),
    };
    (!other.is_empty() && !other.starts_with("//")).then_some(other)
}
