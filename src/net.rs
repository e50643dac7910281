//! Addresses and networks.
