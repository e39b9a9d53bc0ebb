//! Binding a listener, with errors that say what, where and what to do.

use std::io;

use tokio::net::TcpListener;

use super::counters::Transport;

/// Why a server can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "can't listen on `{address}` for {what}: not an address; write host:port, such as `127.0.0.1:{port}`"
    )]
    Syntax {
        what: &'static str,
        address: String,
        port: u16,
    },
    #[error("can't listen on `{address}` for {what}: the host name is not known; {source}")]
    Resolve {
        what: &'static str,
        address: String,
        source: io::Error,
    },
    #[error(
        "can't listen on `{address}` for {what}: the port is in use; stop what listens there (`ss -ltnp` shows it), \
         or choose another with `{flag}`"
    )]
    InUse {
        what: &'static str,
        address: String,
        flag: &'static str,
    },
    #[error(
        "can't listen on `{address}` for {what}: this machine has no such address; choose one of its own, \
         or 0.0.0.0 for all, with `{flag}`"
    )]
    NotHere {
        what: &'static str,
        address: String,
        flag: &'static str,
    },
    #[error(
        "can't listen on `{address}` for {what}: permission denied; ports below 1024 need the right to bind them, \
         choose another with `{flag}`"
    )]
    Denied {
        what: &'static str,
        address: String,
        flag: &'static str,
    },
    #[error("can't listen on `{address}` for {what}: {source}")]
    Other {
        what: &'static str,
        address: String,
        source: io::Error,
    },
}

/// What listens, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listens {
    pub what: &'static str,
    /// The flag that sets the address.
    pub flag: &'static str,
    /// The port that it has by default.
    pub port: u16,
}

impl Transport {
    pub fn listens(self) -> Listens {
        let (flag, port) = match self {
            Transport::Grpc => ("--otlp-grpc", 4317),
            Transport::Http => ("--otlp-http", 4318),
        };
        Listens {
            what: self.name(),
            flag,
            port,
        }
    }
}

/// Listens on `address`, a `host:port`. Port 0 is any free port.
pub async fn bind(listens: Listens, address: &str) -> Result<TcpListener, BindError> {
    let Listens { what, flag, port } = listens;
    let address = address.to_owned();
    if !has_port(&address) {
        return Err(BindError::Syntax {
            what,
            address,
            port,
        });
    }
    let resolved = tokio::net::lookup_host(&address)
        .await
        .map(Iterator::collect::<Vec<_>>);
    let resolved = match resolved {
        Ok(resolved) => resolved,
        Err(source) => {
            return Err(BindError::Resolve {
                what,
                address,
                source,
            });
        }
    };
    TcpListener::bind(&resolved[..])
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse {
                what,
                address,
                flag,
            },
            io::ErrorKind::AddrNotAvailable => BindError::NotHere {
                what,
                address,
                flag,
            },
            io::ErrorKind::PermissionDenied => BindError::Denied {
                what,
                address,
                flag,
            },
            _ => BindError::Other {
                what,
                address,
                source,
            },
        })
}

fn has_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(address: &str) -> String {
        bind(Transport::Grpc.listens(), address)
            .await
            .expect_err("it can't be bound")
            .to_string()
    }

    #[tokio::test]
    async fn errors_say_what_where_and_what_to_do() {
        let taken = bind(Transport::Http.listens(), "127.0.0.1:0")
            .await
            .expect("some port is free");
        let address = taken.local_addr().expect("it has an address").to_string();
        assert_eq!(
            error(&address).await,
            format!(
                "can't listen on `{address}` for OTLP/gRPC: the port is in use; stop what listens there (`ss -ltnp` \
                 shows it), or choose another with `--otlp-grpc`"
            )
        );
        for bad in [
            "",
            "4317",
            "localhost",
            ":4317",
            "localhost:port",
            "localhost:99999",
        ] {
            assert_eq!(
                error(bad).await,
                format!(
                    "can't listen on `{bad}` for OTLP/gRPC: not an address; write host:port, such as `127.0.0.1:4317`"
                )
            );
        }
        // Addresses for documentation, which no machine has (RFC 5737).
        let away = error("192.0.2.1:4317").await;
        assert!(away.contains("this machine has no such address"), "{away}");
    }
}
