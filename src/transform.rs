//! Pure changes to messages: templates, header lists, JSON, YAML, content codings.

pub mod compress;
pub mod encoding;
pub mod fields;
pub mod headers;
pub mod json;
pub mod limited;
mod recoded;
pub mod tee;
pub mod template;
pub mod yaml;

pub use limited::Limited;
pub use template::Template;
