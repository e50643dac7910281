//! The script: the only place that names mlua.

#[allow(dead_code, unused_imports, reason = "what the loader installs and the handles use")]
pub(crate) mod bind;
pub mod context;
#[allow(dead_code, unused_imports, reason = "loading uses it next")]
pub mod diagnose;
pub mod driver;
mod handle;
pub mod live;
pub mod machine;
#[allow(dead_code, reason = "the seam of the script's halves")]
pub(crate) mod pipeline;
#[allow(dead_code, reason = "made by the word `secret`")]
pub(crate) mod secret;
pub mod wait;
mod watchdog;
pub mod words;
