//! The life of a request, from its head to the last byte of its answer. Knows `trait Hooks`, not Lua.

pub mod exchange;
pub mod failure;
pub mod forward;
pub mod hooks;
pub mod site;
pub mod trace;
pub mod worker;

pub use exchange::Exchange;
pub use failure::Code;
pub use failure::Failure;
pub use forward::Call;
pub use forward::Override;
pub use forward::call;
pub use forward::forward;
pub use hooks::Hooks;
pub use hooks::Run;
pub use hooks::Verdict;
pub use hooks::Wants;
pub use site::Site;
pub use worker::Worker;
