//! THE LIFE OF A REQUEST, from its head to the last byte of its answer. Knows `trait Hooks`, not Lua.

pub mod access;
mod bounded;
pub mod buffer;
pub mod caught;
pub mod cors;
mod desk;
pub mod dynamic;
pub mod enter;
pub mod exchange;
pub mod failure;
pub mod forward;
mod grpc;
pub mod hooks;
pub mod limits;
pub mod lookup;
pub mod meter;
pub mod multiplex;
pub mod receive;
pub mod request_id;
pub mod respond;
pub mod serve;
pub mod site;
mod status;
pub mod target;
pub mod trace;
pub mod tunnel;
pub mod twin;
pub mod user;
pub mod watch;
mod way;
pub mod websocket;
pub mod worker;

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::http::Method;
use crate::http::Response;
use crate::http::Version;
use crate::proxy::exchange::Unrouted;
use crate::route::Found;

pub use caught::Caught;
pub use enter::enter;
pub use exchange::Exchange;
pub use failure::Code;
pub use failure::Failure;
pub use forward::Call;
pub use forward::Override;
pub use forward::call;
pub use forward::forward;
pub use hooks::Hooks;
pub use hooks::Run;
pub use hooks::Verdict;
pub use hooks::Wants;
pub use serve::serve;
pub use site::Shared;
pub use site::Site;
pub use user::User;
pub use worker::Worker;

/// What a request comes to: always an answer, whose body may still be streaming.
pub async fn answer(exchange: &Rc<Exchange>, alarm: &Alarm) -> Response {
    let decided = in_time(exchange, alarm, pin!(decide(exchange))).await.unwrap_or_else(|| Err(out_of_time()));
    let response = match decided {
        Ok(response) => response,
        Err(failure) => in_grace(exchange, alarm, pin!(explain(exchange, failure))).await,
    };
    let mut response = last_word(exchange, alarm, response).await;
    respond::finish(exchange, &mut response);
    response
}

/// The answer to a request that was refused before anyone looked at it; no route and no step is involved.
async fn refused(exchange: &Rc<Exchange>, alarm: &Alarm, failure: Failure) -> Response {
    let mut response = in_grace(exchange, alarm, pin!(explain(exchange, failure))).await;
    respond::finish(exchange, &mut response);
    response
}

/// The request's way inwards: `on_request`, route, steps, service.
async fn decide(exchange: &Rc<Exchange>) -> Result<Response, Failure> {
    let hooks = &exchange.site.hooks;
    if hooks.wants_request()
        && let Some(end) = ended(hooks.on_request(exchange).get().await)
    {
        return end;
    }
    if let Some(answer) = cors::preflight(exchange)? {
        return Ok(answer);
    }
    choose(exchange).await?;
    if hooks.wants(exchange.route.get()).steps
        && let Some(end) = ended(hooks.steps(exchange).get().await)
    {
        return end;
    }
    forward(exchange, Override::default()).await
}

fn ended(verdict: Verdict) -> Option<Result<Response, Failure>> {
    match verdict {
        Verdict::Continue => None,
        Verdict::Answer(response) => Some(Ok(response)),
        Verdict::Fail(failure) => Some(Err(failure)),
    }
}

/// Chooses the route; a request that has none goes on to the gateway's steps, and ends in [`forward()`].
async fn choose(exchange: &Rc<Exchange>) -> Result<(), Failure> {
    let site = &exchange.site;
    let mut found = site.route(exchange, None)?;
    if found == Found::NeedsBody {
        buffer::request(exchange).await?;
        found = site.route(exchange, None)?;
    }
    match found {
        Found::Route(index) => {
            exchange.route.set(Some(index));
            let timeout = site.shared.settings[index].timeout;
            exchange.deadline.set(exchange.started.after(timeout.head));
            exchange.end.set(timeout.total.map_or(Moment::NEVER, |total| exchange.started.after(total)));
        }
        Found::Method(allowed) => {
            let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
            *exchange.unrouted.borrow_mut() = Some(Unrouted::Method(names.join(", ")));
        }
        Found::Redirect(path) => *exchange.unrouted.borrow_mut() = Some(Unrouted::Redirect(path)),
        Found::None | Found::NeedsBody => *exchange.unrouted.borrow_mut() = Some(Unrouted::None),
    }
    if exchange.request.borrow().version == Version::Http2 {
        grpc::hurry(exchange);
    }
    cors::begin(exchange);
    Ok(())
}

/// A failure becomes an answer: by `errors` and `on_error`, else as a problem document.
pub(crate) async fn explain(exchange: &Rc<Exchange>, failure: Failure) -> Response {
    exchange.fail(&Rc::new(failure.clone()));
    respond::report(exchange, &failure);
    let hooks = &exchange.site.hooks;
    if !hooks.wants(exchange.route.get()).on_error {
        return respond::problem(exchange, &failure);
    }
    match hooks.on_failure(exchange, failure).get().await {
        Ok(response) => response,
        Err(failure) => respond::problem(exchange, &failure),
    }
}

/// `on_response` of every level, for every answer.
async fn last_word(exchange: &Rc<Exchange>, alarm: &Alarm, response: Response) -> Response {
    let hooks = &exchange.site.hooks;
    if !hooks.wants(exchange.route.get()).on_response {
        return response;
    }
    match hooks.on_response(exchange, response) {
        Run::Done(response) => response,
        Run::Wait(mut waiting) => in_grace(exchange, alarm, waiting.as_mut()).await,
    }
}

/// `work`, or `None` when the request's time is over first. Steps may move the deadline while they run.
///
/// It takes the future by its place, as all of these do: one that is passed on by value is copied, and kept twice.
async fn in_time<T>(exchange: &Exchange, alarm: &Alarm, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        alarm.set(exchange.deadline.get());
        alarm.poll(cx).map(|()| None)
    })
    .await
}

/// What shapes an answer gets [`GRACE`] even when the request's time is over; beyond that, the plain problem is sent.
async fn in_grace(
    exchange: &Rc<Exchange>,
    alarm: &Alarm,
    mut work: Pin<&mut (impl Future<Output = Response> + ?Sized)>,
) -> Response {
    let grace = exchange.worker.clock.now().after(GRACE);
    exchange.deadline.set(exchange.deadline.get().max(grace));
    match in_time(exchange, alarm, pin!(work.as_mut())).await {
        Some(response) => response,
        None => respond::problem(exchange, &out_of_time()),
    }
}

const GRACE: Duration = Duration::from_secs(5);

fn out_of_time() -> Failure {
    Failure::new(Code::RouteTimeout, "the request took too long")
}

#[cfg(test)]
mod tests;
