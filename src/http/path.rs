//! The one canonical path: what is matched is what is forwarded (STANDARDS S-10, U-67 to U-69).

use serde::Deserialize;
use serde::Serialize;

/// What to do with `%2F`, `%5C`, `\`, `;` and encoded NUL in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguous {
    /// Answer 400.
    #[default]
    Reject,
    /// Match and forward them as they are.
    Keep,
    /// Decode them before matching and forwarding.
    Decode,
}
