//! The door to Redis: one connection a server, shared by all workers, looked after by a thread of its own.
//!
//! A call has 25 ms; whoever asks waits for nothing else. Calls that come too late several times in a row, and any
//! failure of the connection, break the circuit: from then on calls fail at once, until the thread has a new connection
//! that answers in time. Nobody's request tries it out.

pub mod address;
mod keep;
pub mod limit;
pub mod remote;
mod script;

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use redis::Cmd;
use redis::FromRedisValue;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::store::Hub;
use crate::store::Subscription;
use crate::store::Value;
use crate::telemetry::log;
pub use address::Address;
pub use remote::Remote;
use script::Script;

/// A server, connected for as long as anybody holds this.
pub struct Line {
    inner: Arc<Inner>,
    runtime: Option<Handle>,
    _stop: watch::Sender<()>,
}

struct Inner {
    address: Address,
    clock: Clock,
    state: watch::Sender<State>,
    /// Answers in a row that did not come in time.
    late: AtomicU32,
    /// Who listens to which channel.
    hub: Hub,
    /// The connection broke, or somebody listens to another channel.
    nudge: Notify,
}

#[derive(Clone)]
enum State {
    /// The first connection is being made: calls wait for it as far as their time goes.
    Joining,
    /// The connection, and which it is.
    Up(u64, MultiplexedConnection),
    /// The circuit is broken.
    Down,
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no connection.
    #[error("{0} is not there")]
    Away(Address),
    /// No answer in time.
    #[error("{0} did not answer within {BUDGET:?}")]
    Late(Address),
    /// It answered with an error.
    #[error("{0} says: {1}")]
    Refused(Address, String),
}

impl Line {
    /// The line to `address`, which is connected in the background.
    pub fn open(address: Address, clock: &Clock) -> Arc<Self> {
        let inner = Arc::new(Inner {
            address,
            clock: clock.clone(),
            state: watch::Sender::new(State::Joining),
            late: AtomicU32::new(0),
            hub: Hub::default(),
            nudge: Notify::new(),
        });
        let (stop, stopped) = watch::channel(());
        let runtime = match start(&inner, stopped) {
            Ok(runtime) => Some(runtime),
            Err(error) => {
                log::error("Redis cannot be used", &[("address", &inner.address), ("cause", &error)]);
                inner.state.send_replace(State::Down);
                None
            }
        };
        Arc::new(Self { inner, runtime, _stop: stop })
    }

    /// Which server.
    pub fn address(&self) -> &Address {
        &self.inner.address
    }

    /// Time as this line knows it.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Runs `task` beside the connection, until the line is closed.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    /// Calls `hear` for each message on `channel`. Messages that are sent while the connection is down are lost.
    pub fn subscribe(&self, channel: &str, hear: impl Fn(&str, &Arc<Value>) + Send + Sync + 'static) -> Subscription {
        let subscription = self.inner.hub.subscribe(channel, hear);
        self.inner.nudge.notify_one();
        subscription
    }

    /// Sends a command, and waits for its answer.
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        self.inner.timed(self.inner.send(command)).await
    }

    /// Runs a script there.
    async fn run<T: FromRedisValue>(&self, script: &Script, fill: impl Fn(&mut Cmd)) -> Result<T, Fault> {
        let work = async {
            match self.inner.send(&script.known(&fill)).await {
                Err(Failure::Redis(_, error)) if error.code() == Some("NOSCRIPT") => {
                    self.inner.send(&script.whole(&fill)).await
                }
                answer => answer,
            }
        };
        self.inner.timed(work).await
    }
}

/// What a call met, before it is known what that means.
enum Failure {
    Away,
    /// Of the connection of this number.
    Redis(u64, RedisError),
}

impl Inner {
    /// `work` within the budget. What it meets may break the circuit.
    async fn timed<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Fault> {
        let number = self.number();
        match self.clock.timeout(BUDGET, work).await {
            Some(Ok(answer)) => {
                if self.late.load(Ordering::Relaxed) > 0 {
                    self.late.store(0, Ordering::Relaxed);
                }
                Ok(answer)
            }
            Some(Err(Failure::Away)) => Err(Fault::Away(self.address.clone())),
            Some(Err(Failure::Redis(number, error))) => Err(self.judge(number, &error)),
            None => {
                let fault = Fault::Late(self.address.clone());
                if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_LATE
                    && let Some(number) = number
                {
                    self.trip(number, &fault);
                }
                Err(fault)
            }
        }
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let (number, mut connection) = self.connection().await.ok_or(Failure::Away)?;
        let answer = connection.send_packed_command(command).await.and_then(redis::Value::extract_error);
        answer.and_then(|answer| Ok(redis::from_redis_value(answer)?)).map_err(|error| Failure::Redis(number, error))
    }

    /// The connection; waits for the first one only.
    async fn connection(&self) -> Option<(u64, MultiplexedConnection)> {
        let mut state = self.state.subscribe();
        loop {
            match &*state.borrow_and_update() {
                State::Up(number, connection) => return Some((*number, connection.clone())),
                State::Down => return None,
                State::Joining => {}
            }
            state.changed().await.ok()?;
        }
    }

    /// What an error means: the server's own leave the connection as it is, unless it can do nothing for us now.
    fn judge(&self, number: u64, error: &RedisError) -> Fault {
        let code = error.code().unwrap_or_default();
        let said = [code, error.detail().unwrap_or_default()].join(" ");
        let ours = matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension);
        if ours && !matches!(code, "READONLY" | "MASTERDOWN" | "LOADING") {
            return Fault::Refused(self.address.clone(), said);
        }
        self.trip(number, &error);
        if ours { Fault::Refused(self.address.clone(), said) } else { Fault::Away(self.address.clone()) }
    }

    /// The number of the connection in use.
    fn number(&self) -> Option<u64> {
        match &*self.state.borrow() {
            State::Up(number, _) => Some(*number),
            _ => None,
        }
    }

    /// Breaks the circuit, if this connection is still the one in use.
    fn trip(&self, number: u64, cause: &dyn std::fmt::Display) {
        let tripped = self.state.send_if_modified(|state| {
            let own = matches!(state, State::Up(own, _) if *own == number);
            if own {
                *state = State::Down;
            }
            own
        });
        if tripped {
            self.late.store(0, Ordering::Relaxed);
            log::warn("Redis is away", &[("address", &self.address), ("cause", cause)]);
            self.nudge.notify_one();
        }
    }
}

/// The thread that keeps the connection.
fn start(inner: &Arc<Inner>, mut stopped: watch::Receiver<()>) -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (handle, inner) = (runtime.handle().clone(), Arc::clone(inner));
    let work = move || {
        runtime.block_on(async {
            let (mut keep, mut stop) = (pin!(keep::keep(inner)), pin!(stopped.changed()));
            poll_fn(|cx| match stop.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => keep.as_mut().poll(cx),
            })
            .await;
        });
    };
    std::thread::Builder::new().name("redis".into()).spawn(work)?;
    Ok(handle)
}

/// What a call may take.
pub const BUDGET: Duration = Duration::from_millis(25);
/// So many late answers in a row break the circuit.
const MOST_LATE: u32 = 5;
