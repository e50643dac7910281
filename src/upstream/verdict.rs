//! What an attempt came to, for whoever looks on, and what an answer says about its host: its head at once, unless that is good and a body follows; then how the body ends.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::upstream::Host;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::eject::Said;

/// Somebody who is told what each attempt came to.
pub type Eye = Rc<dyn Fn(Tried<'_>)>;

/// What an attempt came to.
pub struct Tried<'a> {
    /// The host that was asked.
    pub host: &'a str,
    /// When it was.
    pub start: Moment,
    /// When the answer's head was there, or it was clear that there is none.
    pub end: Moment,
    /// The status, or why there is none.
    pub outcome: Result<u16, &'a SendError>,
}

/// Notes what the head of an answer said; `from`: when the attempt began and when the head came. A good answer whose body
/// is still to come counts at its end. One that tries an ejected host counts at once: a stream may last for days.
pub(super) fn hear(
    shared: &Arc<Shared>,
    host: &Arc<Host>,
    said: Said,
    (start, now): (Moment, Moment),
    clock: &Clock,
    body: &mut Body,
) {
    shared.observe(host, said, start, now);
    let judges = shared.config().eject.is_some() && said == Said::Well && !host.vitals().is_ejected();
    if !judges || !matches!(body, Body::Stream(_)) {
        return shared.judge(host, said, start, now);
    }
    let case = Case { shared: Arc::clone(shared), host: Arc::clone(host), start, clock: clock.clone() };
    *body = Body::stream(Judged { body: std::mem::take(body), case: Some(case) });
}

/// A body that is listened to.
struct Judged {
    body: Body,
    case: Option<Case>,
}

/// Whose it is, until that is decided.
struct Case {
    shared: Arc<Shared>,
    host: Arc<Host>,
    start: Moment,
    clock: Clock,
}

impl Case {
    fn close(self, said: Said) {
        self.shared.judge(&self.host, said, self.start, self.clock.now());
    }
}

impl Source for Judged {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let filled = self.body.poll_fill(cx);
        let said = match &filled {
            Poll::Pending | Poll::Ready(Ok([_, ..])) => None,
            Poll::Ready(Err(BodyError::Cut | BodyError::Malformed | BodyError::Stalled)) => Some(Said::Ill),
            // all else is a matter between the client and us
            Poll::Ready(Ok([]) | Err(_)) => Some(Said::Well),
        };
        if let Some(said) = said
            && let Some(case) = self.case.take()
        {
            case.close(said);
        }
        filled
    }

    fn consume(&mut self, n: usize) {
        self.body.consume(n);
        if self.body.left() == Some(0)
            && let Some(case) = self.case.take()
        {
            case.close(Said::Well);
        }
    }

    fn left(&self) -> Option<u64> {
        self.body.left()
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.body.trailers()
    }

    fn be_modest(&mut self) {
        self.body.be_modest();
    }
}

impl Drop for Judged {
    /// Nobody waits for the rest: what came of it was good.
    fn drop(&mut self) {
        if let Some(case) = self.case.take() {
            case.close(Said::Well);
        }
    }
}
