//! The client's side: from a socket to a stream of requests.
//!
//! Whoever is at the other end may mean harm. What is tried, what becomes of it, and the test that tries it over a socket
//! (`file::test` below `tests`; S- numbers are those of the standards the tests name):
//!
//! | attack | what happens | shown by |
//! |---|---|---|
//! | CL.TE, TE.CL, several or odd lengths | 400, closed | `framing::ambiguous_requests_are_refused_and_the_connection_is_closed` |
//! | TE.TE: codings bent, listed, repeated, folded | 400 or 501, closed | the same |
//! | CL.0: an answer before the body was read | the body is passed over or the connection closed, never read as a request | `framing::an_unread_body_does_not_become_the_next_request` |
//! | chunk sizes and extensions, bent or without end | 400, closed | `framing::malformed_chunks_are_refused`, `mutants`, `fuzzed` |
//! | bare LF, bare CR, obs-fold, space before the colon, NUL | 400, closed | `framing::ambiguous_requests_are_refused_and_the_connection_is_closed` |
//! | two readings by gateway and service | what is sent on is framed by us alone | `framing::the_outgoing_framing_is_our_own`, `mutants::client_and_service_agree_on_every_bent_request` |
//! | slowloris: a head that drips or never ends | 408 or closed after `header_timeout`, however much drips | `limits::a_dripping_head_gains_no_time`, `floods::a_crowd_that_drips_costs_little_is_cut_in_time_and_bothers_nobody` |
//! | slow body | closed after `body_timeout` | `limits::a_body_that_stalls_is_ended_by_the_body_timeout` |
//! | slow read | cut after `body_timeout`, the service let go | `floods::who_takes_nothing_of_the_answer_is_cut_and_the_service_let_go`, `memory` |
//! | silent connections | closed after `header_timeout`, `idle` | `limits::silent_and_slow_heads_are_ended_by_the_header_timeout`, `tls::hostile::a_client_that_says_nothing_is_let_go_in_time` |
//! | header, cookie and URI bombs | 431, 414 at the limit, not gathered | `limits::sizes_have_limits_and_each_names_its_status`, `limits::a_head_that_never_ends_is_refused_at_the_limit_not_gathered` |
//! | compressed bodies that swell | 413 where a step reads them | `hostile::a_compressed_request_body_is_bounded_when_a_step_reads_it` |
//! | garbage for TLS, records tampered with | closed, others served | `tls::hostile::garbage_ends_the_connection_and_nothing_else`, `tls::hostile::a_record_that_was_tampered_with_ends_the_connection` |
//! | renegotiation | refused, then closed | `tls::hostile::nobody_shakes_hands_twice` |
//! | handshakes by the thousand | one computed at a time, 2000 under way a worker, the rest let go | `tls::hostile::only_so_many_handshakes_are_under_way_and_the_rest_is_let_go` |
//! | one host's terms used for another's | 421 | `tls::clients::a_ticket_of_a_listener_that_asks_nobody_opens_no_other`, `tls::names` |
//! | `X-Forwarded-*`, `Forwarded`, `Client-Cert` made up | removed, but from trusted peers | `forwarded::a_stranger_cannot_say_who_he_is`, `tls::mtls::not_even_a_trusted_proxy_speaks_for_a_certificate` |
//! | PROXY headers made up | closed, but from listed peers | `proxy_protocol::strangers_and_bare_clients_are_closed` |
//! | `..`, `%2e`, `%2f`, `;`, `//`, `\`, double encoding | 400, or sent on exactly as matched | `paths::no_spelling_of_a_guarded_path_gets_past_the_guard`, `paths::the_service_sees_the_path_that_was_matched` |
//! | CR, LF, NUL in what a script makes a field, path or method of | 400 or 500, nothing sent | `requests`, `steps`, `shapes::a_value_cannot_be_more_than_a_value_where_it_is_put` |
//! | text for the log | escaped, one line stays one | `logs::hostile_text_stays_on_its_line` |
//! | more connections than `limits.connections` | the newest closed, the others served | `floods::beyond_the_limit_the_newest_is_closed_and_the_others_are_served` |
//! | one address with many connections | the newest closed beyond `limits.per_address` | `floods::one_address_has_its_share_and_no_more` |
//! | no file descriptors left | accepting pauses and goes on, who is in is served | `floods::without_files_those_who_are_in_are_served_and_others_come_in_afterwards` |
//! | clients that vanish, by the thousand | nothing is left behind | `gone::a_thousand_leavers_leave_nothing_behind`, `hostile::clients_that_connect_and_vanish_leave_no_memory_behind` |
//! | WebSocket frames bent, too large, too many | their own socket is closed | `websockets::hostile` |

pub mod accept;
pub mod bind;
pub mod certs;
pub mod door;
pub mod gate;
pub mod issued;
pub mod listener;
mod patience;
mod preface;
pub mod proxy_protocol;
pub mod serve_h1;
pub mod serve_h2;
mod stream;
pub mod tls;
pub mod tools;
mod wire;

pub use door::Arrival;
pub use door::Aside;
pub use door::Door;
pub use listener::Listener;
pub use serve_h1::Connection;
pub use serve_h1::Gone;
pub use serve_h1::Next;
pub use serve_h1::Refusal;
pub use tools::Drain;
pub use tools::Tools;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// A listener as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Listen {
    /// A TCP address; `:8080` is every address, IPv6 and IPv4.
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(String),
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP, `TCP_NODELAY` set.
    Tcp(tokio::net::TcpStream),
    /// TLS over TCP, boxed: its state is large.
    Tls(Box<tokio_rustls::server::TlsStream<tokio::net::TcpStream>>),
    /// A Unix socket.
    Unix(tokio::net::UnixStream),
    /// Nothing is sent at all: both ends are in this process.
    Memory(tokio::io::DuplexStream),
}

/// Who is at the other end, and which of our addresses was called.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    /// The peer's socket address; `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// Our address: the listener's, so the IP is unspecified where it listens on every address.
    pub local: Option<SocketAddr>,
}

/// What a client may send and how long it may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest request body in bytes; default 100 MB.
    pub body: u64,
    /// Largest head (request line and fields) in bytes; default 64 KB.
    pub headers: usize,
    /// Most header fields; default 100.
    pub header_count: usize,
    /// Longest target in bytes; default 16 KB.
    pub uri: usize,
    /// What a step may buffer of a body; default 1 MB.
    pub buffer: usize,
    /// Most client connections, all workers together; default 20000.
    pub connections: usize,
    /// Most client connections of one address (IPv6: of one /64); default any number.
    pub per_address: Option<usize>,
    /// What happens to escaped slashes and other ambiguous characters in a path.
    pub path: crate::http::path::Ambiguous,
    /// From the first byte (or the accept) to the head's end; default 10 s.
    pub header_timeout: Duration,
    /// Longest wait between two reads of a body; default 30 s.
    pub body_timeout: Duration,
    /// How long an idle connection is kept; default 75 s.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 100 << 20,
            headers: 64 << 10,
            header_count: 100,
            uri: 16 << 10,
            buffer: 1 << 20,
            connections: 20_000,
            per_address: None,
            path: crate::http::path::Ambiguous::Reject,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle: Duration::from_secs(75),
        }
    }
}
