//! The values of one store, in Redis: readable by other programs as text, numbers and JSON under `moongate:NAME:KEY`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::Cmd;

use super::Fault;
use super::Line;
use super::script::Script;
use crate::store::StoreError;
use crate::store::Subscription;
use crate::store::Value;
use crate::store::memory::Change;

/// A store.
pub struct Remote {
    line: Arc<Line>,
    prefix: String,
    ttl: ArcSwapOption<Duration>,
}

impl Remote {
    /// The store `name` at the end of `line`.
    pub fn new(line: Arc<Line>, name: &str, ttl: Option<Duration>) -> Self {
        Self { line, prefix: format!("moongate:{name}:"), ttl: ArcSwapOption::from_pointee(ttl) }
    }

    /// The way there.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Another time to live from now on.
    pub fn configure(&self, ttl: Option<Duration>) {
        self.ttl.store(ttl.map(Arc::new));
    }

    /// The value of `key`.
    pub async fn get(&self, key: &str) -> Result<Option<Value>, StoreError> {
        Ok(self.raw(key).await?.map(|bytes| Value::read(&bytes)))
    }

    /// The same as it is written there, for [`Remote::swap`].
    pub async fn raw(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.line.ask(redis::cmd("GET").arg(self.name(key))).await?)
    }

    /// Puts a value; `ttl` instead of the store's.
    pub async fn set(&self, key: &str, value: &Value, ttl: Option<Duration>) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.name(key)).arg(value.write());
        if let Some(millis) = self.millis(ttl) {
            command.arg("PX").arg(millis);
        }
        Ok(self.line.ask(&command).await?)
    }

    /// Adds to a number, 0 when there is none, and returns the sum. `ttl` counts from when the number began.
    pub async fn incr(&self, key: &str, by: &Value, ttl: Option<Duration>) -> Result<Value, StoreError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("incr.lua")));
        let (name, by, millis) = (self.name(key), by.write(), self.millis(ttl).unwrap_or(0));
        let fill = |command: &mut Cmd| {
            command.arg(1).arg(&name).arg(&by).arg(millis);
        };
        match self.line.run::<Option<Vec<u8>>>(&SCRIPT, fill).await? {
            Some(sum) => Ok(Value::read(&sum)),
            None => Err(StoreError::NotANumber(key.to_owned())),
        }
    }

    /// Makes `change` if the value is still `old`; whether it was made.
    pub async fn swap(
        &self,
        key: &str,
        old: Option<&[u8]>,
        change: &Change,
        ttl: Option<Duration>,
    ) -> Result<bool, StoreError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("swap.lua")));
        let (verb, new) = match change {
            Change::Keep => return Ok(true),
            Change::Set(value) => ("set", value.write()),
            Change::Delete => ("delete", Vec::new()),
        };
        let (name, millis) = (self.name(key), self.millis(ttl).unwrap_or(0));
        let fill = |command: &mut Cmd| {
            command.arg(1).arg(&name).arg(i32::from(old.is_some())).arg(old.unwrap_or_default());
            command.arg(verb).arg(&new).arg(millis);
        };
        Ok(self.line.run(&SCRIPT, fill).await?)
    }

    /// Takes a value out; whether there was one.
    pub async fn delete(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.line.ask(redis::cmd("DEL").arg(self.name(key))).await?)
    }

    /// Keys that begin with `prefix`, sorted, `most` at most. Redis walks over all it has, a thousand a call.
    pub async fn keys(&self, prefix: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let pattern = format!("{}*", escaped(&self.name(prefix)));
        let (mut found, mut cursor, clock) = (BTreeSet::new(), b"0".to_vec(), self.line.clock());
        let due = clock.now().after(LONGEST_WALK);
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
            let (next, page): (Vec<u8>, Vec<Vec<u8>>) = self.line.ask(&command).await?;
            let own = page.iter().filter_map(|name| name.strip_prefix(self.prefix.as_bytes()));
            found.extend(own.map(|key| String::from_utf8_lossy(key).into_owned()));
            if next == b"0" || found.len() >= most {
                return Ok(found.into_iter().take(most).collect());
            }
            if clock.now() > due {
                return Err(Fault::Late(self.line.address().clone()).into());
            }
            cursor = next;
        }
    }

    /// Tells everyone who listens on `channel`, in whatever process; how many connections there were.
    pub async fn publish(&self, channel: &str, value: &Value) -> Result<usize, StoreError> {
        Ok(self.line.ask(redis::cmd("PUBLISH").arg(self.name(channel)).arg(value.write())).await?)
    }

    /// Calls `hear` for each message on `channel`, on the thread that reads the connection.
    pub fn subscribe(&self, channel: &str, hear: impl Fn(&str, &Arc<Value>) + Send + Sync + 'static) -> Subscription {
        let own = channel.to_owned();
        self.line.subscribe(&self.name(channel), move |_, value| hear(&own, value))
    }

    fn name(&self, key: &str) -> String {
        [self.prefix.as_str(), key].concat()
    }

    fn millis(&self, ttl: Option<Duration>) -> Option<u64> {
        let ttl = ttl.or_else(|| self.ttl.load().as_deref().copied())?;
        Some(u64::try_from(ttl.as_millis()).unwrap_or(FOR_EVER).clamp(1, FOR_EVER))
    }
}

/// A text as a pattern that fits it alone.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "*?[]\\^-".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// A walk over a great many keys ends here.
const LONGEST_WALK: Duration = Duration::from_secs(1);
/// A hundred years; Redis takes no more than it can add to the time of day.
const FOR_EVER: u64 = 100 * 365 * 86_400 * 1000;
