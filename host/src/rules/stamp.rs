//! What a file looked like from outside when it was read: with the same stamp it is the same.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

/// Which file, how long, and when it was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file behind a path, links followed; none where there is none.
    pub fn of(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path)
            .ok()
            .map(|metadata| Stamp::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        let (file, changed) = {
            use std::os::unix::fs::MetadataExt;
            let file = (metadata.dev(), metadata.ino());
            (file, (metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let (file, changed) = ((0, 0), (0, 0));
        Stamp {
            file,
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            changed,
        }
    }
}
