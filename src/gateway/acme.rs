//! Certificates by ACME (RFC 8555): asked for, kept and renewed beside the traffic. Whatever goes wrong, the old one stays.

mod client;
mod jws;
mod order;
mod session;
mod shelf;
mod timing;

use std::cell::Cell;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;

use crate::downstream::Listen;
use crate::downstream::Listener;
use crate::downstream::certs::Pair;
use crate::downstream::issued::Issued;
use crate::downstream::listener::Acme;
use crate::downstream::listener::Challenge;
use crate::downstream::listener::Pem;
use crate::downstream::listener::Source;
use crate::gateway::expiry;
use crate::net::Certificate;
use crate::proxy::Worker;
use crate::telemetry::log;
use client::Client;
use session::Session;
use session::Trouble;
use shelf::Shelf;

/// The certificates of every `acme = { … }`; they outlive reloads.
pub(super) struct Keeper {
    worker: Rc<Worker>,
    /// `acme` below the state directory.
    folder: Option<PathBuf>,
    kept: RefCell<Vec<Kept>>,
    /// Whether a listener speaks clear text, where proofs may be asked for.
    clear: Rc<Cell<bool>>,
}

/// One of them.
struct Kept {
    job: Rc<Job>,
    task: Option<JoinHandle<()>>,
}

/// What it takes to get a certificate.
struct Job {
    acme: Acme,
    issued: Arc<Issued>,
    shelf: Shelf,
    worker: Rc<Worker>,
    clear: Rc<Cell<bool>>,
    /// How long the authority wants to be left alone, as it said last.
    patience: Rc<Cell<Duration>>,
}

impl Keeper {
    /// Keeps certificates below `state` where a script does not say otherwise.
    pub(super) fn new(worker: Rc<Worker>, state: Option<PathBuf>) -> Self {
        let folder = state.map(|state| state.join("acme"));
        Self { worker, folder, kept: RefCell::default(), clear: Rc::default() }
    }

    /// Takes what is kept of the certificates that `listeners` want off the shelf.
    pub(super) fn prepare(&self, listeners: &[Listener]) -> Result<(), String> {
        for acme in wanted(listeners) {
            if self.find(acme).is_some() {
                continue;
            }
            let folder = acme.storage.as_ref().or(self.folder.as_ref()).ok_or(
                "tls.acme has nowhere to keep account and certificates; \
                 write storage = \"acme\", or start with --state DIR",
            )?;
            let shelf = Shelf::open(folder, acme)
                .map_err(|error| format!("tls.acme cannot keep certificates in {}: {error}", folder.display()))?;
            let job = Job {
                acme: acme.clone(),
                issued: Arc::default(),
                shelf,
                worker: Rc::clone(&self.worker),
                clear: Rc::clone(&self.clear),
                patience: Rc::default(),
            };
            job.take_from_shelf();
            self.kept.borrow_mut().push(Kept { job: Rc::new(job), task: None });
        }
        Ok(())
    }

    /// The certificate of `acme`, now and whenever there is a new one.
    pub(super) fn issued(&self, acme: &Acme) -> Arc<Issued> {
        self.find(acme).unwrap_or_default()
    }

    /// From now on exactly the certificates of `listeners` are looked after.
    pub(super) fn settle(&self, listeners: &[Listener]) {
        let wanted = wanted(listeners);
        self.clear
            .set(listeners.iter().any(|listener| listener.tls.is_none() && matches!(listener.at, Listen::Tcp(_))));
        self.kept.borrow_mut().retain_mut(|kept| {
            if !wanted.contains(&&kept.job.acme) {
                if let Some(task) = kept.task.take() {
                    task.abort();
                }
                return false;
            }
            kept.task.get_or_insert_with(|| spawn_local(Rc::clone(&kept.job).keep()));
            true
        });
    }

    fn find(&self, acme: &Acme) -> Option<Arc<Issued>> {
        let kept = self.kept.borrow();
        kept.iter().find(|kept| kept.job.acme == *acme).map(|kept| Arc::clone(&kept.job.issued))
    }
}

fn wanted(listeners: &[Listener]) -> Vec<&Acme> {
    let mut wanted = Vec::new();
    for entry in listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.entries) {
        if let Source::Acme(acme) = &entry.source
            && !wanted.contains(&acme)
        {
            wanted.push(acme);
        }
    }
    wanted
}

impl Job {
    /// Waits until a certificate is due and gets it, for ever.
    async fn keep(self: Rc<Self>) {
        let mut failures = 0;
        loop {
            self.until_due().await;
            let Some(turn) = self.shelf.turn() else {
                self.worker.clock.sleep(TURN).await;
                continue;
            };
            // Who had it before may have got what we are about to ask for.
            if self.take_from_shelf() {
                continue;
            }
            self.patience.set(Duration::ZERO);
            let trying = Box::pin(self.attempt());
            let result = self.worker.clock.timeout(LONGEST, trying).await;
            drop(turn);
            self.issued.forget();
            match result.unwrap_or_else(|| Err("the authority takes too long".to_owned())) {
                Ok(leaf) => {
                    failures = 0;
                    self.count("ok");
                    log::info("a certificate was issued", &[("name", &leaf.title()), ("until", &leaf.not_after)]);
                    self.worker.clock.sleep(REST).await;
                }
                Err(cause) => {
                    failures += 1;
                    let wait = timing::back_off(failures, self.worker.chance());
                    let wait = wait.max(self.patience.get());
                    self.count("failed");
                    self.complain(&cause, wait);
                    self.worker.clock.sleep(wait).await;
                }
            }
        }
    }

    fn complain(&self, cause: &str, wait: Duration) {
        let names = self.acme.domains.join(", ");
        let message = match self.issued.leaf() {
            Some(_) => "no new certificate, the old one stays",
            None => "no certificate yet",
        };
        log::error(message, &[("names", &names), ("cause", &cause), ("again in seconds", &wait.as_secs())]);
    }

    fn count(&self, result: &str) {
        let help = "Attempts to get a certificate from its authority, by how they ended.";
        let labels = [("name", self.acme.domains[0].as_str()), ("result", result)];
        self.worker.metrics.counter("moongate_acme_attempts_total", help, &labels).add(1);
    }

    /// Ready when there is no certificate, or when it is time for the next.
    async fn until_due(&self) {
        while let Some(leaf) = self.issued.leaf() {
            let due = self.due(&leaf).await;
            let left = due.saturating_sub(self.now());
            let Some(left) = u64::try_from(left).ok().filter(|&left| left > 0) else { return };
            self.worker.clock.sleep(LOOK.min(Duration::from_secs(left))).await;
            // Another process that shares the folder may have been there first.
            self.take_from_shelf();
        }
    }

    /// When the authority wants it renewed (RFC 9773), else after two thirds of its time.
    async fn due(&self, leaf: &Certificate) -> i64 {
        let usual = timing::due(leaf.not_before, leaf.not_after);
        if usual <= self.now() {
            return usual;
        }
        let asking = Box::pin(self.suggested(leaf));
        let window = self.worker.clock.timeout(LONGEST, asking).await.and_then(Result::ok).flatten();
        window.map_or(usual, |(start, end)| timing::within(start, end, &leaf.sha256).min(timing::last(leaf)))
    }

    async fn suggested(&self, leaf: &Certificate) -> Result<Option<(i64, i64)>, Trouble> {
        // Whoever has no account yet has nothing issued by this authority.
        let (Some(kept), Some(id)) = (self.shelf.account(), leaf.renewal_id()) else { return Ok(None) };
        let session = Session::known(self.client(), &self.acme.directory, &kept).await?;
        let info: Option<Renewal> = session.renewal(&id).await?;
        Ok(info.map(|info| {
            let window = info.suggested_window;
            (window.start.0, window.end.0)
        }))
    }

    /// One order from its beginning to the certificate in force.
    async fn attempt(&self) -> Result<Arc<Certificate>, String> {
        let session = self.session().await.map_err(|trouble| trouble.to_string())?;
        let replaced = self.issued.leaf().and_then(|leaf| leaf.renewal_id());
        let how = match (self.acme.challenge, self.clear.get()) {
            (Some(how), _) => how,
            (None, true) => Challenge::Http,
            (None, false) => Challenge::TlsAlpn,
        };
        let clock = &self.worker.clock;
        let ordered = order::order(&session, &self.acme.domains, how, &self.issued, clock, replaced).await;
        let pem = ordered.map_err(|trouble| {
            if matches!(&trouble, Trouble::Refused(problem) if problem.is("accountDoesNotExist")) {
                self.shelf.forget_account();
            }
            trouble.to_string()
        })?;
        let pem = Pem::new(pem);
        let pair = self.usable(&pem)?;
        self.shelf.keep_certificate(pem.as_str()).map_err(|error| format!("it cannot be kept: {error}"))?;
        Ok(self.install(pair))
    }

    async fn session(&self) -> Result<Session, Trouble> {
        if let Some(kept) = self.shelf.account() {
            return Session::known(self.client(), &self.acme.directory, &kept).await;
        }
        let session = Session::new(self.client(), &self.acme.directory, &self.acme.email).await?;
        let kept = self.shelf.keep_account(&session.to_be_kept());
        kept.map_err(|error| Trouble::Failed(format!("the account cannot be kept: {error}")))?;
        Ok(session)
    }

    fn client(&self) -> Client {
        Client::new(&self.acme, Rc::clone(&self.worker), Rc::clone(&self.patience))
    }

    /// What lies on the shelf is in force from now on, if it is newer and can be used; whether it was.
    fn take_from_shelf(&self) -> bool {
        let Some(text) = self.shelf.certificate() else { return false };
        match self.usable(&Pem::new(text)) {
            Ok(pair) if self.issued.leaf().is_none_or(|leaf| leaf.not_after < pair.leaf.not_after) => {
                self.install(pair);
                true
            }
            Ok(_) => false,
            Err(cause) => {
                log::warn("a certificate that was kept cannot be used", &[("cause", &cause)]);
                false
            }
        }
    }

    /// Certificate and key in one text, for all the names.
    fn usable(&self, pem: &Pem) -> Result<Pair, String> {
        let pair = Pair::new(pem, pem).map_err(|(_, message, _)| message)?;
        let missing = self.acme.domains.iter().find(|name| !pair.leaf.hosts().any(|host| host == *name));
        match missing {
            Some(name) => Err(format!("it is not for {name}")),
            None if pair.leaf.not_after <= self.now() => Err("its time is over".to_owned()),
            None => Ok(pair),
        }
    }

    fn install(&self, pair: Pair) -> Arc<Certificate> {
        let leaf = Arc::new(pair.leaf.clone());
        self.issued.install(pair);
        expiry::show(&self.worker.metrics, leaf.title(), leaf.not_after);
        leaf
    }

    fn now(&self) -> i64 {
        i64::try_from(self.worker.clock.unix().as_secs()).unwrap_or(i64::MAX)
    }
}

/// When an authority wants a certificate renewed (RFC 9773 §4.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewal {
    suggested_window: Window,
}

#[derive(Deserialize)]
struct Window {
    start: Instant,
    end: Instant,
}

/// A date and time as RFC 3339 writes them.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Instant(i64);

impl TryFrom<String> for Instant {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|time| Self(time.as_second()))
    }
}

/// How often the authority and the shelf are looked at.
const LOOK: Duration = Duration::from_secs(6 * 3600);
/// After one that was issued: an authority that wants each renewed at once is not obeyed at once.
const REST: Duration = Duration::from_secs(3600);
/// Before it is asked again whether another process has had its turn.
const TURN: Duration = Duration::from_secs(5);
/// For one attempt.
const LONGEST: Duration = Duration::from_secs(600);
