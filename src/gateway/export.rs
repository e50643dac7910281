//! Posts access log lines to a URL: in batches, one at a time, tried again, and dropped when that does not help.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use crate::http::Headers;
use crate::http::Method;
use crate::proxy;
use crate::proxy::Call;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::telemetry::access::Batch;
use crate::telemetry::log;
use crate::telemetry::metrics::Counter;

/// The generation whose rules a post goes by, without its functions.
pub(super) type Standing = Rc<RefCell<Option<Rc<Site>>>>;

/// Batches that wait; what comes beyond that is dropped by the writer, and counted there.
pub(super) const WAITING: usize = 256;
/// Batches are joined up to this size.
const LARGEST: usize = 1 << 20;
/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits before the second attempt and those after it.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16)];

/// Posts what comes until nobody sends any more.
pub(super) async fn run(worker: Rc<Worker>, standing: Standing, mut batches: Receiver<Batch>, dropped: Counter) {
    let mut failing = false;
    let mut next = batches.recv().await;
    while let Some(mut batch) = next.take() {
        while batch.lines.len() < LARGEST
            && let Ok(more) = batches.try_recv()
        {
            if more.url != batch.url {
                next = Some(more);
                break;
            }
            batch.lines.extend_from_slice(&more.lines);
        }
        let lines = Bytes::from(batch.lines);
        match posted(&worker, &standing, &batch.url, &lines, || batches.is_closed()).await {
            Ok(()) => failing = false,
            Err(why) => {
                dropped.add(memchr::memchr_iter(b'\n', &lines).count() as u64);
                if !std::mem::replace(&mut failing, true) {
                    log::error("access log lines are dropped", &[("to", &origin(&batch.url)), ("error", &why)]);
                }
            }
        }
        if next.is_none() {
            next = batches.recv().await;
        }
    }
}

/// Several attempts; only one once the gateway leaves.
async fn posted(
    worker: &Rc<Worker>,
    standing: &Standing,
    url: &str,
    lines: &Bytes,
    leaving: impl Fn() -> bool,
) -> Result<(), String> {
    let mut waits = WAITS.iter();
    loop {
        let Err(why) = post(worker, standing, url, lines.clone()).await else { return Ok(()) };
        let Some(wait) = waits.next().filter(|_| !leaving()) else { return Err(why) };
        worker.clock.sleep(*wait).await;
    }
}

async fn post(worker: &Rc<Worker>, standing: &Standing, url: &str, lines: Bytes) -> Result<(), String> {
    let site = standing.borrow().clone().ok_or("nothing runs yet")?;
    let mut headers = Headers::default();
    headers.set("content-type", "application/x-ndjson");
    let (target, method) = (url.to_owned(), Method::Post);
    let call = Call { target, method, headers, body: lines, timeout: Some(PATIENCE), ..Call::default() };
    let mut response = proxy::call(worker, &site, call).await.map_err(|failure| failure.facts().cause)?;
    let status = response.status;
    // The rest is read, so that the connection can be used again.
    let _ = worker.clock.timeout(PATIENCE, response.body.collect(LARGEST)).await;
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("it answered {status}")) }
}

/// Where lines go, without what may be a credential in it.
fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| "a URL".to_owned(), |url| url.origin().ascii_serialization())
}
