//! A running gateway: what lives across reloads and what does not.

#[allow(dead_code, reason = "wired with the control thread")]
mod watch;

#[cfg(test)]
mod scratch;
