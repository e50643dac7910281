//! A running gateway: what lives across reloads and what does not.

mod admin;
pub mod diff;
#[allow(dead_code, reason = "wired with the control thread")]
mod limits;
pub mod listing;
pub mod state;
#[allow(dead_code, reason = "wired with the control thread")]
mod status;
#[allow(dead_code, reason = "wired with the control thread")]
mod watch;

#[cfg(test)]
pub(crate) mod scratch;
