//! A file that holds a key of 32 bytes.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::secret::{Arena, SecretKey};
use crate::error::{Error, Result, fail};

/// More than any way to write 32 bytes takes.
const MAX_FILE_LEN: usize = 128;

/// Reads the key. `KEY_NOT_FOUND` where there is no file, `ACCESS_DENIED`, `KMS_UNAVAILABLE` where it can't be read,
/// `CONFIG` where it holds no key or others can read it.
pub fn read(arena: &Arc<Arena>, path: &Path) -> Result<SecretKey> {
    let mut file = OpenOptions::new()
        .read(true)
        // A FIFO in its place must not hang the caller.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| cannot_read(path, &error))?;
    let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
    if !metadata.is_file() {
        return Err(fail!(Config, "the key file {} is no regular file", path.display()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(fail!(
            Config,
            "the key file {} can be read by others (mode {:o}): chmod 600 it, and consider its key known",
            path.display(),
            metadata.mode() & 0o7777
        ));
    }
    read_from(arena, &mut file, &format!("the key file {}", path.display()))
}

/// Reads a key from what is open already, to its end; `what` is its name in messages. It must not keep what was read.
pub fn read_from(arena: &Arc<Arena>, source: &mut dyn Read, what: &str) -> Result<SecretKey> {
    let mut text = Zeroizing::new([0; MAX_FILE_LEN]);
    let len = read_up_to(source, &mut text[..])
        .map_err(|error| fail!(KmsUnavailable, "{what} can't be read: {error}"))?;
    parse_key(arena, &text[..len], what)
}

fn read_up_to(source: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match source.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            fail!(KeyNotFound, "there is no key file {path}: put the key there (openssl rand -base64 32)")
        }
        ErrorKind::PermissionDenied => {
            fail!(
                AccessDenied,
                "the key file {path} can't be read: it must belong to the user of this process"
            )
        }
        _ => fail!(KmsUnavailable, "the key file {path} can't be read: {error}"),
    }
}

/// 32 raw bytes, 64 hex digits or base64, each with or without a newline.
fn parse_key(arena: &Arc<Arena>, content: &[u8], what: &str) -> Result<SecretKey> {
    if content.len() == 32 {
        return arena.key_from(content);
    }
    let text = content.strip_suffix(b"\n").unwrap_or(content);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    match text.len() {
        32 => arena.key_from(text),
        64 => arena.key_with(|key| decode_hex(text, key).ok_or_else(|| wrong_content(what))),
        44 => arena.key_with(|key| match Base64::decode(text, key) {
            Ok(decoded) if decoded.len() == 32 => Ok(()),
            _ => Err(wrong_content(what)),
        }),
        _ => Err(wrong_content(what)),
    }
}

/// Without branches on the digits' values or a table: they are a key's.
fn decode_hex(text: &[u8], key: &mut [u8; 32]) -> Option<()> {
    base16ct::mixed::decode(text, key).ok().map(|_| ())
}

fn wrong_content(what: &str) -> Error {
    fail!(
        Config,
        "{what} must hold 32 raw bytes, 64 hex digits or 44 characters of base64 (openssl rand -base64 32)"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::error::Status;

    fn write(folder: &Path, content: &[u8]) {
        let path = folder.join("key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read_in(folder: &Path) -> Result<Vec<u8>> {
        read(&Arena::new(false), &folder.join("key")).map(|key| key.expose().to_vec())
    }

    #[test]
    fn every_way_to_write_a_key_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let key: Vec<u8> = (0..32).map(|byte| byte * 7 + 3).collect();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = Base64::encode_string(&key);
        for text in
            [key.clone(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes(), base64.into_bytes()]
        {
            for end in [&b""[..], b"\n", b"\r\n"] {
                write(folder.path(), &[&text[..], end].concat());
                assert_eq!(read_in(folder.path()).unwrap(), key);
            }
        }
    }

    #[test]
    fn other_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = [b'a'; 4096];
        for content in [&b""[..], b"short", &[b'g'; 64], &[b'!'; 44], &long, &[0; 31], &[0; 35]] {
            write(folder.path(), content);
            assert_eq!(read_in(folder.path()).unwrap_err().status(), Status::Config);
        }
    }

    #[test]
    fn what_can_t_be_read_says_what_it_is() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the line is dead"))
            }
        }
        let error = read_from(&Arena::new(false), &mut Broken, "the key on standard input").unwrap_err();
        assert_eq!(error.status(), Status::KmsUnavailable);
        assert_eq!(error.message(), "the key on standard input can't be read: the line is dead");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[1; 32]);
        for mode in [0o640, 0o604, 0o660, 0o644] {
            std::fs::set_permissions(folder.path().join("key"), PermissionsExt::from_mode(mode)).unwrap();
            let error = read_in(folder.path()).unwrap_err();
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains("chmod 600"), "{error}");
        }
    }
}
