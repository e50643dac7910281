//! A running gateway: what lives across reloads and what does not.
