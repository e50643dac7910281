mod connections;
mod exchanges;
mod failures;
mod flow;
mod secure;
mod server;
