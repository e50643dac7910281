//! Whether upstreams can be reached from here.

use std::net::TcpStream;
use std::net::ToSocketAddrs as _;
use std::os::unix::net::UnixStream;

use crate::gateway::listing;
use crate::plan::Plan;
use crate::upstream::Address;
use crate::upstream::Config;

/// Connects to each host of each upstream of `plan`; what failed, in words.
pub(super) fn try_all(plan: &Plan) -> Vec<String> {
    plan.upstreams.iter().flat_map(try_upstream).collect()
}

fn try_upstream(upstream: &Config) -> Vec<String> {
    let fault = |address: &Address| {
        let cause = try_host(address, upstream).err()?;
        Some(format!("upstream `{}`: {}: {cause}", upstream.name, listing::address(address)))
    };
    upstream.hosts.iter().filter_map(|host| fault(&host.address)).collect()
}

fn try_host(address: &Address, upstream: &Config) -> std::io::Result<()> {
    match address {
        Address::Echo => Ok(()),
        Address::Unix(path) => UnixStream::connect(path).map(drop),
        Address::Tcp { host, port, .. } => {
            let mut last = std::io::Error::other("the name has no address");
            for address in (host.as_str(), *port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, upstream.timeout.connect) {
                    Ok(_) => return Ok(()),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }
}
