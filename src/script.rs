//! The script: the only place that names mlua.

#[allow(dead_code, unused_imports, reason = "what the loader installs and the handles use")]
pub(crate) mod bind;
pub mod context;
pub(crate) mod declare;
pub mod diagnose;
pub mod docs;
pub mod driver;
pub(crate) mod handle;
pub(crate) mod hooks;
pub mod live;
pub mod load;
pub mod machine;
pub mod offline;
pub(crate) mod options;
#[allow(dead_code, reason = "the seam of the script's halves")]
pub(crate) mod pipeline;
pub(crate) mod policy;
pub mod program;
#[allow(dead_code, reason = "made by the word `secret`")]
pub(crate) mod secret;
pub mod suite;
#[cfg(test)]
mod testing;
pub mod wait;
mod watchdog;
pub mod words;

pub(crate) use bind::core::cache::forget;
pub(crate) use bind::tasks::identity as task_identity;
pub(crate) use declare::discovery::HOSTS;
pub(crate) use declare::discovery::told as told_hosts;
pub use declare::listener;
pub use load::LoadOptions;
pub use load::Loaded;
pub use load::load;
pub use program::Opened;
pub use program::Program;
pub use program::Seat;
