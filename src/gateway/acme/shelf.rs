//! Where account and certificates are kept: in files of the owner alone, each replaced in one step.

use std::fs;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::fs::TryLockError;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use crate::downstream::listener::Acme;
use crate::primitive::codec::hex_encode;
use crate::primitive::digest::Hash;

/// The files of one certificate.
pub(super) struct Shelf {
    own: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
}

impl Shelf {
    /// In a folder of the authority's below `folder`, made where it is missing.
    pub(super) fn open(folder: &Path, acme: &Acme) -> io::Result<Self> {
        let authority = url::Url::parse(&acme.directory).ok();
        let host = authority.as_ref().and_then(url::Url::host_str).unwrap_or("authority");
        let own = folder.join(format!("{}-{}", tame(host), short(&acme.directory)));
        fs::create_dir_all(&own)?;
        for folder in [folder, &own] {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        let names = acme.domains.join(" ");
        Ok(Self {
            account: own.join(format!("account-{}.json", short(&acme.email))),
            certificate: own.join(format!("{}-{}.pem", tame(&acme.domains[0]), short(&names))),
            own,
        })
    }

    /// The turn to ask the authority, which one process at a time has of all that share the folder; `None`: another has it.
    /// Given back when dropped.
    pub(super) fn turn(&self) -> Option<Turn> {
        let folder = fs::File::open(&self.own).ok();
        match folder.as_ref().map(fs::File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => None,
            // A file system without locks is shared by nobody, or they ask twice.
            _ => Some(Turn { _folder: folder }),
        }
    }

    /// The account, where there is one.
    pub(super) fn account(&self) -> Option<Vec<u8>> {
        fs::read(&self.account).ok()
    }

    pub(super) fn keep_account(&self, credentials: &[u8]) -> io::Result<()> {
        write(&self.account, credentials)
    }

    /// The authority does not know it any more.
    pub(super) fn forget_account(&self) {
        let _ = fs::remove_file(&self.account);
    }

    /// The certificate with its chain and its key, where there is one.
    pub(super) fn certificate(&self) -> Option<String> {
        fs::read_to_string(&self.certificate).ok()
    }

    pub(super) fn keep_certificate(&self, pem: &str) -> io::Result<()> {
        write(&self.certificate, pem.as_bytes())
    }
}

/// A process's turn.
pub(super) struct Turn {
    _folder: Option<fs::File>,
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_added_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

/// Safe in a file's name.
fn tame(name: &str) -> String {
    name.trim_start_matches('.')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' })
        .take(80)
        .collect()
}

/// Tells texts apart.
fn short(text: &str) -> String {
    hex_encode(&Hash::Sha256.digest(text.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::scratch::Scratch;

    fn acme(directory: &str, domains: &[&str]) -> Acme {
        Acme {
            email: "ops@a.dev".into(),
            domains: domains.iter().map(|&name| name.to_owned()).collect(),
            directory: directory.into(),
            ca: None,
            storage: None,
            challenge: None,
        }
    }

    #[test]
    fn what_is_kept_is_the_owners_alone_and_found_again() {
        let folder = Scratch::new();
        let shelf = Shelf::open(folder.path(), &acme("https://ca.dev/dir", &["a.dev", "b.dev"])).unwrap();
        assert!(shelf.account().is_none() && shelf.certificate().is_none());
        for text in ["one", "two"] {
            shelf.keep_certificate(text).unwrap();
            shelf.keep_account(text.as_bytes()).unwrap();
        }
        let again = Shelf::open(folder.path(), &acme("https://ca.dev/dir", &["a.dev", "b.dev"])).unwrap();
        assert_eq!((again.certificate().as_deref(), again.account().as_deref()), (Some("two"), Some(&b"two"[..])));
        for path in [&shelf.account, &shelf.certificate] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let own = shelf.account.parent().unwrap();
        assert_eq!(fs::metadata(own).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(own).unwrap().count(), 2, "nothing half written stays");
    }

    #[test]
    fn one_at_a_time_asks_the_authority() {
        let folder = Scratch::new();
        let shelf = || Shelf::open(folder.path(), &acme("https://ca.dev/dir", &["a.dev"])).unwrap();
        let (one, other) = (shelf(), shelf());
        let turn = one.turn();
        assert!(turn.is_some() && other.turn().is_none());
        drop(turn);
        assert!(other.turn().is_some());
    }

    #[test]
    fn authorities_and_names_are_told_apart() {
        let folder = Scratch::new();
        let one = Shelf::open(folder.path(), &acme("https://ca.dev/dir", &["a.dev"])).unwrap();
        one.keep_certificate("x").unwrap();
        for other in [acme("https://ca.dev/staging", &["a.dev"]), acme("https://ca.dev/dir", &["a.dev", "b.dev"])] {
            assert!(Shelf::open(folder.path(), &other).unwrap().certificate().is_none());
        }
        let bent = Shelf::open(folder.path(), &acme("https://ca.dev/../../x", &["../../etc/passwd"])).unwrap();
        assert!(bent.certificate.starts_with(folder.path()) && !bent.certificate.to_string_lossy().contains("/.."));
    }
}
