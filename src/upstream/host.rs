//! One place requests can go to, seen by all workers: its addresses, its name, how busy it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::net::proxy_header::Version;
use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::NOWHERE;
use crate::upstream::Protocol;
use crate::upstream::vitals::Vitals;

/// A host of an upstream. It keeps its identity (and with it its pools and counts) as long as its address, its resolved
/// addresses and what is spoken to it (TLS and PROXY header included) stay the same.
#[derive(Debug)]
pub struct Host {
    /// Unique in the process.
    pub(crate) id: u64,
    /// As written.
    pub(crate) address: Address,
    /// Where to connect, best first; empty for Unix sockets and the built-in service.
    pub(crate) reach: Vec<SocketAddr>,
    /// `address:port`, for answers, logs and listings.
    pub(crate) label: Arc<str>,
    /// The Host field that asks for this host by its own name.
    pub(crate) authority: Arc<str>,
    /// What is spoken to it.
    pub(crate) protocol: Protocol,
    /// How it is told on whose behalf a connection is made.
    pub(crate) proxy: Option<Version>,
    in_flight: AtomicU32,
    retired: AtomicBool,
    vitals: Vitals,
}

impl Host {
    pub(crate) fn new(address: &Address, reach: Vec<SocketAddr>, label: String, config: &Config) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address: address.clone(),
            reach,
            label: label.into(),
            authority: authority(address).into(),
            protocol: config.protocol,
            proxy: config.proxy_protocol,
            in_flight: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            vitals: Vitals::default(),
        })
    }

    /// `address:port`, as logs and listings show it.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The addresses its name stands for at present.
    pub fn reach(&self) -> &[SocketAddr] {
        &self.reach
    }

    /// Requests it is busy with, all workers together.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How it is.
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// What its keys are found by: its first address, the same wherever its name stands for the same; else as written.
    pub(crate) fn place(&self) -> String {
        let real = self.reach.first().filter(|address| address.ip() != NOWHERE);
        real.map_or_else(|| self.label.to_string(), ToString::to_string)
    }

    /// It left the set: connections to it end when they are idle.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Counts one request as under way until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// One request under way to a host.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Host>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The Host field for an address: the port only where it is not the scheme's own.
fn authority(address: &Address) -> String {
    match address {
        Address::Tcp { host, port, tls } if *port == if *tls { 443 } else { 80 } => bracketed(host),
        Address::Tcp { host, port, .. } => format!("{}:{port}", bracketed(host)),
        Address::Unix(_) | Address::Echo => "localhost".into(),
    }
}

/// The written form of an address.
pub(crate) fn written(address: &Address) -> String {
    match address {
        Address::Tcp { host, port, .. } => format!("{}:{port}", bracketed(host)),
        Address::Unix(path) => format!("unix:{path}"),
        Address::Echo => "echo:".into(),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
