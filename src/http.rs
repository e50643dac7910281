//! Messages as a gateway sees them: heads, bodies, methods, and the one HTTP/1.1 codec of both sides.

pub(crate) mod authority;
pub mod body;
pub mod buffers;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod file;
pub mod grpc;
pub mod h1;
pub(crate) mod h2;
pub mod headers;
pub mod hex;
pub mod media;
pub mod message;
pub mod method;
pub mod path;
pub mod problem;
pub mod quote;
pub mod range;
pub(crate) mod trailers;

pub use body::Body;
pub use body::BodyError;
pub use body::Source;
pub use buffers::Buffers;
pub use headers::Headers;
pub use message::Request;
pub use message::Response;
pub use message::Scheme;
pub use message::Version;
pub use method::Method;
