//! Sentences over real sockets, spoken to one connection.

mod bodies;
mod ends;
mod requests;
mod rig;
mod times;
