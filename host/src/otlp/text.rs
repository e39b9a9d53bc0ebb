//! Bytes to text. Strings are checked here, where one is read, and not when they arrive.

/// The text, if the bytes are UTF-8; the caller counts those that are not.
#[inline]
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The text for a person: what is not UTF-8 becomes U+FFFD.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
