//! What is told about requests and the process: log, access log, metrics.

pub mod access;
pub mod log;
pub mod metrics;

pub use access::AccessLog;
pub use access::AccessWriter;
