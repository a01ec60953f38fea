//! Keys that the caller has: from a file or a pipe, never from the command line.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;

use cyborg_kms::crypto::key_file;
use cyborg_kms::crypto::secret::{Arena, SecretKey};
use cyborg_kms::error::{Error, Status};

use crate::arguments::OwnKey;
use crate::failure::{Outcome, usage};

/// The KEK that the command line names, if it does.
pub fn own(key: &OwnKey) -> Outcome<Option<SecretKey>> {
    match &key.key_file {
        Some(path) => from_file("--key-file", path).map(Some),
        None if key.key_stdin => from_stdin().map(Some),
        None => Ok(None),
    }
}

/// The key in a file, which `option` named.
pub fn from_file(option: &str, path: &Path) -> Outcome<SecretKey> {
    Ok(key_file::read(&Arena::new(false), path).map_err(|error| of_command_line(error, option))?)
}

fn from_stdin() -> Outcome<SecretKey> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(usage(
            "--key-stdin: a terminal would show the key: give it by a pipe, or use --key-file",
        ));
    }
    // Past std's buffer, which is never wiped.
    let unbuffered = stdin.as_fd().try_clone_to_owned();
    let mut unbuffered = unbuffered
        .map(File::from)
        .map_err(|error| usage(format!("--key-stdin: it can't be read: {error}")))?;
    let what = "the key on standard input";
    Ok(key_file::read_from(&Arena::new(false), &mut unbuffered, what)
        .map_err(|error| of_command_line(error, "--key-stdin"))?)
}

/// No KMS is at fault.
fn of_command_line(error: Error, option: &str) -> Error {
    error.with_status(Status::InvalidArgument).context(option)
}
