//! A file that remembers values under keys: changes are appended, each with its checksum; a broken tail is cut off.

use std::collections::HashMap;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;

/// A key and what it holds; nothing: the key is gone.
pub type Record = (Vec<u8>, Vec<u8>);

/// The file, open at its end.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes in it.
    length: u64,
    /// Bytes it had when it was last written anew.
    least: u64,
    /// The last write went wrong.
    failing: bool,
    /// What it begins with.
    magic: &'static [u8],
}

impl Journal {
    /// Opens or makes the file at `path`, which begins with `magic`; with what it holds. Other files are refused.
    #[allow(clippy::type_complexity, reason = "a journal and its records, taken apart at once")]
    pub fn open(path: &Path, magic: &'static [u8]) -> io::Result<(Self, HashMap<Vec<u8>, Vec<u8>>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let begun = bytes.len().min(magic.len());
        if bytes[..begun] != magic[..begun] {
            let said = format!("`{}` is not a file that this gateway wrote", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        let (mut held, mut sound) = (HashMap::new(), magic.len());
        while let Some((record, size)) = bytes.get(sound..).and_then(read) {
            sound += size;
            let (key, value) = record;
            if value.is_empty() {
                held.remove(&key)
            } else {
                held.insert(key, value)
            };
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if bytes.len() < magic.len() {
            file.set_len(0)?;
            file.write_all(magic)?;
        } else {
            file.set_len(sound as u64)?;
        }
        let length = sound as u64;
        Ok((Self { path: path.to_owned(), file, length, least: length, failing: false, magic }, held))
    }

    /// Writes what changed; after a failure, and once most of the file is history, everything. An error is told once.
    pub fn keep(&mut self, changed: &[Record], all: impl FnOnce() -> Vec<Record>) -> Option<io::Error> {
        if changed.is_empty() && !self.failing {
            return None;
        }
        // After a failure nobody knows what is missing.
        let done = if self.failing || self.is_long() { self.rewrite(&all()) } else { self.append(changed) };
        let before = std::mem::replace(&mut self.failing, done.is_err());
        done.err().filter(|_| !before)
    }

    /// Adds these, and sees to it that they are on the disk.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let bytes: Vec<u8> = records.iter().flat_map(framed).collect();
        if let Err(error) = self.file.write_all(&bytes).and_then(|()| self.file.sync_data()) {
            // Half a record would hide those after it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Whether most of the file is history.
    pub fn is_long(&self) -> bool {
        self.length > 4 * self.least.max(LEAST)
    }

    /// Writes it anew with these alone: the old file stands until the new one is complete.
    pub fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        let mut other = self.path.clone().into_os_string();
        other.push(".new");
        let mut file = File::create(&other)?;
        let mut bytes = self.magic.to_vec();
        records.iter().for_each(|record| bytes.extend(framed(record)));
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&other, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.length, self.least) = (bytes.len() as u64, bytes.len() as u64);
        Ok(())
    }
}

/// Calls `write` once a second on a thread of its own, for as long as `owner` lives: a process that is killed loses a second.
pub fn each_second<T: Send + Sync + 'static>(name: &str, owner: Weak<T>, write: fn(&T)) -> io::Result<()> {
    let work = move || {
        let pause = (Mutex::new(()), Condvar::new());
        loop {
            pause.1.wait_for(&mut pause.0.lock(), EVERY);
            let Some(owner) = owner.upgrade() else { return };
            write(&owner);
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Length of key and value, checksum of the rest, key, value.
fn framed((key, value): &Record) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = Vec::with_capacity(12 + key.len() + value.len());
    body.extend(size(key));
    body.extend(size(value));
    body.extend([0; 4]);
    body.extend(key);
    body.extend(value);
    let sum = sum(&body);
    body[8..12].copy_from_slice(&sum.to_le_bytes());
    body
}

/// The first record and its size, if it is whole.
fn read(bytes: &[u8]) -> Option<(Record, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (key, value, wanted) = (number(0)? as usize, number(4)? as usize, number(8)?);
    let end = 12usize.checked_add(key)?.checked_add(value)?;
    let whole = bytes.get(..end)?;
    let mut cleared = whole.to_vec();
    cleared[8..12].fill(0);
    (sum(&cleared) == wanted).then(|| ((whole[12..12 + key].to_vec(), whole[12 + key..].to_vec()), end))
}

fn sum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// How long a change may be only in memory.
const EVERY: Duration = Duration::from_secs(1);
/// Below so many bytes nobody tidies up.
const LEAST: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &[u8] = b"moongate test 1\n";

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("moongate-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn record(key: &str, value: &str) -> Record {
        (key.into(), value.into())
    }

    #[test]
    fn what_was_appended_is_there_again_however_the_file_ends() {
        let path = path("tail");
        let (mut journal, held) = Journal::open(&path, MAGIC).unwrap();
        assert!(held.is_empty());
        journal.append(&[record("a", "1"), record("b", "2")]).unwrap();
        journal.append(&[record("a", "3"), record("b", "")]).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        let a = |held: HashMap<Vec<u8>, Vec<u8>>| held.get(b"a".as_slice()).cloned().unwrap_or_default();
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (mut journal, held) = Journal::open(&path, MAGIC).unwrap();
            let seen = a(held);
            assert!(matches!(seen.as_slice(), b"" | b"1" | b"3"), "cut at {end}");
            journal.append(&[record("a", "9")]).unwrap();
            drop(journal);
            assert_eq!(a(Journal::open(&path, MAGIC).unwrap().1), b"9", "goes on after a cut at {end}");
        }
        for flipped in MAGIC.len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[flipped] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let seen = a(Journal::open(&path, MAGIC).unwrap().1);
            assert!(matches!(seen.as_slice(), b"" | b"1" | b"3"), "flipped at {flipped}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn it_is_written_anew_when_most_of_it_is_history() {
        let path = path("long");
        let (mut journal, _) = Journal::open(&path, MAGIC).unwrap();
        let value = "x".repeat(1000);
        while !journal.is_long() {
            journal.append(&[record("a", &value)]).unwrap();
        }
        journal.rewrite(&[record("a", "last")]).unwrap();
        journal.append(&[record("b", "more")]).unwrap();
        drop(journal);
        assert!(std::fs::metadata(&path).unwrap().len() < 200);
        assert_eq!(Journal::open(&path, MAGIC).unwrap().1.len(), 2);
        assert!(Journal::open(&path, b"moongate other 1\n").is_err(), "what another wrote is left alone too");
        std::fs::write(&path, "something else").unwrap();
        assert!(Journal::open(&path, MAGIC).is_err(), "a file of somebody else is left alone");
        std::fs::remove_file(&path).unwrap();
    }
}
