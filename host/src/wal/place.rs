//! A place in a file of signals: noted beside decided traces, so that the next start knows from where on the file can hold a
//! signal whose trace is not decided.

use std::fs::File;
use std::io;

/// Bytes of a place, or of none, in a record.
pub(super) const PLACE_BYTES: usize = 24;

/// A file as its system tells it from all others that it has. A file that is moved stays the same, and one that takes its name
/// is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    number: u64,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: FileId,
    pub offset: u64,
}

impl FileId {
    /// None of what can't be read back, as a pipe, and where the system has no such numbers.
    pub fn of(file: &File) -> io::Result<Option<FileId>> {
        let metadata = file.metadata()?;
        #[cfg(unix)]
        let id = FileId {
            device: std::os::unix::fs::MetadataExt::dev(&metadata),
            number: std::os::unix::fs::MetadataExt::ino(&metadata),
        };
        #[cfg(not(unix))]
        let id = FileId {
            device: 0,
            number: 0,
        };
        // No file has the number 0, which stands for none in a record.
        Ok((metadata.is_file() && id.number != 0).then_some(id))
    }
}

impl Place {
    pub(super) fn bytes(place: Option<Place>) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        if let Some(Place { file, offset }) = place {
            bytes[..8].copy_from_slice(&file.device.to_le_bytes());
            bytes[8..16].copy_from_slice(&file.number.to_le_bytes());
            bytes[16..].copy_from_slice(&offset.to_le_bytes());
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8; PLACE_BYTES]) -> Option<Place> {
        let ([device, number, offset], _) = bytes.as_chunks::<8>() else {
            return None;
        };
        let file = FileId {
            device: u64::from_le_bytes(*device),
            number: u64::from_le_bytes(*number),
        };
        let offset = u64::from_le_bytes(*offset);
        (file.number != 0).then_some(Place { file, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let file = FileId {
            device: 0x102,
            number: 7,
        };
        let place = Some(Place { file, offset: 9 });
        assert_eq!(Place::read(&Place::bytes(place)), place);
        assert_eq!(Place::read(&Place::bytes(None)), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_takes_the_name_of_another_is_not_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("signals.jsonl");
        let id = |file: &File| FileId::of(file).expect("it is read").expect("a file");
        let first = File::create(&path).expect("a file");
        std::fs::rename(&path, folder.path().join("old")).expect("it is there");
        let second = File::create(&path).expect("a file");
        let again = File::open(folder.path().join("old")).expect("it is there");
        assert_ne!(id(&first), id(&second));
        assert_eq!(id(&first), id(&again));
        let folder = File::open(folder.path()).expect("a folder");
        assert_eq!(FileId::of(&folder).expect("it is read"), None);
    }
}
