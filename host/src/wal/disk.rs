//! Files as the writer needs them, so that tests can have a disk that is full or broken.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::Path;

use super::folder::private;

/// Makes files.
pub(super) trait Disk: Send {
    /// A new file that begins with `header`, durable, with the cursor behind it; made of `spare` where there is one.
    fn create(
        &mut self,
        path: &Path,
        spare: Option<&Path>,
        header: &[u8],
    ) -> io::Result<Box<dyn Medium>>;

    /// A file that was made before, without what is behind `length`, and durably so.
    fn reopen(&mut self, path: &Path, length: u64) -> io::Result<Box<dyn Medium>>;
}

/// A file that is appended to.
pub(super) trait Medium: Send {
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts what is behind `length`; what is written next goes there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The files of the operating system.
#[derive(Debug)]
pub(super) struct Files;

impl Disk for Files {
    fn create(
        &mut self,
        path: &Path,
        spare: Option<&Path>,
        header: &[u8],
    ) -> io::Result<Box<dyn Medium>> {
        let mut options = OpenOptions::new();
        options.write(true);
        if spare.is_none() {
            options.create(true).truncate(true);
        }
        let mut file = private(&mut options).open(spare.unwrap_or(path))?;
        file.write_all(header)?;
        file.sync_all()?;
        // With its own header it is no part of the segment that it was.
        if let Some(spare) = spare {
            fs::rename(spare, path)?;
        }
        Ok(Box::new(file))
    }

    fn reopen(&mut self, path: &Path, length: u64) -> io::Result<Box<dyn Medium>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.cut(length)?;
        file.sync_all()?;
        Ok(Box::new(file))
    }
}

impl Medium for File {
    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }
}

/// Slices that one call takes at most: the kernel's `IOV_MAX`.
const SLICES: usize = 1_024;

/// Writes all of `slices`.
pub(super) fn write_all(medium: &mut dyn Medium, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Takes empty ones away, which would otherwise look like a disk that takes nothing.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let some = slices.get(..SLICES.min(slices.len())).unwrap_or_default();
        match medium.write(some) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
