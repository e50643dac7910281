//! When each host is checked: at its own time, a few at once, again after its interval, whatever is reloaded in between.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::upstream::Health;
use crate::upstream::Host;
use crate::upstream::Shared;
use crate::upstream::balance::digest;
use crate::upstream::balance::fraction;
use crate::upstream::health::probe;

/// Checks of one upstream under way at a time.
const AT_ONCE: usize = 100;

/// How soon a change of the members is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// Checks the hosts of `upstreams`, for as long as it is polled, on the thread that polls it.
pub async fn keep(upstreams: Vec<Arc<Shared>>, clock: Clock) {
    let mut tasks = JoinSet::new();
    for shared in upstreams.into_iter().filter(|shared| shared.config().health.is_some()) {
        tasks.spawn_local(watch(shared, clock.clone()));
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

async fn watch(shared: Arc<Shared>, clock: Clock) {
    let Some(rule) = shared.config().health.clone() else { return };
    let mut checks = JoinSet::new();
    loop {
        let next = begin(&shared, &rule, &clock, &mut checks);
        let mut sleep = pin!(clock.sleep_until(next));
        poll_fn(|cx| match checks.poll_join_next(cx) {
            Poll::Ready(Some(_)) => Poll::Ready(()),
            Poll::Ready(None) | Poll::Pending => sleep.as_mut().poll(cx),
        })
        .await;
    }
}

/// Begins the checks that are due, those that waited longest first; when to look again.
fn begin(shared: &Arc<Shared>, rule: &Health, clock: &Clock, checks: &mut JoinSet<()>) -> Moment {
    let (now, members) = (clock.now(), shared.members());
    let dues = members.iter().map(|member| (due(rule, &member.host, now), &member.host));
    let (mut waiting, later): (Vec<_>, Vec<_>) = dues.partition(|(due, _)| *due <= now);
    waiting.sort_by_key(|(due, _)| *due);
    for (_, host) in waiting.into_iter().take(AT_ONCE.saturating_sub(checks.len())) {
        let mut record = host.vitals().record.lock();
        record.due = Some(now.after(jittered(rule.every, host, now)));
        record.began = Some(now);
        drop(record);
        checks.spawn_local(check(Arc::clone(shared), rule.clone(), Arc::clone(host), clock.clone()));
    }
    later.into_iter().map(|(due, _)| due).min().unwrap_or(Moment::NEVER).min(now.after(LOOK))
}

/// When `host` is to be checked next. A shorter interval counts from the last check, not from the next.
fn due(rule: &Health, host: &Host, now: Moment) -> Moment {
    let record = host.vitals().record.lock();
    let latest = record.began.map_or(Moment::NEVER, |began| began.after(rule.every + rule.every / 10));
    record.due.map_or(now, |due| due.min(latest))
}

async fn check(shared: Arc<Shared>, rule: Health, host: Arc<Host>, clock: Clock) {
    let probe = probe::ask(&host, &rule.check, shared.tls(), &clock);
    let result = clock.timeout(rule.timeout, probe).await;
    let result = result.unwrap_or_else(|| Err("no answer in time".to_owned()));
    shared.checked(&host, &rule, result, clock.now());
}

/// `every`, up to a tenth more or less: hosts checked together once are not for ever.
fn jittered(every: Duration, host: &Host, now: Moment) -> Duration {
    let mixed = digest(&[host.id.to_le_bytes(), now.0.to_le_bytes()].concat());
    every.mul_f64(0.9 + 0.2 * fraction(mixed))
}
