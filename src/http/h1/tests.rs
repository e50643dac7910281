//! The codec against well-formed, ambiguous and arbitrary bytes.

mod chunks;
mod heads;
mod properties;
