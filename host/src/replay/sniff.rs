//! What a file holds, told from its first bytes: nobody should have to say.

/// Bytes that are looked at.
pub const PEEK: usize = 512;

/// How the bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// How requests lie in the unpacked bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Empty,
    /// JSON objects one after another: a line each, or one over many lines.
    Json,
    /// One protobuf message; several that are joined are one.
    Protobuf,
    /// Messages, each behind its length in four bytes, big-endian (the Collector's file exporter).
    Framed,
}

pub fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

/// The layout; none where it is neither JSON nor protobuf.
///
/// A protobuf request starts with field 1 (`0x0a`), which is also a line feed, and `{` may be a length: JSON is an object
/// whose first key follows, or nothing but a closing brace. A first byte below 8 would be field 0, which protobuf
/// forbids, so that is a length (below 128 MiB).
pub fn layout(head: &[u8]) -> Option<Layout> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    if let Some(inside) = text.strip_prefix(b"{") {
        match inside.trim_ascii_start() {
            [] | [b'}', ..] | [b'"', b' '..=b'~', ..] | [b'"'] => return Some(Layout::Json),
            _ => {}
        }
    }
    match head {
        [] => Some(Layout::Empty),
        [0..8, ..] => Some(Layout::Framed),
        [0x0a, ..] if text.is_empty() && head.len() < PEEK => Some(Layout::Empty),
        [0x0a, ..] => Some(Layout::Protobuf),
        _ if text.is_empty() => Some(Layout::Empty),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layout_is_known_by_its_head() {
        for (head, layout_of) in [
            (&b""[..], Some(Layout::Empty)),
            (b" \n\n", Some(Layout::Empty)),
            (b"{\"resourceSpans\":[]}", Some(Layout::Json)),
            (
                b"\xef\xbb\xbf\n {\n  \"resourceSpans\": []}",
                Some(Layout::Json),
            ),
            (b"{}", Some(Layout::Json)),
            // A resource of 34 bytes in a message of 123: a line feed, a brace, a line feed and a quote.
            (b"\x0a{\x0a\"\x0a\x20\x0a\x0c", Some(Layout::Protobuf)),
            (b"\x0a\x85\x01\x0a", Some(Layout::Protobuf)),
            (b"\x00\x00\x01\x00\x0a", Some(Layout::Framed)),
            (b"[{\"resourceSpans\"", None),
            (b"hello", None),
            (b"<html>", None),
            (b"\x7fELF", None),
        ] {
            assert_eq!(layout(head), layout_of, "{head:?}");
        }
        assert_eq!(packing(b"\x1f\x8b\x08"), Packing::Gzip);
        assert_eq!(packing(b"\x28\xb5\x2f\xfd\x00"), Packing::Zstd);
        assert_eq!(packing(b"{"), Packing::Plain);
    }
}
