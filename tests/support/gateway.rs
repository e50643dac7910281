//! A gateway inside the test's own process, on a port of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use moongate::clock::Clock;
use moongate::gateway::AdminOption;
use moongate::gateway::Options;
use moongate::gateway::Running;
use moongate::gateway::StartError;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::temp::Dir;
use crate::support::upstream::Upstream;

/// What a gateway will be started with.
pub(crate) struct Setup {
    dir: Dir,
    folder: Option<PathBuf>,
    own_admin: bool,
    own_listen: bool,
    script: String,
    clock: Clock,
    workers: usize,
    watch: bool,
    dev: bool,
    env: Vec<(String, String)>,
}

/// A gateway for this gateway.lua.
pub(crate) fn script(text: &str) -> Setup {
    Setup {
        dir: Dir::new(),
        folder: None,
        own_admin: false,
        own_listen: false,
        script: text.to_owned(),
        clock: Clock::real(),
        workers: 1,
        watch: false,
        dev: false,
        env: Vec::new(),
    }
}

/// A gateway that passes everything on to `service`.
pub(crate) fn before(service: &Upstream) -> Gateway {
    script(r#"route "/{rest*}" { to = "service" }"#).service("service", service).start()
}

impl Setup {
    /// Declares an upstream of this name; appended, so that line numbers stay.
    pub(crate) fn service(mut self, name: &str, service: &Upstream) -> Self {
        self.script += &format!("\nupstream \"{name}\" {{ \"{}\" }}", service.address());
        self
    }

    /// Replaces a mark in the script.
    pub(crate) fn with(mut self, mark: &str, value: impl std::fmt::Display) -> Self {
        self.script = self.script.replace(mark, &value.to_string());
        self
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// A further file beside gateway.lua.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.dir.write(name, text);
        self
    }

    /// Time stands still until the test turns `clock`.
    pub(crate) fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Runs the gateway.lua that lies in this folder already.
    pub(crate) fn folder(mut self, dir: &Dir) -> Self {
        self.folder = Some(dir.path().to_owned());
        self
    }

    /// The admin listener as the script declares it.
    pub(crate) fn admin_of_the_script(mut self) -> Self {
        self.own_admin = true;
        self
    }

    /// The listeners as the script declares them.
    pub(crate) fn listeners_of_the_script(mut self) -> Self {
        self.own_listen = true;
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    pub(crate) fn watch(mut self) -> Self {
        self.watch = true;
        self
    }

    pub(crate) fn dev(mut self) -> Self {
        self.dev = true;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it; a script that does not load fails the test with its diagnostics.
    #[track_caller]
    pub(crate) fn start(self) -> Gateway {
        match self.try_start() {
            Ok(gateway) => gateway,
            Err(error) => panic!("the gateway did not start:\n{error}"),
        }
    }

    /// Starts it, or says why not.
    pub(crate) fn try_start(self) -> Result<Gateway, String> {
        let file = match &self.folder {
            Some(folder) => folder.join("gateway.lua"),
            None => self.dir.write("gateway.lua", &self.script),
        };
        let mut options = Options::new(file);
        options.listen = (!self.own_listen).then(|| vec![local()]);
        options.admin = if self.own_admin { AdminOption::Script } else { AdminOption::At(local()) };
        options.secrets = Some(self.dir.join("secrets"));
        options.workers = self.workers;
        options.watch = self.watch;
        options.dev = self.dev;
        options.clock = self.clock.clone();
        options.env.extend(self.env.iter().cloned());
        match moongate::gateway::start(options) {
            Ok(running) => Ok(Gateway { running: Some(running), setup: self }),
            Err(StartError::Script(faults)) => Err(faults.render(false)),
            Err(other) => Err(other.to_string()),
        }
    }
}

/// A gateway that serves until it is dropped.
pub(crate) struct Gateway {
    running: Option<Running>,
    setup: Setup,
}

impl Gateway {
    fn running(&self) -> &Running {
        self.running.as_ref().expect("a gateway that runs")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().addresses()[0]
    }

    /// All of them.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.running().addresses()
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// A connection to its admin listener.
    pub(crate) fn admin(&self) -> Client {
        Client::connect(self.running().admin().expect("an admin listener")).host("localhost")
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.running().admin().expect("an admin listener")
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.client().get(target)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.client().call(method, target, headers, body)
    }

    /// These bytes on a connection of their own, and the answer to them.
    #[track_caller]
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.client();
        client.send(bytes);
        client.answer()
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Dir {
        &self.setup.dir
    }

    /// Writes gateway.lua anew (marks and services kept) without asking for a reload.
    pub(crate) fn save(&self, text: &str) {
        let services = self.setup.script.lines().filter(|line| line.starts_with("upstream \"")).collect::<Vec<_>>();
        self.setup.dir.replace("gateway.lua", format!("{text}\n{}", services.join("\n")));
    }

    /// Writes gateway.lua anew and reloads it.
    pub(crate) fn edit(&self, text: &str) -> Result<u64, String> {
        self.save(text);
        self.running().reload()
    }

    pub(crate) fn reload(&self) -> Result<u64, String> {
        self.running().reload()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.running().generation()
    }

    /// The value of a series on `/metrics`, by the start of its line up to the space; 0 when absent.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = self.admin().get("/metrics");
        let line = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Begins a graceful stop; returns when it is over.
    pub(crate) fn stop(mut self) {
        self.running.take().expect("a gateway that runs").stop();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let page = running
            .admin()
            .filter(|_| !std::thread::panicking())
            .map(|admin| Client::connect(admin).host("localhost").get("/metrics"));
        running.kill();
        if let Some(page) = page {
            assert!(!page.text().contains("moongate_panics_total"), "a bug ended a connection; the log says which");
        }
    }
}

fn local() -> moongate::downstream::Listen {
    moongate::downstream::Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}
