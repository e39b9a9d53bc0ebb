//! An OTLP/gRPC client that sends bytes as they are, so that the client's part of a measurement is small.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Connects; `encoding` is `gzip`, `zstd` or anything else for none.
pub async fn connect(address: SocketAddr, encoding: &str) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let grpc = Grpc::new(endpoint.connect().await.expect("it listens"));
    match encoding {
        "gzip" => grpc.send_compressed(CompressionEncoding::Gzip),
        "zstd" => grpc.send_compressed(CompressionEncoding::Zstd),
        _ => grpc,
    }
}

/// Sends one `ExportTraceServiceRequest` and returns the answer's bytes: none where all spans were taken.
pub async fn export(client: &mut Grpc<Channel>, request: Bytes) -> Result<Bytes, Status> {
    client.ready().await.expect("it is there");
    let path = PathAndQuery::from_static(EXPORT);
    let answer = client.unary(tonic::Request::new(request), path, Raw).await;
    answer.map(tonic::Response::into_inner)
}

struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
