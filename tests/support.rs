//! The vocabulary of these tests: a gateway, upstreams that misbehave on purpose, a client that reads strictly.

pub(crate) mod acme;
pub(crate) mod answer;
pub(crate) mod binary;
pub(crate) mod client;
pub(crate) mod dns;
pub(crate) mod faulty;
pub(crate) mod frames;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod h2_service;
pub(crate) mod idp;
pub(crate) mod program;
pub(crate) mod redis;
pub(crate) mod temp;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod wait;
pub(crate) mod wire;
