//! An upstream over real sockets, against a service that does exactly what its script says.

pub(super) mod backend;
mod bodies;
mod elsewhere;
mod failures;
mod hedges;
mod limits;
mod race;
mod retries;
mod reuse;
pub(super) mod secure;
mod upload;
