//! A running gateway: what lives across reloads and what does not.

mod admin;
pub mod diff;
pub mod state;
#[allow(dead_code, reason = "wired with the control thread")]
mod watch;

#[cfg(test)]
mod scratch;
