//! Pure changes to messages: templates, JSON, encodings.

pub mod template;
