//! The script: the only place that names mlua.
