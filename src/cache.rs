//! A shared cache by RFC 9111: what may be stored, for whom, how long, and how it is forgotten in time.

pub mod answer;
pub mod content;
pub mod control;
pub mod entry;
pub mod freshness;
pub mod key;
pub mod purge;
pub mod space;
pub mod value;

pub use entry::Entry;
pub use key::Key;
pub use space::Space;
