//! What a watched request asks of services: each call with its attempts, and the bodies as they pass.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::proxy::Worker;
use crate::proxy::bounded;
use crate::proxy::watch::Watch;
use crate::upstream::Answer;
use crate::upstream::Outbound;
use crate::upstream::Unanswered;
use crate::upstream::Upstream;

/// One call.
#[derive(Default)]
pub(super) struct Call {
    pub(super) upstream: String,
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// The Host field; `None`: the chosen host's own name.
    pub(super) host: Option<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) began: Moment,
    /// From then to the answer's head, or until it was clear that there is none.
    pub(super) took: Cell<Duration>,
    pub(super) attempts: RefCell<Vec<Attempt>>,
    /// The answer's head, or why there is none.
    pub(super) outcome: RefCell<Option<Result<Head, String>>>,
    pub(super) sent: Rc<Passed>,
    pub(super) received: Rc<Passed>,
}

/// Status and fields of an answer.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
}

/// One attempt.
pub(super) struct Attempt {
    pub(super) host: String,
    pub(super) began: Moment,
    pub(super) took: Duration,
    pub(super) outcome: Result<u16, String>,
}

/// What passed of a body.
#[derive(Default)]
pub(super) struct Passed {
    pub(super) bytes: Cell<u64>,
    /// The first of it, where bodies are kept.
    pub(super) copy: RefCell<Vec<u8>>,
    /// How much may be kept; 0: nothing is.
    pub(super) most: usize,
    /// The end was seen.
    pub(super) ended: Cell<bool>,
}

impl Passed {
    pub(super) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { most, ..Self::default() })
    }

    fn add(&self, data: &[u8]) {
        self.bytes.set(self.bytes.get() + data.len() as u64);
        let mut copy = self.copy.borrow_mut();
        let room = self.most.saturating_sub(copy.len());
        copy.extend_from_slice(&data[..data.len().min(room)]);
    }

    /// Whether all of it is in the copy.
    pub(super) fn is_whole(&self) -> bool {
        self.ended.get() && self.bytes.get() == self.copy.borrow().len() as u64
    }

    /// `body`, noted as it passes.
    pub(super) fn over(self: &Rc<Self>, body: Body) -> Body {
        match body {
            Body::Stream(_) => Body::stream(Passing { body, passed: Rc::clone(self), shown: 0 }),
            at_hand => {
                if let Body::Full(bytes) = &at_hand {
                    self.add(bytes);
                }
                self.ended.set(true);
                at_hand
            }
        }
    }
}

struct Passing {
    body: Body,
    passed: Rc<Passed>,
    /// Bytes that were noted and nobody took yet.
    shown: usize,
}

impl Source for Passing {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let data = ready!(self.body.poll_fill(cx))?;
        if data.is_empty() {
            self.passed.ended.set(true);
        }
        if data.len() > self.shown {
            self.passed.add(&data[self.shown..]);
            self.shown = data.len();
        }
        Poll::Ready(Ok(data))
    }

    fn consume(&mut self, n: usize) {
        self.body.consume(n);
        self.shown = self.shown.saturating_sub(n);
        // Whoever knows the length does not ask for the end.
        if self.body.left() == Some(0) {
            self.passed.ended.set(true);
        }
    }

    fn left(&self) -> Option<u64> {
        self.body.left()
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }
}

impl Watch {
    fn note(&self, call: &Rc<Call>) {
        let mut calls = self.calls.borrow_mut();
        if calls.len() < MOST_CALLS {
            calls.push(Rc::clone(call));
        }
    }

    /// Sends `outbound`, and notes all that comes of it.
    pub(in crate::proxy) async fn call(
        self: &Rc<Self>,
        worker: &Worker,
        upstream: &Upstream,
        outbound: &mut Outbound,
        hedge: Option<Duration>,
    ) -> Result<Answer, Unanswered> {
        let call = Rc::new(Call {
            upstream: upstream.name().to_string(),
            method: outbound.method.as_str().to_owned(),
            target: outbound.target.clone(),
            host: outbound.host.as_deref().map(str::to_owned),
            fields: lines(&outbound.fields),
            began: worker.clock.now(),
            sent: Passed::new(self.keeps()),
            received: Passed::new(self.keeps()),
            ..Call::default()
        });
        self.note(&call);
        outbound.body = call.sent.over(std::mem::take(&mut outbound.body));
        let noted = Rc::clone(&call);
        let upstream = upstream.watched(Some(Rc::new(move |tried| {
            let mut attempts = noted.attempts.borrow_mut();
            if attempts.len() < MOST_CALLS {
                attempts.push(Attempt {
                    host: tried.host.to_owned(),
                    began: tried.start,
                    took: tried.end.since(tried.start),
                    outcome: tried.outcome.map_err(ToString::to_string),
                });
            }
        })));
        let mut answer = bounded::pursue(&upstream, outbound, hedge).await;
        call.took.set(worker.clock.now().since(call.began));
        *call.outcome.borrow_mut() = Some(match &answer {
            Ok(answer) => Ok(Head { status: answer.response.status, fields: fields(&answer.response.headers) }),
            Err(failed) => Err(failed.error.to_string()),
        });
        if let Ok(answer) = &mut answer {
            // What is built in makes no attempts at a connection.
            if call.attempts.borrow().is_empty() {
                let host = answer.response.host.as_deref().unwrap_or_default().to_owned();
                let outcome = Ok(answer.response.status);
                call.attempts.borrow_mut().push(Attempt { host, began: call.began, took: call.took.get(), outcome });
            }
            answer.response.body = call.received.over(std::mem::take(&mut answer.response.body));
        }
        answer
    }
}

/// Fields as they were written for the wire.
fn lines(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let pairs = text.split("\r\n").filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
}

/// Fields, names in lower case.
pub(super) fn fields(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(_, name, value)| (text(name).to_ascii_lowercase(), text(value))).collect()
}

/// Calls of a request, and attempts of a call, that are noted.
const MOST_CALLS: usize = 100;
