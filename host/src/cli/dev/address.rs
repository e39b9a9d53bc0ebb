//! Where the API of `betrace dev` listens, and how that is told to who asks it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The demo sends to whatever port is free, so that it runs beside a Collector.
pub(super) const FREE_PORT: &str = "127.0.0.1:0";

/// Where the API is looked for if nothing else is said.
pub(super) const API: &str = "127.0.0.1:4320";

/// `usual`, where it is free, so that `betrace explain` finds the demo; any other port beside a host that has it.
pub(super) fn api_address(usual: &'static str) -> &'static str {
    match std::net::TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => FREE_PORT,
    }
}

/// How to ask why a rule fired, as it is to be typed.
pub(super) fn explain_command(api: SocketAddr) -> String {
    let mut command = "betrace explain RULE TRACE_ID".to_owned();
    let ip = match api.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let api = SocketAddr::new(ip, api.port()).to_string();
    if api != API {
        command.push_str(&format!(" --api {api}"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::{FREE_PORT, api_address, explain_command};

    #[test]
    fn a_port_that_another_has_is_not_taken() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("it listens").to_string();
        let address: &'static str = address.leak();
        assert_eq!(api_address(address), FREE_PORT);
        drop(taken);
        assert_eq!(api_address(address), address);
    }

    #[test]
    fn the_command_names_the_api_where_it_is_not_where_one_looks() {
        let command = |api: &str| explain_command(api.parse().expect("an address"));
        let plain = "betrace explain RULE TRACE_ID";
        assert_eq!(command("127.0.0.1:4320"), plain);
        assert_eq!(command("0.0.0.0:4320"), plain);
        assert_eq!(
            command("127.0.0.1:81"),
            format!("{plain} --api 127.0.0.1:81")
        );
        assert_eq!(command("[::]:81"), format!("{plain} --api [::1]:81"));
    }
}
