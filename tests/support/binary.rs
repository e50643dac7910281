//! The real binary, as a user runs it.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;

use crate::support::client::Client;
use crate::support::temp::Dir;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// The command with an environment of its own.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NO_COLOR", "1");
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command().current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What `moongate run` will be started with.
pub(crate) struct Setup {
    dir: Arc<Dir>,
    script: Option<String>,
    arguments: Vec<String>,
}

/// `moongate run` of this gateway.lua, in a folder of its own.
pub(crate) fn script(text: &str) -> Setup {
    Setup { dir: Arc::new(Dir::new()), script: Some(text.to_owned()), arguments: Vec::new() }
}

impl Setup {
    /// Declares an upstream of this name; appended, so that line numbers stay.
    pub(crate) fn service(mut self, name: &str, service: &Upstream) -> Self {
        let script = self.script.get_or_insert_default();
        *script += &format!("\nupstream \"{name}\" {{ \"{}\" }}", service.address());
        self
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.dir.write(name, text);
        self
    }

    /// In a folder that another run has used, with the files as they lie there.
    pub(crate) fn again(dir: &Arc<Dir>) -> Self {
        Self { dir: Arc::clone(dir), script: None, arguments: Vec::new() }
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.replace("$DIR", &self.dir.path().to_string_lossy()));
        self
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Binary {
        if let Some(script) = &self.script {
            self.dir.write("gateway.lua", script);
        }
        let mut child = command()
            .current_dir(self.dir.path())
            .args(["run", "gateway.lua", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = Arc::new(Mutex::new(String::new()));
        let readers = [gather(child.stdout.take().unwrap(), &text), gather(child.stderr.take().unwrap(), &text)];
        let mut binary = Binary { child, text, readers: readers.into(), dir: self.dir, address: None, admin: None };
        binary.find_addresses();
        binary
    }
}

/// A process that serves until it is dropped.
pub(crate) struct Binary {
    child: Child,
    text: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    dir: Arc<Dir>,
    address: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Binary {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it listens")
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn admin(&self) -> Client {
        Client::connect(self.admin_address()).host("localhost")
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.expect("an admin listener")
    }

    pub(crate) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// Everything it has written so far, both streams.
    pub(crate) fn output(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Waits until `what` was written.
    #[track_caller]
    pub(crate) fn logs(&self, what: &str) {
        let watch = wait::Stopwatch::start();
        while !self.output().contains(what) {
            assert!(watch.elapsed() < wait::PATIENCE, "{what:?} was never written:\n{}", self.output());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; the exit code.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = wait::find("the process ends", || self.child.try_wait().unwrap());
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        status.code()
    }

    /// Whether it still runs.
    pub(crate) fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Memory of the process in bytes.
    pub(crate) fn memory(&self) -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    fn find_addresses(&mut self) {
        let watch = wait::Stopwatch::start();
        loop {
            let output = self.output();
            let found = |line: &str| line.rsplit_once("://").and_then(|(_, rest)| address_at(rest));
            self.admin = output.lines().filter(|line| line.contains("admin")).find_map(found);
            self.address = output.lines().filter(|line| !line.contains("admin")).find_map(found);
            if self.address.is_some() && self.admin.is_some() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
                panic!("it ended with {status}:\n{}", self.output());
            }
            assert!(watch.elapsed() < wait::PATIENCE, "it does not say where it listens:\n{output}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- what the gateway wrote ---\n{}", self.output());
        }
    }
}

fn address_at(rest: &str) -> Option<SocketAddr> {
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Adds each line of `stream` to `text` as it comes.
pub(crate) fn gather(stream: impl Read + Send + 'static, text: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let text = Arc::clone(text);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let mut text = text.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    })
}
