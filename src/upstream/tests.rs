//! An upstream over real sockets, against a service that does exactly what its script says.

mod backend;
mod failures;
mod retries;
mod reuse;
mod upload;
