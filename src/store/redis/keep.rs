//! Keeps one connection: makes it, listens on it, sees when it is gone, makes another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::IntoConnectionInfo;
use redis::ProtocolVersion;
use redis::PushInfo;
use redis::PushKind;
use redis::RedisError;
use redis::aio::MultiplexedConnection;

use super::BUDGET;
use super::Inner;
use super::State;
use crate::store::Value;
use crate::telemetry::log;

/// For ever.
pub(super) async fn keep(inner: Arc<Inner>) {
    let (mut pause, mut told) = (LEAST, false);
    for number in 1.. {
        let clock = &inner.clock;
        let joined = clock.timeout(PATIENCE, join(&inner, number)).await;
        match joined.unwrap_or_else(|| Err(format!("no answer within {PATIENCE:?}"))) {
            Ok(connection) => {
                log::info("Redis is there", &[("address", &inner.address)]);
                let began = clock.now();
                inner.state.send_replace(State::Up(number, connection.clone()));
                serve(&inner, number, connection).await;
                (pause, told) = (if clock.now().since(began) < STEADY { pause } else { LEAST }, false);
            }
            Err(cause) => {
                inner.state.send_replace(State::Down);
                if !std::mem::replace(&mut told, true) {
                    log::warn("Redis is away", &[("address", &inner.address), ("cause", &cause)]);
                }
            }
        }
        clock.sleep(pause).await;
        pause = (pause * 2).min(MOST);
    }
}

/// A connection that answers in time.
async fn join(inner: &Arc<Inner>, number: u64) -> Result<MultiplexedConnection, String> {
    let said = |error: RedisError| error.to_string();
    let info = inner.address.reveal().into_connection_info().map_err(said)?;
    // Messages come on the connection itself.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    // A small command that waits for the acknowledgement of the one before (40 ms) would be too late.
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let client = Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp)).map_err(said)?;
    let hearing = Arc::downgrade(inner);
    let hear = move |info: PushInfo| {
        if let Some(inner) = hearing.upgrade() {
            heard(&inner, number, &info);
        }
        Ok::<(), ()>(())
    };
    // Time is measured by whoever calls.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE)
        .set_push_sender(hear);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(said)?;
    let ping = redis::cmd("PING");
    match inner.clock.timeout(BUDGET, connection.send_packed_command(&ping)).await {
        Some(Ok(_)) => Ok(connection),
        Some(Err(error)) => Err(said(error)),
        None => Err(format!("a ping took longer than {BUDGET:?}")),
    }
}

/// Until the connection is no longer in use.
async fn serve(inner: &Inner, number: u64, mut connection: MultiplexedConnection) {
    let mut heard = BTreeSet::new();
    while inner.number() == Some(number) {
        let wanted = inner.hub.channels();
        let work = async {
            for channel in wanted.difference(&heard) {
                connection.subscribe(&**channel).await?;
            }
            for channel in heard.difference(&wanted) {
                connection.unsubscribe(&**channel).await?;
            }
            connection.send_packed_command(&redis::cmd("PING")).await.map(drop)
        };
        match inner.clock.timeout(PATIENCE, work).await {
            Some(Ok(())) => heard = wanted,
            Some(Err(error)) => inner.trip(number, &error),
            None => inner.trip(number, &format!("no answer within {PATIENCE:?}")),
        }
        if inner.number() == Some(number) {
            inner.clock.timeout(BEAT, inner.nudge.notified()).await;
        }
    }
}

/// What Redis tells of itself.
fn heard(inner: &Inner, number: u64, info: &PushInfo) {
    match (&info.kind, info.data.as_slice()) {
        (PushKind::Disconnection, _) => inner.trip(number, &"the connection was closed"),
        (PushKind::Message, [redis::Value::BulkString(channel), redis::Value::BulkString(value)]) => {
            inner.hub.publish(&String::from_utf8_lossy(channel), Value::read(value));
        }
        _ => {}
    }
}

/// Longest time for making a connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// A connection on which nothing happens is tried so often.
const BEAT: Duration = Duration::from_secs(10);
/// Pauses between attempts.
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(5);
/// What held for so long was no failure.
const STEADY: Duration = Duration::from_secs(5);
/// Commands on their way to the connection; who finds no room waits.
const QUEUE: usize = 1024;
