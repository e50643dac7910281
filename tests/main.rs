//! Sentences over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall stop there")]

mod house;
mod support;
mod vocabulary;
