//! The script: the only place that names mlua.

#[allow(dead_code, reason = "the seam of the script's halves")]
pub(crate) mod pipeline;
