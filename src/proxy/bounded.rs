//! The rarer ways to a service: within a bound on what it is asked at a time (`limit`), with a second attempt beside a slow
//! one (`hedge`), and under the eyes of somebody (a trace).

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::primitive::concurrency::Entry;
use crate::primitive::concurrency::Permit;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::upstream::Answer;
use crate::upstream::Outbound;
use crate::upstream::SendError;
use crate::upstream::Unanswered;
use crate::upstream::Upstream;

/// Sends `outbound` once the upstream has room for it; overload is answered at once, or after `limit.max_wait` in line.
pub(super) async fn send(
    worker: &Worker,
    site: &Site,
    upstream: &Rc<Upstream>,
    outbound: &mut Outbound,
    hedge: Option<Duration>,
) -> Result<Answer, Unanswered> {
    let began = worker.clock.now();
    let permit = enter(worker, site, upstream, outbound).await?;
    outbound.spend(worker.clock.now().since(began));
    let answer = match &site.watch {
        Some(watch) => watch.call(worker, upstream, outbound, hedge).await,
        None => pursue(upstream, outbound, hedge).await,
    };
    let mut answer = answer?;
    match (permit, &answer.response.body) {
        (Some(permit), Body::Stream(_)) => {
            let body = std::mem::take(&mut answer.response.body);
            answer.response.body = Body::stream(Held { body, permit: Some(permit) });
        }
        (Some(permit), _) if answer.response.tunnel.is_some() => answer.held = Some(Box::new(permit)),
        _ => {}
    }
    Ok(answer)
}

/// With a second attempt beside a slow first one, where `hedge` says when.
pub(super) async fn pursue(
    upstream: &Upstream,
    outbound: &mut Outbound,
    hedge: Option<Duration>,
) -> Result<Answer, Unanswered> {
    match hedge {
        Some(wait) => upstream.send_hedged(outbound, wait).await,
        None => upstream.send_in_place(outbound).await,
    }
}

async fn enter(
    worker: &Worker,
    site: &Site,
    upstream: &Upstream,
    outbound: &Outbound,
) -> Result<Option<Permit>, SendError> {
    let Some(limit) = upstream.shared().config().limit else { return Ok(None) };
    let Some(bound) = site.shared.bounds.get(&**upstream.name()) else { return Ok(None) };
    let full = || SendError::Full { most: limit.inflight };
    match bound.enter(b"") {
        Entry::Permit(permit) => Ok(Some(permit)),
        Entry::Full => Err(full()),
        Entry::Waiter(waiter) => {
            let wait = limit.max_wait.min(outbound.deadline.since(worker.clock.now()));
            worker.clock.timeout(wait, waiter).await.map(Some).ok_or_else(full)
        }
    }
}

/// An answer's body that holds its place until it was read.
struct Held {
    body: Body,
    permit: Option<Permit>,
}

impl Source for Held {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let filled = self.body.poll_fill(cx);
        if matches!(filled, Poll::Ready(Ok([]) | Err(_))) {
            self.permit = None;
        }
        filled
    }

    fn consume(&mut self, n: usize) {
        self.body.consume(n);
        if self.body.left() == Some(0) {
            self.permit = None;
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
