//! What is told about requests and the process: log, access log, metrics.

pub mod log;
pub mod metrics;
