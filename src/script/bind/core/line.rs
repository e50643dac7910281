//! `core.throttle(options)` and `core.concurrency(options)`: a function of `req` that lets it go, refuses it or waits in a
//! line.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::by::By;
use super::exchange;
use super::limit::seconds;
use super::object::Object;
use crate::primitive::concurrency;
use crate::primitive::concurrency::Concurrency;
use crate::primitive::rate::Rate;
use crate::primitive::throttle;
use crate::primitive::throttle::Throttle;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::live::Kept;
use crate::script::wait;

/// The throttle itself is handed to who waits.
struct Throttles(Arc<Throttle>);

impl Kept for Throttles {
    type Config = throttle::Config;

    fn make(config: throttle::Config) -> Self {
        Self(Arc::new(Throttle::new(config)))
    }

    fn change(&self, config: throttle::Config) {
        self.0.configure(config);
    }
}

/// The same of places.
struct Places(Arc<Concurrency>);

impl Kept for Places {
    type Config = concurrency::Config;

    fn make(config: concurrency::Config) -> Self {
        Self(Arc::new(Concurrency::new(config)))
    }

    fn change(&self, config: concurrency::Config) {
        self.0.configure(config);
    }
}

/// A function of `req` that lets it go, refuses it or waits, and whether the body must be at hand.
pub(super) fn throttle(lua: &Lua, options: Table) -> mlua::Result<(Function, bool)> {
    let rate: Option<String> = options.raw_get(1)?;
    let rate =
        Rate::parse(rate.as_deref().unwrap_or_default()).map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    let config = throttle::Config {
        rate,
        burst: options.raw_get("burst")?,
        max_wait: Duration::from_secs_f64(options.raw_get("max_wait")?),
    };
    let (by, enforce) = (By::read(&options.raw_get("by")?)?, enforced(&options)?);
    let name: Option<String> = options.raw_get("name")?;
    let object = Object::<Throttles>::declare(lua, "throttle", name.as_deref(), &config)?;
    let reads = by.reads();
    let go = wait::maybe(lua, "throttle", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let key = by.bytes(lua, &exchange, &req)?;
        match object.get(lua)?.0.enter(&key, exchange.worker.clock.now()) {
            throttle::Entry::Go => wait::done(),
            throttle::Entry::Waiter(_) if !enforce => wait::done(),
            // The client's going drops the wait, and with it the place.
            throttle::Entry::Waiter(mut waiter) => {
                let clock = exchange.worker.clock.clone();
                Ok(Run::Wait(Box::pin(async move {
                    poll_fn(|cx| waiter.poll(&clock, cx)).await;
                    waiter.take(&clock);
                    Ok(MultiValue::new())
                })))
            }
            throttle::Entry::Full(time) => {
                wait::fail(full(Code::ThrottleFull, "the wait for a turn is too long", time))
            }
        }
    })?;
    Ok((go, reads))
}

/// The same of places.
pub(super) fn concurrency(lua: &Lua, options: Table) -> mlua::Result<(Function, bool)> {
    let config = concurrency::Config { most: options.raw_get(1)?, queue: options.raw_get("queue")? };
    let max_wait = Duration::from_secs_f64(options.raw_get("max_wait")?);
    let (by, enforce) = (By::read(&options.raw_get("by")?)?, enforced(&options)?);
    let whole = options.raw_get::<Value>("by")?.is_nil();
    let name: Option<String> = options.raw_get("name")?;
    let object = Object::<Places>::declare(lua, "concurrency", name.as_deref(), &config)?;
    let reads = by.reads();
    let go = wait::maybe(lua, "concurrency", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let key = if whole { Vec::new() } else { by.bytes(lua, &exchange, &req)? };
        match object.get(lua)?.0.enter(&key) {
            concurrency::Entry::Permit(permit) => {
                exchange.limits.hold(Box::new(permit));
                wait::done()
            }
            concurrency::Entry::Waiter(_) if !enforce => wait::done(),
            concurrency::Entry::Waiter(waiter) => Ok(Run::Wait(Box::pin(async move {
                match exchange.worker.clock.timeout(max_wait, waiter).await {
                    Some(permit) => exchange.limits.hold(Box::new(permit)),
                    None => return wait::fail(busy()),
                }
                Ok(MultiValue::new())
            }))),
            concurrency::Entry::Full => wait::fail(busy()),
        }
    })?;
    Ok((go, reads))
}

fn enforced(options: &Table) -> mlua::Result<bool> {
    Ok(options.raw_get::<Option<bool>>("enforce")?.unwrap_or(true))
}

fn busy() -> Failure {
    full(Code::ConcurrencyFull, "as many requests as allowed are under way", Duration::from_secs(1))
}

fn full(code: Code, detail: &str, wait: Duration) -> Failure {
    Failure::new(code, detail).header("Retry-After", seconds(wait).max(1).to_string())
}
