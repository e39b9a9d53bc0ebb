//! Binding a listener, with errors that say what, where and what to do.

use std::io;

use tokio::net::TcpListener;

use super::counters::Transport;

/// Why a server can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("can't listen on `{address}` for {what}: not an address; write host:port, such as `127.0.0.1:{port}`")]
    Syntax { what: &'static str, address: String, port: u16 },
    #[error("can't listen on `{address}` for {what}: the host name is not known; {source}")]
    Resolve { what: &'static str, address: String, source: io::Error },
    #[error(
        "can't listen on `{address}` for {what}: the port is in use; stop what listens there (`ss -ltnp` shows it), \
         or choose another with `{flag}`"
    )]
    InUse { what: &'static str, address: String, flag: &'static str },
    #[error(
        "can't listen on `{address}` for {what}: this machine has no such address; choose one of its own, \
         or 0.0.0.0 for all, with `{flag}`"
    )]
    NotHere { what: &'static str, address: String, flag: &'static str },
    #[error(
        "can't listen on `{address}` for {what}: permission denied; ports below 1024 need the right to bind them, \
         choose another with `{flag}`"
    )]
    Denied { what: &'static str, address: String, flag: &'static str },
    #[error("can't listen on `{address}` for {what}: {source}")]
    Other { what: &'static str, address: String, source: io::Error },
}

impl Transport {
    /// The port that OTLP has for this transport.
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Grpc => 4317,
            Transport::Http => 4318,
        }
    }

    /// The flag that sets the address.
    pub fn flag(self) -> &'static str {
        match self {
            Transport::Grpc => "--otlp-grpc",
            Transport::Http => "--otlp-http",
        }
    }
}

/// Listens on `address`, a `host:port`. Port 0 is any free port.
pub async fn bind(transport: Transport, address: &str) -> Result<TcpListener, BindError> {
    let (what, flag, port) = (transport.name(), transport.flag(), transport.default_port());
    let address = address.to_owned();
    if !has_port(&address) {
        return Err(BindError::Syntax { what, address, port });
    }
    let resolved: Vec<_> = match tokio::net::lookup_host(&address).await {
        Ok(resolved) => resolved.collect(),
        Err(source) => return Err(BindError::Resolve { what, address, source }),
    };
    TcpListener::bind(&resolved[..]).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { what, address, flag },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { what, address, flag },
        io::ErrorKind::PermissionDenied => BindError::Denied { what, address, flag },
        _ => BindError::Other { what, address, source },
    })
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
