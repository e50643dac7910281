//! A store in a file: values are in memory, and what changes is written once a second by a thread of its own.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::store::Config;
use crate::store::Memory;
use crate::store::Value;
use crate::store::journal;
use crate::store::journal::Journal;
use crate::store::journal::Record;
use crate::telemetry::log;

/// Which file: of this name in the state folder, where there is one, else beside the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// As written.
    pub name: String,
    /// The script's folder.
    pub root: PathBuf,
}

impl Place {
    /// The file itself.
    pub fn path(&self, state: Option<&Path>) -> PathBuf {
        state.unwrap_or(&self.root).join(&self.name)
    }
}

/// Values and their file.
pub struct Filed {
    memory: Arc<Memory>,
    journal: Mutex<Journal>,
    clock: Clock,
}

impl Filed {
    /// Opens the file with the values it has, and starts its thread.
    pub fn open(path: &Path, config: Config, clock: &Clock) -> io::Result<Arc<Self>> {
        let (journal, held) = Journal::open(path, MAGIC)?;
        let memory = Arc::new(Memory::new(config));
        for (key, bytes) in held {
            if let (Ok(key), Some((value, due))) = (String::from_utf8(key), read(&bytes, clock)) {
                memory.restore(&key, value, due, clock.now());
            }
        }
        memory.remember_changes();
        let filed = Arc::new(Self { memory, journal: Mutex::new(journal), clock: clock.clone() });
        journal::each_second("store", Arc::downgrade(&filed), Self::flush)?;
        Ok(filed)
    }

    /// The values.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Writes what has changed.
    pub fn flush(&self) {
        // The lock comes first: changes are written in the order they are taken.
        let mut journal = self.journal.lock();
        let now = self.clock.now();
        let record = |(key, held): (String, Option<(Value, Moment)>)| -> Record {
            (key.into_bytes(), held.map_or(Vec::new(), |(value, due)| write(&value, due, &self.clock)))
        };
        let changed: Vec<Record> = self.memory.changed(now).into_iter().map(record).collect();
        let all = || self.memory.all(now).into_iter().map(|(key, held)| record((key, Some(held)))).collect();
        if let Some(error) = journal.keep(&changed, all) {
            log::error("a store cannot be written, and is kept in memory meanwhile", &[("cause", &error)]);
        }
    }
}

impl Drop for Filed {
    fn drop(&mut self) {
        self.flush();
    }
}

/// When it is over (milliseconds since the epoch, the highest number: never), and the value.
fn write(value: &Value, due: Moment, clock: &Clock) -> Vec<u8> {
    let wall = clock.unix() + due.since(clock.now());
    let wall = if due == Moment::NEVER { u64::MAX } else { u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) };
    [wall.to_le_bytes().as_slice(), &value.write()].concat()
}

/// Nothing when it is over, or no value.
fn read(bytes: &[u8], clock: &Clock) -> Option<(Value, Moment)> {
    let (wall, value) = bytes.split_first_chunk::<8>()?;
    let due = match u64::from_le_bytes(*wall) {
        u64::MAX => Moment::NEVER,
        wall => clock.now().after(Duration::from_millis(wall).checked_sub(clock.unix())?),
    };
    Some((Value::read(value), due))
}

/// What its files begin with: those of quotas are others.
const MAGIC: &[u8] = b"moongate store 1\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_times_outlive_the_process() {
        let path = std::env::temp_dir().join(format!("moongate-filed-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let open = |clock: &Clock| Filed::open(&path, Config::default(), clock).unwrap();
        let filed = open(&clock);
        let set = |key: &str, value: Value, seconds: Option<u64>| {
            filed.memory().set(key, value, seconds.map(Duration::from_secs), clock.now()).unwrap();
        };
        set("text", Value::text("5"), None);
        set("short", Value::Int(1), Some(60));
        set("long", Value::Int(2), Some(3600));
        set("gone", Value::Bool(true), None);
        filed.flush();
        filed.memory().delete("gone", clock.now());
        drop(filed);
        let later = Clock::fake(Duration::from_secs(1_800_000_100));
        let again = open(&later);
        let get = |key: &str| again.memory().get(key, later.now());
        assert_eq!((get("text"), get("short"), get("long")), (Some(Value::text("5")), None, Some(Value::Int(2))));
        assert_eq!(get("gone"), None);
        later.advance(Duration::from_secs(3500));
        assert_eq!(get("long"), None, "its time went on while nobody ran");
        drop(again);
        std::fs::remove_file(&path).unwrap();
    }
}
