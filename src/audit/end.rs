//! The end of a log's file: its last whole line, and what a crash left behind it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::line::Tip;
use super::place::errno_of;
use crate::error::{Error, Result, fail};
use crate::files::failure;

/// So much of the end is looked at first; then ever more, until there is a whole line.
const FIRST_LOOK: u64 = 8 << 10;
/// So much without a line is no trace of a crash.
const LONGEST_LOOK: u64 = 64 << 20;

/// What stands at the end of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The last line; `None` where there is none.
    pub(super) tip: Option<Tip>,
    /// What stands behind it and is no line.
    pub(super) torn: Option<Vec<u8>>,
    /// Whether the last byte is a newline. A last line that lacks only that counts as a line.
    pub(super) has_newline: bool,
}

impl End {
    /// Of a file with `size` bytes.
    pub(super) fn read(file: &File, path: &Path, size: u64) -> Result<End> {
        let mut look = FIRST_LOOK;
        loop {
            let from = size.saturating_sub(look);
            // At most `LONGEST_LOOK`, which fits.
            let mut bytes = vec![0; usize::try_from(size - from).unwrap_or_default()];
            file.read_exact_at(&mut bytes, from)
                .map_err(|error| failure::storage("reading the audit file", path, errno_of(&error)))?;
            if let Some(end) = End::find(&bytes, from == 0) {
                return Ok(end);
            }
            look *= 4;
            if look > LONGEST_LOOK {
                return Err(damaged(path));
            }
        }
    }

    /// `None` where no whole line is within the last bytes of a longer file.
    fn find(bytes: &[u8], is_whole_file: bool) -> Option<End> {
        let has_newline = bytes.last() == Some(&b'\n');
        let all = bytes.len() - usize::from(has_newline);
        let torn =
            |from: usize| (from < all || (from == all && has_newline)).then(|| bytes[from..all].to_vec());
        let mut end = all;
        loop {
            let begin = match bytes[..end].iter().rposition(|byte| *byte == b'\n') {
                Some(newline) => newline + 1,
                None if is_whole_file => 0,
                None => return None,
            };
            if let Some(tip) = Tip::of(&bytes[begin..end]) {
                let torn = if end == all { None } else { torn(end + 1) };
                return Some(End { tip: Some(tip), torn, has_newline });
            }
            if begin == 0 {
                return Some(End { tip: None, torn: torn(0), has_newline });
            }
            end = begin - 1;
        }
    }
}

fn damaged(path: &Path) -> Error {
    fail!(
        Storage,
        "the end of the audit file {path:?} is damaged: no line is in its last {} MiB. Keep it for an examination under \
         another name; then a new log begins",
        LONGEST_LOOK >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::{Event, Operation};
    use crate::audit::line;
    use crate::name::IndexName;

    fn lines() -> (String, Tip, String, Tip) {
        let event = Event::new(Operation::Create, &IndexName::new("a\nb").unwrap());
        let first = line::write(&Tip::default(), &event, None, None);
        let tip = Tip::of(first.as_bytes()).unwrap();
        let second = line::write(&tip, &event, None, None);
        let second_tip = Tip::of(second.as_bytes()).unwrap();
        (first, tip, second, second_tip)
    }

    #[test]
    fn the_last_whole_line_is_found_wherever_the_file_is_cut() {
        let (first, tip, second, second_tip) = lines();
        let whole = format!("{first}\n{second}\n");
        for cut in 0..=whole.len() {
            let bytes = &whole.as_bytes()[..cut];
            let end = End::find(bytes, true).unwrap();
            let (expected, torn) = match cut {
                0 => (None, None),
                _ if cut < first.len() => (None, Some(bytes)),
                _ if cut <= first.len() + 1 => (Some(tip), None),
                _ if cut <= first.len() + second.len() => (Some(tip), Some(&bytes[first.len() + 1..])),
                _ => (Some(second_tip), None),
            };
            assert_eq!((end.tip, end.torn.as_deref()), (expected, torn), "cut at {cut}");
            assert_eq!(end.has_newline, bytes.ends_with(b"\n"));
        }
    }

    #[test]
    fn rubbish_behind_a_line_is_torn_as_a_whole() {
        let (first, tip, ..) = lines();
        for rubbish in ["x", "\n", "x\n", "\0\0\n\0", "{}\n\n{\"seq\":1}\n", "[]"] {
            let bytes = format!("{first}\n{rubbish}");
            let end = End::find(bytes.as_bytes(), true).unwrap();
            assert_eq!(end.tip, Some(tip));
            let torn = rubbish.strip_suffix('\n').unwrap_or(rubbish);
            assert_eq!(end.torn.as_deref(), Some(torn.as_bytes()), "{rubbish:?}");
            let tail = &bytes.as_bytes()[first.len() - 3..];
            assert_eq!(End::find(tail, false), None, "the line begins before");
        }
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let size = LONGEST_LOOK * 2;
        file.as_file().set_len(size).unwrap();
        let error = End::read(file.as_file(), file.path(), size).unwrap_err();
        assert!(error.message().contains("damaged"), "{error}");
        file.as_file().set_len(100_000).unwrap();
        let end = End::read(file.as_file(), file.path(), 100_000).unwrap();
        assert_eq!((end.tip, end.torn.map(|torn| torn.len())), (None, Some(100_000)));
    }
}
