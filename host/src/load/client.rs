//! An OTLP client that sends bytes as they are: one connection, one request at a time.
//!
//! gRPC is written out as five bytes before the message and a status in the trailers, so that the message goes from its
//! template to the socket without another copy.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, TE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::retry::{self, Answer};
use super::template::{PREFIX, prefix};

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const HTTP_PATH: &str = "/v1/traces";

/// Bytes of an answer. One holds a sentence.
const ANSWER_BYTES: usize = 64 << 10;

/// A request that is not answered in this time is sent again on a new connection. As SDKs have it, and three times as long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How fast, not how small: it is the host that is measured.
const ZSTD_LEVEL: i32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// OTLP/gRPC
    Grpc,
    /// OTLP/HTTP with protobuf
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Where to send, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: Address,
    pub protocol: Protocol,
    pub compression: Compression,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

/// One connection, which is made when something is sent, and again when it was lost.
pub struct Client {
    target: Target,
    connection: Option<Connection>,
}

enum Connection {
    Grpc(http2::SendRequest<Full<Bytes>>),
    Http(http1::SendRequest<Full<Bytes>>),
}

/// A connection that can't be made, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("can't connect to {address}")]
    Connect {
        address: Address,
        source: std::io::Error,
    },
    #[error("{address} does not speak HTTP")]
    Handshake {
        address: Address,
        source: hyper::Error,
    },
}

impl Address {
    /// As it is written: `host:port`, with or without `http://` before it.
    pub fn new(text: &str) -> Result<Address, String> {
        let text = text.trim();
        if text.starts_with("https://") {
            return Err(format!(
                "`{text}` asks for TLS, which a load does not speak"
            ));
        }
        let address = text.strip_prefix("http://").unwrap_or(text);
        let address = address.trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        if host.is_empty() || port.parse::<u16>().is_err() || host.contains('/') {
            return Err(format!(
                "`{text}` is not an address: write it like `127.0.0.1:4317`"
            ));
        }
        Ok(Address(address.to_owned()))
    }

    /// Where a host on this machine listens by default.
    pub fn default_of(protocol: Protocol) -> Address {
        Address(match protocol {
            Protocol::Grpc => "127.0.0.1:4317".to_owned(),
            Protocol::Http => "127.0.0.1:4318".to_owned(),
        })
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        Address::new(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Target {
    /// OTLP/gRPC; `compression` is `gzip`, `zstd` or anything else for none.
    pub fn grpc(address: impl fmt::Display, compression: &str) -> Target {
        Target {
            address: Address(address.to_string()),
            protocol: Protocol::Grpc,
            compression: match compression {
                "gzip" => Compression::Gzip,
                "zstd" => Compression::Zstd,
                _ => Compression::None,
            },
        }
    }

    /// A message, behind the place for gRPC's prefix, as the bytes of a body.
    pub fn body(&self, framed: Bytes) -> Bytes {
        let message = framed.slice(PREFIX.min(framed.len())..);
        let compressed = match self.compression {
            Compression::None => None,
            Compression::Gzip => gzip(&message),
            Compression::Zstd => zstd(&message),
        };
        match (self.protocol, compressed) {
            (Protocol::Grpc, None) => framed,
            (Protocol::Http, None) => message,
            (Protocol::Grpc, Some(mut framed)) => {
                let length = framed.len().saturating_sub(PREFIX);
                for (place, byte) in framed.iter_mut().zip(prefix(1, length)) {
                    *place = byte;
                }
                framed.into()
            }
            (Protocol::Http, Some(framed)) => Bytes::from(framed).slice(PREFIX..),
        }
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let encoding = match self.compression {
            Compression::None => None,
            Compression::Gzip => Some(HeaderValue::from_static("gzip")),
            Compression::Zstd => Some(HeaderValue::from_static("zstd")),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let (path, kind, encoded) = match self.protocol {
            Protocol::Grpc => {
                let path = format!("http://{}{GRPC_PATH}", self.address);
                (path, "application/grpc", "grpc-encoding")
            }
            Protocol::Http => (
                HTTP_PATH.to_owned(),
                "application/x-protobuf",
                CONTENT_ENCODING.as_str(),
            ),
        };
        // An address that came this far has been connected to.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let (Some(encoding), Ok(name)) = (encoding, http::HeaderName::from_str(encoded)) {
            headers.insert(name, encoding);
        }
        match self.protocol {
            Protocol::Grpc => drop(headers.insert(TE, HeaderValue::from_static("trailers"))),
            Protocol::Http => {
                if let Ok(host) = HeaderValue::from_str(&self.address.0) {
                    headers.insert(HOST, host);
                }
            }
        }
        request
    }
}

impl Client {
    pub fn new(target: Target) -> Client {
        Client {
            target,
            connection: None,
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Makes the connection, if there is none.
    pub async fn connect(&mut self) -> Result<(), ConnectionError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let address = &self.target.address;
        let failed = |source| ConnectionError::Connect {
            address: address.clone(),
            source,
        };
        let stream = TcpStream::connect(&address.0).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let io = TokioIo::new(stream);
        let strange = |source| ConnectionError::Handshake {
            address: address.clone(),
            source,
        };
        // What drives a connection ends with it; what was lost shows at the next request.
        self.connection = Some(match self.target.protocol {
            Protocol::Grpc => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), io)
                    .await
                    .map_err(strange)?;
                tokio::spawn(driver);
                Connection::Grpc(sender)
            }
            Protocol::Http => {
                let (sender, driver) = http1::handshake(io).await.map_err(strange)?;
                tokio::spawn(driver);
                Connection::Http(sender)
            }
        });
        Ok(())
    }

    /// Sends a body that [`Target::body`] made, and reads the answer. A connection that is lost is an answer to try again.
    pub async fn export(&mut self, body: Bytes) -> Answer {
        let lost = |error: &dyn std::error::Error| Answer::Again {
            after: None,
            why: crate::load::send::said(error),
        };
        if let Err(error) = self.connect().await {
            return lost(&error);
        }
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(body)).await;
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.connection = None;
                lost(error.as_ref())
            }
            Err(_) => {
                self.connection = None;
                Answer::Again {
                    after: None,
                    why: format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()),
                }
            }
        }
    }

    async fn exchange(
        &mut self,
        body: Bytes,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let request = self.target.request(body);
        match &mut self.connection {
            Some(Connection::Grpc(sender)) => {
                sender.ready().await?;
                let (head, trailers, body) = read(sender.send_request(request).await?).await?;
                let trailers = trailers.as_ref().unwrap_or(&head.headers);
                Ok(retry::grpc(head.status, trailers, &body))
            }
            Some(Connection::Http(sender)) => {
                sender.ready().await?;
                let (head, _, body) = read(sender.send_request(request).await?).await?;
                Ok(retry::http(head.status, &head.headers, &body))
            }
            None => Err("there is no connection".into()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.target)
            .field("connected", &self.connection.is_some())
            .finish()
    }
}

type Read = (http::response::Parts, Option<http::HeaderMap>, Bytes);

async fn read(
    response: Response<Incoming>,
) -> Result<Read, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES).collect().await?;
    let trailers = collected.trailers().cloned();
    Ok((head, trailers, collected.to_bytes()))
}

/// Compressed, behind the place for gRPC's prefix. Writing to memory does not fail.
fn gzip(message: &[u8]) -> Option<Vec<u8>> {
    let out = vec![0; PREFIX];
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok()
}

fn zstd(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; PREFIX];
    out.extend_from_slice(&zstd::bulk::compress(message, ZSTD_LEVEL).ok()?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for (text, address) in [
            ("127.0.0.1:4317", "127.0.0.1:4317"),
            ("http://localhost:4318/", "localhost:4318"),
            (" [::1]:80 ", "[::1]:80"),
        ] {
            assert_eq!(Address::new(text).unwrap().to_string(), address);
        }
        for text in ["", "localhost", "localhost:x", ":4317", "h:99999", "h/v1:1"] {
            let error = Address::new(text).unwrap_err();
            assert!(error.contains("is not an address"), "{error}");
        }
        let error = Address::new("https://a:1").unwrap_err();
        assert!(error.contains("TLS"), "{error}");
    }

    #[test]
    fn bodies_are_framed_and_compressed_as_their_protocol_has_it() {
        let message = b"what is sent ".repeat(100);
        let framed: Bytes = [&prefix(0, message.len())[..], &message].concat().into();
        for protocol in [Protocol::Grpc, Protocol::Http] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let target = Target {
                    address: Address::default_of(protocol),
                    protocol,
                    compression,
                };
                let body = target.body(framed.clone());
                let body = match protocol {
                    Protocol::Http => &body[..],
                    Protocol::Grpc => {
                        let flag = u8::from(compression != Compression::None);
                        assert_eq!(body[..PREFIX], prefix(flag, body.len() - PREFIX));
                        &body[PREFIX..]
                    }
                };
                let mut read = Vec::new();
                match compression {
                    Compression::None => read.extend_from_slice(body),
                    Compression::Gzip => drop(
                        flate2::read::GzDecoder::new(body)
                            .read_to_end(&mut read)
                            .unwrap(),
                    ),
                    Compression::Zstd => read = zstd::decode_all(body).unwrap(),
                }
                assert_eq!(read, message);
            }
        }
    }
}
