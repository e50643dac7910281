//! Shared values that outlive a request.
