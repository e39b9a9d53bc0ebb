//! A request's body, read into one run of bytes that are charged to the budget as they come.
//!
//! Bytes are reserved before they are allocated, and no more is allocated than has come, doubled: a client that promises
//! much and sends little holds little.

use std::future::poll_fn;
use std::pin::pin;

use bytes::{Buf, Bytes};
use http_body::Body;

use super::budget::Permit;
use super::refusal::Refusal;

/// The first allocation. A small request fits, and a large one gets there in a few doublings.
const FIRST_BYTES: usize = 16 << 10;

/// gRPC's prefix of a message: whether it is compressed, and its length.
const GRPC_PREFIX: usize = 5;

/// A buffer whose capacity is charged to a permit.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    permit: Permit,
    /// Bytes that a request may have.
    limit: usize,
    /// Where growing stops first: the length that was announced.
    expected: usize,
}

/// What [`read_grpc`] got.
#[derive(Debug)]
pub(super) struct GrpcMessage {
    pub(super) compressed: bool,
    pub(super) buffer: Buffer,
}

impl Buffer {
    /// A buffer of at most `limit` bytes. `permit` may already stand for other bytes of the request.
    pub(super) fn new(permit: Permit, limit: usize, expected: Option<usize>) -> Self {
        let expected = expected.unwrap_or(limit).min(limit);
        Self {
            bytes: Vec::new(),
            permit,
            limit,
            expected,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        let needed = self.bytes.len().saturating_add(chunk.len());
        if needed > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The bytes, in an allocation of their length, and the permit for them and what it stood for before.
    pub(super) fn finish(self) -> (Bytes, Permit) {
        let Self {
            mut bytes,
            mut permit,
            ..
        } = self;
        let before = bytes.capacity();
        bytes.shrink_to_fit();
        permit.shrink(before.saturating_sub(bytes.capacity()));
        (Bytes::from(bytes), permit)
    }

    /// Reserves the new allocation beside the old one, as both exist while the bytes move.
    fn grow(&mut self, needed: usize) -> Result<(), Refusal> {
        let old = self.bytes.capacity();
        let wanted = old
            .saturating_mul(2)
            .max(FIRST_BYTES)
            .min(self.expected)
            .max(needed);
        self.permit.grow(wanted)?;
        self.bytes.reserve_exact(wanted - self.bytes.len());
        self.permit.shrink(old);
        Ok(())
    }
}

/// Reads a whole HTTP body.
pub(super) async fn read_http<B>(body: &mut B, mut buffer: Buffer) -> Result<Buffer, Refusal>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    while let Some(data) = next_data(body).await? {
        buffer.push(&data)?;
    }
    Ok(buffer)
}

/// Reads the one message of a unary gRPC call.
pub(super) async fn read_grpc<B>(
    body: &mut B,
    permit: Permit,
    limit: usize,
) -> Result<GrpcMessage, Refusal>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    let mut prefix = Vec::with_capacity(GRPC_PREFIX);
    let mut buffer = Buffer::new(permit, limit, None);
    let mut left = 0;
    while let Some(mut data) = next_data(body).await? {
        if prefix.len() < GRPC_PREFIX {
            let take = data.len().min(GRPC_PREFIX - prefix.len());
            prefix.extend_from_slice(&data.split_to(take));
            if prefix.len() < GRPC_PREFIX {
                continue;
            }
            left = message_length(&prefix);
            if left > limit {
                return Err(Refusal::TooLarge { limit });
            }
            buffer.expected = left;
        }
        left = left.checked_sub(data.len()).ok_or_else(|| {
            Refusal::Malformed("more than one message in a call that takes one".to_owned())
        })?;
        buffer.push(&data)?;
    }
    match prefix.first() {
        _ if prefix.len() < GRPC_PREFIX || left > 0 => Err(Refusal::Malformed(
            "the stream ended before its message did".to_owned(),
        )),
        Some(&flag @ (0 | 1)) => Ok(GrpcMessage {
            compressed: flag == 1,
            buffer,
        }),
        _ => Err(Refusal::Malformed(
            "the compressed flag of the message is neither 0 nor 1".to_owned(),
        )),
    }
}

/// Reads what is left of a refused request and forgets it, so that a client that sends before it listens gets to see the
/// answer. Ends after `limit` bytes.
pub(super) async fn drain<B>(body: &mut B, limit: usize)
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    let mut left = limit;
    while let Ok(Some(data)) = next_data(body).await {
        match left.checked_sub(data.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The next bytes of `body`; trailers are passed over.
async fn next_data<B>(body: &mut B) -> Result<Option<Bytes>, Refusal>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    let mut body = pin!(body);
    loop {
        match poll_fn(|context| body.as_mut().poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(error)) => return Err(Refusal::Aborted(error.to_string())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn message_length(prefix: &[u8]) -> usize {
    usize::try_from(prefix.get(1..).unwrap_or_default().get_u32()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use http_body_util::Full;
    use proptest::prelude::*;

    use super::super::budget::Budget;
    use super::*;

    /// A body that arrives in pieces.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn pieces(bytes: &[u8], size: usize) -> Pieces {
        Pieces(bytes.chunks(size).map(Bytes::copy_from_slice).collect())
    }

    fn permit(budget: &Arc<Budget>) -> Permit {
        budget.reserve(0).expect("nothing fits anywhere")
    }

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![flag];
        bytes.extend_from_slice(&u32::try_from(message.len()).expect("small").to_be_bytes());
        bytes.extend_from_slice(message);
        bytes
    }

    #[test]
    fn a_body_takes_what_it_is_long_and_gives_it_back() {
        let budget = Budget::new(1 << 20);
        let bytes = vec![7_u8; 100_000];
        let mut body = Full::new(Bytes::from(bytes.clone()));
        let buffer = block(read_http(
            &mut body,
            Buffer::new(permit(&budget), 1 << 20, None),
        ))
        .expect("it fits");
        let (read, permit) = buffer.finish();
        assert_eq!(read, bytes);
        assert_eq!((permit.bytes(), budget.used()), (100_000, 100_000));
        drop(permit);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn bounds_of_a_request_and_of_all_are_told_apart() {
        let budget = Budget::new(64 << 10);
        let read = |length: usize, limit| {
            let mut body = pieces(&vec![0; length], 1_000);
            block(read_http(
                &mut body,
                Buffer::new(permit(&budget), limit, None),
            ))
            .map(drop)
        };
        assert_eq!(
            read(10_001, 10_000),
            Err(Refusal::TooLarge { limit: 10_000 })
        );
        assert_eq!(
            read(80_000, 1 << 20),
            Err(Refusal::NeverFits { limit: 64 << 10 })
        );
        assert_eq!(budget.used(), 0, "a refused body holds nothing");
    }

    #[test]
    fn an_announced_length_alone_allocates_nothing() {
        let budget = Budget::new(1 << 30);
        let mut buffer = Buffer::new(permit(&budget), 1 << 30, Some(1 << 30));
        buffer.push(b"x").expect("one byte fits");
        assert_eq!(budget.used(), FIRST_BYTES);
    }

    #[test]
    fn damaged_framing_is_malformed() {
        let budget = Budget::new(1 << 20);
        let read = |bytes: &[u8]| {
            block(read_grpc(&mut pieces(bytes, 3), permit(&budget), 100))
                .map(|message| message.compressed)
        };
        assert_eq!(read(&framed(1, b"abc")), Ok(true));
        assert_eq!(read(&framed(0, b"")), Ok(false));
        assert_eq!(
            read(&framed(0, &[0; 101])),
            Err(Refusal::TooLarge { limit: 100 })
        );
        let two = [framed(0, b"abc"), framed(0, b"def")].concat();
        for bad in [
            &b""[..],
            b"\0\0",
            b"\0\0\0\0\x02a",
            &framed(2, b"abc"),
            &two,
        ] {
            assert!(matches!(read(bad), Err(Refusal::Malformed(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..5_000),
            size in 1_usize..600,
        ) {
            let budget = Budget::new(1 << 20);
            let message = block(read_grpc(&mut pieces(&framed(0, &bytes), size), permit(&budget), 1 << 20)).unwrap();
            let (read, held) = message.buffer.finish();
            prop_assert_eq!(&read[..], &bytes[..]);
            prop_assert_eq!(held.bytes(), bytes.len());
            let buffer = Buffer::new(permit(&budget), 1 << 20, None);
            let (read, _permit) = block(read_http(&mut pieces(&bytes, size), buffer)).unwrap().finish();
            prop_assert_eq!(&read[..], &bytes[..]);
        }
    }
}
