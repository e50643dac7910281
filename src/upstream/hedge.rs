//! A second attempt beside a slow first one: the first good answer stands, the other attempt is cancelled.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::http::Body;
use crate::upstream::Answer;
use crate::upstream::Outbound;
use crate::upstream::Retry;
use crate::upstream::Unanswered;
use crate::upstream::Upstream;
use crate::upstream::send::Beside;

type Outcome = Result<Answer, Unanswered>;

impl Upstream {
    /// As [`Upstream::send`]; where no answer's head came within `wait`, another host is asked beside the first, paid from
    /// the budget for retries. Only what may be repeated, with a body at hand, is ever asked for twice.
    pub async fn send_hedged(&self, outbound: &mut Outbound, wait: Duration) -> Outcome {
        let own = outbound.retry.clone();
        let policy = own.as_deref().unwrap_or_else(|| &self.shared().config().retry);
        let Some(mut twin) = twin(outbound, policy).filter(|_| self.shared().members().len() > 1) else {
            return self.send_in_place(outbound).await;
        };
        let first_at = Beside::default();
        let mut first = pin!(self.pursue(outbound, Some(&first_at)));
        if let Some(outcome) = self.clock().timeout(wait, first.as_mut()).await {
            return outcome;
        }
        if !self.has_beside(&[first_at.at.get()]) || !self.shared().budget().spend() {
            return first.await;
        }
        twin.spend(wait);
        let beside = Beside { avoid: Some(first_at.at.get()), ..Beside::default() };
        let mut second = pin!(self.pursue(&mut twin, Some(&beside)));
        let good = |outcome: &Outcome| {
            outcome.as_ref().is_ok_and(|answer| !policy.on_status.contains(&answer.response.status))
        };
        let (mut poor, mut second_failed) = (None, false);
        poll_fn(|cx| {
            if poor.is_none()
                && let Poll::Ready(outcome) = first.as_mut().poll(cx)
            {
                if good(&outcome) || second_failed {
                    return Poll::Ready(both(outcome));
                }
                poor = Some(outcome);
            }
            if !second_failed && let Poll::Ready(outcome) = second.as_mut().poll(cx) {
                match poor.take() {
                    _ if good(&outcome) => return Poll::Ready(both(outcome)),
                    Some(first) => return Poll::Ready(both(first)),
                    None => second_failed = true,
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The same request once more, without retries of its own; `None` when it may go out only once.
fn twin(outbound: &Outbound, policy: &Retry) -> Option<Outbound> {
    let body = match &outbound.body {
        Body::Empty => Body::Empty,
        Body::Full(bytes) => Body::Full(bytes.clone()),
        Body::Stream(_) => return None,
    };
    (outbound.repeatable && outbound.upgrade.is_none()).then(|| Outbound {
        method: outbound.method.clone(),
        target: outbound.target.clone(),
        host: outbound.host.clone(),
        fields: outbound.fields.clone(),
        body,
        upgrade: None,
        repeatable: true,
        deadline: outbound.deadline,
        retry: Some(Arc::new(Retry { times: 0, budget: 0.0, ..policy.clone() })),
        ends: outbound.ends.clone(),
        key: outbound.key,
        began: None,
        hear: None,
    })
}

/// The answer that stands, the other attempt counted.
fn both(outcome: Outcome) -> Outcome {
    match outcome {
        Ok(answer) => Ok(Answer { attempts: answer.attempts + 1, ..answer }),
        Err(failed) => Err(Unanswered { attempts: failed.attempts + 1, ..failed }),
    }
}
