//! A panic ends one connection or stream, never the process: it is caught where its task begins.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use crate::telemetry::log;
use crate::telemetry::metrics::Registry;

/// A future whose panic is logged and counted, and then is its end.
pub struct Caught<F> {
    work: Pin<Box<F>>,
    metrics: Registry,
}

impl<F: Future<Output = ()>> Caught<F> {
    /// Catches the panics of `work`.
    pub fn new(work: F, metrics: &Registry) -> Self {
        Self { work: Box::pin(work), metrics: metrics.clone() }
    }
}

impl<F: Future<Output = ()>> Future for Caught<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // What the panic leaves half done belongs to this connection and is dropped with it.
        match catch_unwind(AssertUnwindSafe(|| self.work.as_mut().poll(cx))) {
            Ok(progress) => progress,
            Err(panic) => {
                count(&self.metrics);
                log::error("a bug ended a connection", &[("panic", &message(&*panic))]);
                Poll::Ready(())
            }
        }
    }
}

fn count(metrics: &Registry) {
    metrics.counter("moongate_panics_total", "Connections that ended by a bug of the gateway.", &[]).add(1);
}

/// What `panic!` was called with.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_ends_only_its_task() {
        let metrics = Registry::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Caught::new(async { panic!("planted: {}", 7) }, &metrics));
        runtime.block_on(Caught::new(async {}, &metrics));
        assert!(metrics.render().contains("moongate_panics_total 1"));
    }
}
