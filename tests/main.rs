//! Sentences over real sockets.
