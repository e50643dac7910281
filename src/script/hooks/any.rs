//! `any_of`: steps that are tried one after the other until one carries on.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::answer;
use super::judge;
use super::truth;
use crate::http::Response;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::handle;
use crate::script::handle::Identity;
use crate::script::policy;
use crate::script::policy::Branch;
use crate::script::wait;

/// The header whose challenges of all branches go on the last refusal.
const CHALLENGE: &str = "www-authenticate";

/// `core.any_of(list)`: the function of a step that passes where one of the list carries on.
///
/// A branch that refuses with 401 is undone (who the caller is, header fields, query) and the next is tried; any other
/// refusal, and any answer, ends the request at once. A branch whose `when` does not hold was not tried: it lets nobody in.
pub(crate) fn any_of(lua: &Lua, list: Table) -> mlua::Result<Function> {
    let mut branches = Vec::with_capacity(list.raw_len());
    for (index, value) in list.sequence_values::<Value>().enumerate() {
        let branch = policy::branch(lua, &value?)?.map_err(|wrapper| {
            let said =
                format!("entry {} (`{wrapper}`) wraps what follows, and a way to authenticate decides", index + 1);
            mlua::Error::runtime(said)
        })?;
        branches.push(branch);
    }
    let branches: Rc<[Branch]> = branches.into();
    let owned: Vec<String> = branches.iter().flat_map(|branch| branch.owns.iter().cloned()).collect();
    wait::maybe(lua, "any_of", move |lua, req: Value| {
        let exchange = handle::exchange(lua, &req)?
            .ok_or_else(|| mlua::Error::runtime("a step is called with the request: step(req)"))?;
        let context = Context::of(lua);
        // What any of them may say about the caller no client may, not even where another branch lets it in.
        for name in &owned {
            exchange.request.borrow_mut().headers.remove(name);
        }
        let branches = Rc::clone(&branches);
        let tries = Tries {
            lua: lua.clone(),
            context,
            exchange,
            req,
            branches,
            at: 0,
            before: None,
            said: Vec::new(),
            last: None,
        };
        Ok(tries.run())
    })
}

/// One request on its way through the branches.
struct Tries {
    lua: Lua,
    context: Rc<Context>,
    exchange: Rc<Exchange>,
    req: Value,
    branches: Rc<[Branch]>,
    /// How many branches were looked at.
    at: usize,
    /// What the branch under way found, if there is anything it could change.
    before: Option<Identity>,
    /// The challenges of those that refused.
    said: Vec<String>,
    last: Option<Refusal>,
}

/// A 401, as it came.
enum Refusal {
    Failure(Failure),
    Answer(Response, Option<Rc<Failure>>),
}

type Ended = mlua::Result<MultiValue>;

impl Tries {
    /// At once where no branch waits, else as a future.
    fn run(mut self) -> Run<Ended> {
        loop {
            match self.start() {
                Err(ended) => return Run::Done(ended),
                Ok(Run::Done(outcome)) => {
                    self.context.watch.pardon();
                    if let Some(ended) = self.judged(outcome) {
                        return Run::Done(ended);
                    }
                }
                Ok(Run::Wait(future)) => {
                    return Run::Wait(Box::pin(async move {
                        let mut outcome = future.await;
                        loop {
                            if let Some(ended) = self.judged(outcome) {
                                return ended;
                            }
                            outcome = match self.start() {
                                Err(ended) => return ended,
                                Ok(run) => run.get().await,
                            };
                        }
                    }));
                }
            }
        }
    }

    /// Starts the next branch; where none is left, what the whole came to.
    fn start(&mut self) -> Result<Run<Outcome>, Ended> {
        let branches = Rc::clone(&self.branches);
        while let Some(branch) = branches.get(self.at) {
            self.at += 1;
            if let Some(when) = &branch.when {
                let held = driver::call(&self.context, Some(Rc::clone(&self.exchange)), "`when`", when, &self.req);
                match held {
                    Ok(values) if truth(values.front()) => {}
                    Ok(_) => continue,
                    Err(failure) => return Err(wait::fail(failure)),
                }
            }
            self.before = Some(handle::identity(&self.lua, &self.exchange, branch.open));
            let exchange = Some(Rc::clone(&self.exchange));
            return Ok(driver::drive(&self.context, exchange, &branch.call, &self.req));
        }
        Err(self.refused())
    }

    /// What a branch came to; `None` when the next is to be tried.
    fn judged(&mut self, outcome: Outcome) -> Option<Ended> {
        let refusal = match outcome {
            Ok(mut values) => match values.pop_front() {
                None | Some(Value::Nil) => return Some(Ok(MultiValue::new())),
                Some(value) => match answer::response(&self.lua, &self.context, value) {
                    Ok(answer) => Refusal::Answer(answer.response, answer.failure),
                    Err(failure) => Refusal::Failure(failure),
                },
            },
            Err(failure) => Refusal::Failure(failure),
        };
        let branches = Rc::clone(&self.branches);
        let branch = branches.get(self.at.wrapping_sub(1))?;
        match refusal {
            Refusal::Failure(mut failure) => {
                let next = failure.status == 401;
                failure.step.get_or_insert_with(|| branch.word.as_str().into());
                // A `status` of the step's own changes what is said, not what it means.
                let failure = judge::said(failure, branch.status, branch.detail.as_deref());
                if !next {
                    return Some(wait::fail(failure));
                }
                self.noted(failure)
            }
            Refusal::Answer(response, failure) => {
                let next = response.status == 401;
                let mut response = match judge::refusal(response, branch.status, branch.detail.as_deref()) {
                    Ok(response) if next => response,
                    Ok(response) => return Some(self.answer(response, failure)),
                    Err(failure) if next => return self.noted(failure),
                    Err(failure) => return Some(wait::fail(failure)),
                };
                let challenges =
                    response.headers.all(CHALLENGE).map(|value| String::from_utf8_lossy(value).into_owned());
                self.said.extend(challenges);
                response.headers.remove(CHALLENGE);
                self.last = Some(Refusal::Answer(response, failure));
                self.undone()
            }
        }
    }

    /// A 401 whose challenges wait for those of the other branches.
    fn noted(&mut self, mut failure: Failure) -> Option<Ended> {
        let own = |(name, _): &(String, String)| name.eq_ignore_ascii_case(CHALLENGE);
        self.said.extend(failure.headers.iter().filter(|field| own(field)).map(|(_, value)| value.clone()));
        failure.headers.retain(|field| !own(field));
        self.last = Some(Refusal::Failure(failure));
        self.undone()
    }

    /// The request as it was before the branch.
    fn undone(&mut self) -> Option<Ended> {
        match self.before.take().map(|before| handle::put_back(&self.lua, &self.exchange, before)) {
            Some(Err(error)) => Some(Err(error)),
            _ => None,
        }
    }

    /// No branch let the request pass: what the last said, with the challenges of all.
    fn refused(&mut self) -> Ended {
        let mut said: Vec<String> = Vec::new();
        for challenge in self.said.drain(..) {
            if !said.contains(&challenge) {
                said.push(challenge);
            }
        }
        match self.last.take() {
            Some(Refusal::Failure(mut failure)) => {
                failure.headers.extend(said.into_iter().map(|challenge| (CHALLENGE.to_owned(), challenge)));
                wait::fail(failure)
            }
            Some(Refusal::Answer(mut response, failure)) => {
                said.iter().for_each(|challenge| response.headers.add(CHALLENGE, challenge));
                self.answer(response, failure)
            }
            None => {
                let detail = "no way to authenticate applies to this request";
                wait::fail(Failure::new(Code::Rejected, detail).status(401))
            }
        }
    }

    fn answer(&self, response: Response, failure: Option<Rc<Failure>>) -> Ended {
        let held = handle::answered(&self.lua, Some(&self.exchange), response, failure)?;
        Ok(MultiValue::from_vec(vec![held]))
    }
}
