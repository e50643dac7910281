//! An upstream over real sockets, against a service that does exactly what its script says.

pub(super) mod backend;
mod bodies;
mod failures;
mod limits;
mod race;
mod retries;
mod reuse;
mod secure;
mod upload;
