//! The vocabulary of these tests: a gateway, upstreams that misbehave on purpose, a client that reads strictly.
#![allow(dead_code, reason = "the sentences that use the rest come with the gateway")]

pub(crate) mod answer;
pub(crate) mod binary;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod temp;
pub(crate) mod upstream;
pub(crate) mod wait;
