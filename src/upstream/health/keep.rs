//! When each host is checked: at its own time, a few at once, again after its interval, whatever is reloaded in between.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
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
use crate::upstream::health::probe::Kept;

/// Checks of one upstream under way at a time.
const AT_ONCE: usize = 100;

/// How soon a change of the members is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// Connections for the next check, by the host's number.
type Lines = Rc<RefCell<HashMap<u64, Kept>>>;

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
    let (mut checks, lines) = (JoinSet::new(), Lines::default());
    loop {
        let next = begin(&shared, &rule, &clock, &mut checks, &lines);
        let mut sleep = pin!(clock.sleep_until(next));
        poll_fn(|cx| {
            let full = checks.len() >= AT_ONCE;
            while let Poll::Ready(Some(_)) = checks.poll_join_next(cx) {}
            if full && checks.len() < AT_ONCE { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }
        })
        .await;
    }
}

/// Begins the checks that are due, those that waited longest first; when to look again. What is due within a fiftieth
/// of the interval is begun with the others: one look and one turn of the event loop do for all of it.
fn begin(shared: &Arc<Shared>, rule: &Health, clock: &Clock, checks: &mut JoinSet<()>, lines: &Lines) -> Moment {
    let (now, members) = (clock.now(), shared.members());
    let soon = now.after(rule.every / 50);
    let dues = members.iter().map(|member| (due(rule, &member.host, now), &member.host));
    let (mut waiting, later): (Vec<_>, Vec<_>) = dues.partition(|(due, _)| *due <= soon);
    waiting.sort_by_key(|(due, _)| *due);
    for (due, host) in waiting.into_iter().take(AT_ONCE.saturating_sub(checks.len())) {
        let mut record = host.vitals().record.lock();
        record.due = Some(due.max(now).after(jittered(rule.every, host, now)));
        record.began = Some(now);
        drop(record);
        let check = check(Arc::clone(shared), rule.clone(), Arc::clone(host), clock.clone(), Rc::clone(lines));
        checks.spawn_local(check);
    }
    let mut lines = lines.borrow_mut();
    if lines.len() > members.len() {
        lines.retain(|id, _| members.iter().any(|member| member.host.id == *id));
    }
    later.into_iter().map(|(due, _)| due).min().unwrap_or(Moment::NEVER).min(now.after(LOOK))
}

/// When `host` is to be checked next. A shorter interval counts from the last check, not from the next.
fn due(rule: &Health, host: &Host, now: Moment) -> Moment {
    let record = host.vitals().record.lock();
    let latest = record.began.map_or(Moment::NEVER, |began| began.after(rule.every + rule.every / 10));
    record.due.map_or(now, |due| due.min(latest))
}

async fn check(shared: Arc<Shared>, rule: Health, host: Arc<Host>, clock: Clock, lines: Lines) {
    let mut line = lines.borrow_mut().remove(&host.id);
    let probe = probe::ask(&host, &rule.check, shared.tls(), &clock, &mut line);
    let result = clock.timeout(rule.timeout, probe).await;
    let result = result.unwrap_or_else(|| Err("no answer in time".to_owned()));
    if let Some(line) = line {
        lines.borrow_mut().insert(host.id, line);
    }
    shared.checked(&host, &rule, result, clock.now());
}

/// `every`, up to a tenth more or less: hosts checked together once are not for ever.
fn jittered(every: Duration, host: &Host, now: Moment) -> Duration {
    let mixed = digest(&[host.id.to_le_bytes(), now.0.to_le_bytes()].concat());
    every.mul_f64(0.9 + 0.2 * fraction(mixed))
}
