//! How errors become failures.
