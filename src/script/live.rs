//! What lives across reloads, for the whole process.

/// Stores, limiters, metrics and flags, found by identity.
#[derive(Default)]
pub struct Live {}
