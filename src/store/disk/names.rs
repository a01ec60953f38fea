//! The names of the records in their folder.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use super::ENDING;
use crate::error::Result;
use crate::files::failure;

/// Gives the encoded name of each file that may be a record.
pub(super) fn each(records: &OwnedFd, path: &Path, offer: &mut dyn FnMut(&str)) -> Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(records, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(failure::storage("reading the folder", path, errno)),
        };
        // Some file systems do not say what kind of file it is.
        if !matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
            continue;
        }
        if let Some(encoded) = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(ENDING)) {
            offer(encoded);
        }
    }
    Ok(())
}
