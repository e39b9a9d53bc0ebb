//! Compressed bytes to plain ones, ended at the bound on a request: a bomb costs at most that much.
//!
//! The whole compressed body is there before this starts, so that a slow client holds its bytes and no decompressor.

use std::io::{self, BufRead, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use super::body::Buffer;
use super::refusal::Refusal;

/// The largest window that a zstd frame may ask for: 32 MiB, which is the most that the common encoders use. It lives
/// for the length of one call, so there are at most as many as threads.
pub(super) const ZSTD_WINDOW_LOG: u32 = 25;

/// What is inflated at a time, on the stack.
const STEP_BYTES: usize = 16 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Zstd,
    Deflate,
}

impl Encoding {
    /// The encoding of that name; `Ok(None)` is none at all.
    pub(super) fn named(name: &str) -> Result<Option<Self>, Refusal> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "zstd" => Ok(Some(Self::Zstd)),
            "deflate" => Ok(Some(Self::Deflate)),
            other => Err(Refusal::Encoding(other.chars().take(64).collect())),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

/// Inflates `compressed` into `out`.
pub(super) fn inflate(
    encoding: Encoding,
    compressed: &[u8],
    out: Buffer,
) -> Result<Buffer, Refusal> {
    match encoding {
        Encoding::Gzip => copy(encoding, MultiGzDecoder::new(compressed), out),
        Encoding::Deflate => copy(encoding, ZlibDecoder::new(compressed), out),
        Encoding::Zstd => copy(
            encoding,
            zstd_decoder(compressed).map_err(|e| corrupt(encoding, &e))?,
            out,
        ),
    }
}

fn zstd_decoder<R: BufRead>(compressed: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

fn copy(encoding: Encoding, mut decoder: impl Read, mut out: Buffer) -> Result<Buffer, Refusal> {
    let mut step = [0; STEP_BYTES];
    loop {
        match decoder.read(&mut step) {
            Ok(0) => return Ok(out),
            Ok(n) => out.push(step.get(..n).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(corrupt(encoding, &error)),
        }
    }
}

fn corrupt(encoding: Encoding, error: &io::Error) -> Refusal {
    Refusal::Corrupt {
        encoding: encoding.name(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::super::budget::Budget;
    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

    fn deflated(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::fast();
        match encoding {
            Encoding::Zstd => zstd::encode_all(bytes, 1).expect("compresses"),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder
                    .write_all(bytes)
                    .and_then(|()| encoder.finish())
                    .expect("compresses")
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder
                    .write_all(bytes)
                    .and_then(|()| encoder.finish())
                    .expect("compresses")
            }
        }
    }

    fn inflated(encoding: Encoding, compressed: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
        let permit = Budget::new(1 << 30)
            .reserve(0)
            .expect("nothing fits anywhere");
        inflate(encoding, compressed, Buffer::new(permit, limit, None))
            .map(|out| out.finish().0.to_vec())
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for encoding in ALL {
            let bomb = deflated(encoding, &zeros);
            assert!(
                bomb.len() < 1 << 20,
                "{encoding:?} is a bomb of {} bytes",
                bomb.len()
            );
            assert_eq!(
                inflated(encoding, &bomb, 1 << 20),
                Err(Refusal::TooLarge { limit: 1 << 20 })
            );
        }
    }

    #[test]
    fn a_bomb_ends_when_the_budget_does() {
        let bomb = deflated(Encoding::Zstd, &vec![0; 8 << 20]);
        let budget = Budget::new(1 << 20);
        let out = Buffer::new(
            budget.reserve(0).expect("nothing fits anywhere"),
            64 << 20,
            None,
        );
        assert_eq!(
            inflate(Encoding::Zstd, &bomb, out).map(drop),
            Err(Refusal::NeverFits { limit: 1 << 20 })
        );
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_window_larger_than_the_bound_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(ZSTD_WINDOW_LOG + 1).expect("a window");
        encoder.include_contentsize(false).expect("no size");
        encoder.write_all(&vec![1; 1 << 20]).expect("compresses");
        let frame = encoder.finish().expect("compresses");
        assert!(matches!(
            inflated(Encoding::Zstd, &frame, 64 << 20),
            Err(Refusal::Corrupt { .. })
        ));
    }

    #[test]
    fn names_are_read_as_headers_are_written() {
        assert_eq!(Encoding::named("identity"), Ok(None));
        assert_eq!(Encoding::named(" GZIP "), Ok(Some(Encoding::Gzip)));
        assert_eq!(
            Encoding::named("br"),
            Err(Refusal::Encoding("br".to_owned()))
        );
        assert!(Encoding::named("gzip, zstd").is_err());
    }

    proptest! {
        #[test]
        fn what_was_deflated_inflates(bytes in proptest::collection::vec(any::<u8>(), 0..40_000)) {
            for encoding in ALL {
                prop_assert_eq!(inflated(encoding, &deflated(encoding, &bytes), 1 << 20), Ok(bytes.clone()));
            }
        }

        #[test]
        fn damage_is_an_error_or_other_bytes_but_no_panic(
            bytes in proptest::collection::vec(any::<u8>(), 1..4_000),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
            cut in any::<bool>(),
        ) {
            for encoding in ALL {
                let mut damaged = deflated(encoding, &bytes);
                let at = at.index(damaged.len());
                if cut {
                    damaged.truncate(at);
                    // Nothing at all is no frame, and so no damage.
                    prop_assert!(inflated(encoding, &damaged, 1 << 20) != Ok(bytes.clone()));
                } else {
                    damaged[at] ^= flip;
                    let _ = inflated(encoding, &damaged, 1 << 20);
                }
            }
        }
    }
}
