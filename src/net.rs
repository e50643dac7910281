//! Addresses and certificates: who a client is, behind proxies and by what it shows; and the socket it is read from.

pub mod certificate;
pub mod identity;
pub mod proxy_header;
pub(crate) mod tcp;

pub use certificate::Certificate;
pub use identity::Trust;
