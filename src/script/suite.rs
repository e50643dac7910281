//! Tests in Lua beside a gateway.lua: what they may call, and how they run. What they run against is a [`Stage`].

mod answer;
mod asked;
mod gw;
mod mock;
mod run;
mod socket;
mod under_way;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Map;
use serde_json::Value;

use crate::plan::Place;
use crate::proxy::watch::Trod;
use crate::proxy::websocket::Caller;
use crate::proxy::websocket::Close;
use crate::proxy::websocket::Message;
use crate::telemetry::log;

pub use run::Failed;
pub use run::Outcome;
pub use run::SEED;
pub use run::Suite;
pub use run::Test;

/// A gateway without sockets, as a test sees it. Every call runs to its end: time jumps while nothing else can happen.
pub trait Stage {
    /// Sends a request and waits for the whole answer; an error is the test's fault, or the gateway's in a way no client
    /// could be told.
    fn ask(&self, asked: Asked) -> Result<Answered, String>;

    /// Sends a request and returns at once, with a number for [`Stage::finish`]: what can happen while time stands has
    /// happened by then.
    fn start(&self, asked: Asked) -> Result<Ticket, String>;

    /// Whether the answer is there.
    fn is_done(&self, ticket: Ticket) -> bool;

    /// Waits for the whole answer to a request that was started, once.
    fn finish(&self, ticket: Ticket) -> Result<Answered, String>;

    /// Asks for a WebSocket: what the handshake came to, and the socket when it was answered 101.
    fn open(&self, asked: Asked) -> Result<(Answered, Option<Socket>), String>;

    /// Lets things happen until `until` holds, whether it does: no longer than `within`, else as long as anything is under
    /// way.
    fn wait(&self, until: &dyn Fn() -> bool, within: Option<Duration>) -> Result<bool, String>;

    /// `stand_in` answers for this upstream from now on.
    fn mock(&self, upstream: &str, stand_in: StandIn) -> Result<(), String>;

    /// No host of this upstream (or not this one) can be connected to from now on; `false`: they can again.
    fn down(&self, upstream: &str, host: Option<&str>, down: bool) -> Result<(), String>;

    /// Turns the clock, running what is due on the way.
    fn advance(&self, by: Duration) -> Result<(), String>;

    /// A token that the gateway takes.
    fn token(&self, claims: Map<String, Value>) -> Result<String, String>;

    /// Forgets stored answers by tag; how many spaces of the cache were told.
    fn purge(&self, tag: &str) -> usize;

    /// The sum of a metric's series that have these labels; `None` when there is none.
    fn metric(&self, name: &str, labels: &[(String, String)]) -> Option<f64>;

    /// What was logged so far.
    fn logs(&self) -> Vec<log::Entry>;

    /// What went wrong beside a request, if anything did.
    fn trouble(&self) -> Option<String>;
}

/// Stands for a request under way.
pub type Ticket = u16;

/// A test's end of a WebSocket.
#[derive(Clone)]
pub struct Socket {
    /// Speaks.
    pub caller: Rc<Caller>,
    /// What was said to it and not yet received.
    pub heard: Rc<RefCell<VecDeque<Message>>>,
}

/// A request that a test sends.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// A path with or without query, or a whole URL.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Where it comes from; 127.0.0.1 unless told otherwise.
    pub ip: Option<IpAddr>,
    /// As whom it passes the steps that ask who is calling.
    pub user: Option<Value>,
    /// `req.key`
    pub key: Option<String>,
}

/// What came back, and how it came to be.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// The body broke off.
    pub cut: bool,
    /// Name, pattern and place of the route.
    pub route: Option<(String, String, Place)>,
    /// The steps it met, in their order.
    pub steps: Vec<Trod>,
    /// The upstream asked last.
    pub upstream: Option<String>,
    /// The host asked last.
    pub host: Option<String>,
    /// How many attempts were made at services.
    pub attempts: u32,
    /// The code of the failure, if the answer is one.
    pub code: Option<String>,
    /// What the operator is told of it.
    pub cause: Option<String>,
    /// `upstream`, `cache`, `step` or `error`.
    pub from: &'static str,
    /// On the clock of the test.
    pub took: Duration,
}

/// A request as a stand-in sees it.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The upstream it was sent to.
    pub upstream: String,
    /// The host of it.
    pub at: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, as it stands in the target.
    pub query: Option<String>,
    /// The Host field.
    pub host: String,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// What a stand-in answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body, in the pieces it comes in.
    pub pieces: Vec<Bytes>,
    /// Between two pieces.
    pub every: Duration,
    /// Before the answer.
    pub delay: Duration,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Instead of an answer: who takes the WebSocket that is asked for.
    pub attendant: Option<Attendant>,
}

impl Reply {
    /// This status at once, and nothing else.
    pub fn status(status: u16) -> Self {
        let (headers, pieces) = (Vec::new(), Vec::new());
        Self { status, headers, pieces, every: Duration::ZERO, delay: Duration::ZERO, fault: None, attendant: None }
    }
}

/// Whoever sits at a service's end of a WebSocket; an error is the test's fault.
#[derive(Clone)]
pub struct Attendant(pub Rc<Attend>);

/// What an [`Attendant`] does.
pub type Attend = dyn Fn(&Rc<Caller>, News) -> Result<(), String>;

impl fmt::Debug for Attendant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attendant")
    }
}

/// What happens on a socket.
#[derive(Clone, Debug)]
pub enum News {
    /// It is open.
    Opened,
    /// The peer has said this.
    Message(Message),
    /// It is over.
    Closed(Close),
}

/// How a stand-in fails once it has the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It closes the connection instead of answering.
    Reset,
    /// It never answers.
    Hang,
    /// It closes the connection within the body.
    Cut,
    /// What it says is no HTTP.
    Garbage,
}

/// Answers for a service; an error is the test's fault.
pub type StandIn = Rc<dyn Fn(Call) -> Result<Reply, String>>;
