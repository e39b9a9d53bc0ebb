//! Whether an endpoint is the host itself: then its own traces would come back to it, and be judged, for ever.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use http::Uri;

use super::traces::TracesError;

/// Refuses an endpoint that is, or resolves to, one of the host's own listeners: the name and the address of each. A name that
/// is not known now is not refused, as a Collector may come after the host.
pub fn refuse(
    endpoint: &Uri,
    listeners: &[(&'static str, Option<&str>)],
) -> Result<(), TracesError> {
    let reached = addresses(endpoint);
    let own = listeners.iter().find(|(_, address)| {
        address.is_some_and(|address| {
            let same_text = endpoint
                .authority()
                .is_some_and(|to| to.as_str().eq_ignore_ascii_case(address));
            let listening = address.to_socket_addrs().into_iter().flatten();
            let meets = |own: SocketAddr| reached.iter().any(|to| reaches(*to, own));
            same_text || listening.into_iter().any(meets)
        })
    });
    match own {
        Some((listener, address)) => Err(TracesError::Itself {
            endpoint: endpoint.to_string(),
            listener,
            address: address.unwrap_or_default().to_owned(),
        }),
        None => Ok(()),
    }
}

fn addresses(endpoint: &Uri) -> Vec<SocketAddr> {
    let Some((host, port)) = endpoint.host().zip(endpoint.port_u16()) else {
        return Vec::new();
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port)
        .to_socket_addrs()
        .map_or_else(|_| Vec::new(), Iterator::collect)
}

/// Whether a connection to `to` ends at what listens on `own`.
fn reaches(to: SocketAddr, own: SocketAddr) -> bool {
    let (ip, own_ip) = (to.ip().to_canonical(), own.ip().to_canonical());
    to.port() == own.port()
        && (ip == own_ip
            // To connect to no address is to connect to this machine.
            || (ip.is_unspecified() && own_ip.is_loopback())
            // All addresses of this machine; those of version 6 take connections of version 4, too.
            || (own_ip.is_unspecified()
                && (own_ip.is_ipv6() || ip.is_ipv4())
                && is_of_this_machine(ip)))
}

/// Only an address of its own is one that a machine can send from.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(endpoint: &str, own: &str) -> bool {
        let endpoint = endpoint.parse().expect("a URL");
        refuse(&endpoint, &[("otlp-grpc", Some(own)), ("api", None)]).is_err()
    }

    #[test]
    fn an_endpoint_that_reaches_an_own_listener_is_refused() {
        for (endpoint, own) in [
            ("http://127.0.0.1:4317", "127.0.0.1:4317"),
            ("http://localhost:4317", "127.0.0.1:4317"),
            ("http://127.0.0.1:4317", "localhost:4317"),
            ("http://127.0.0.1:4317", "0.0.0.0:4317"),
            ("http://127.0.0.1:4317", "[::]:4317"),
            ("http://[::1]:4317", "[::]:4317"),
            ("http://[::ffff:127.0.0.1]:4317", "127.0.0.1:4317"),
            ("http://0.0.0.0:4317", "127.0.0.1:4317"),
            (
                "http://No-Such-Host.invalid:4317",
                "no-such-host.invalid:4317",
            ),
        ] {
            assert!(refused(endpoint, own), "{endpoint} {own}");
        }
        for (endpoint, own) in [
            ("http://127.0.0.1:4327", "127.0.0.1:4317"),
            ("http://127.0.0.2:4317", "127.0.0.1:4317"),
            // TEST-NET-1 is nobody's.
            ("http://192.0.2.1:4317", "0.0.0.0:4317"),
            ("http://[::1]:4317", "0.0.0.0:4317"),
            ("http://no-such-host.invalid:4317", "127.0.0.1:4317"),
        ] {
            assert!(!refused(endpoint, own), "{endpoint} {own}");
        }
    }

    #[test]
    fn the_error_names_the_listener() {
        let endpoint = "http://localhost:4320".parse().expect("a URL");
        let error = refuse(&endpoint, &[("api", Some("127.0.0.1:4320"))]).expect_err("it is ours");
        assert_eq!(
            error.to_string(),
            "`traces-endpoint` http://localhost:4320/ is where this host listens itself (`api` on 127.0.0.1:4320), so its own \
             traces would come back to it"
        );
    }
}
