//! The script: the only place that names mlua.

pub mod context;
#[allow(dead_code, unused_imports, reason = "loading uses it next")]
pub mod diagnose;
pub mod driver;
mod handle;
pub mod live;
pub mod machine;
#[allow(dead_code, reason = "the seam of the script's halves")]
pub(crate) mod pipeline;
pub mod wait;
mod watchdog;
pub mod words;
