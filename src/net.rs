//! Addresses and certificates: who a client is, behind proxies and by what it shows.

pub mod certificate;
pub mod identity;
pub mod proxy_header;

pub use certificate::Certificate;
pub use identity::Trust;
