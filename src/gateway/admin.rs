//! The admin listener: what runs, how it is, and a reload on demand.

#[allow(dead_code, reason = "wired with the admin listener")]
mod access;
#[allow(dead_code, reason = "wired with the admin listener")]
mod pages;
