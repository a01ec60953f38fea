//! Provider `local`: the wrapping key is a file. For development, and where a secrets manager mounts the file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::{Provider, Unwrapped, Wrapped};
use crate::blob::{Binding, WrappedKek};
use crate::call::Call;
use crate::crypto::secret::{Arena, SecretKey, random};
use crate::crypto::{key_file, wrap};
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;

/// One slot with `provider: local`. The file is read at each use, so that taking it away stops the index.
#[derive(Debug)]
pub struct Local {
    arena: Arc<Arena>,
    key_id: String,
    create: bool,
    /// CyborgDB's way to wrap passes no AAD.
    bind: bool,
}

impl Local {
    /// The provider of a slot whose `key_id` is the absolute path of the key file. `bind`: wraps are bound to
    /// the index's name.
    pub fn new(arena: Arc<Arena>, key_id: &str, create: bool, bind: bool) -> Local {
        Local { arena, key_id: key_id.to_owned(), create, bind }
    }
}

impl Provider for Local {
    fn wrap(&self, _call: &Call, name: &IndexName, kek: &SecretKey) -> Result<Wrapped> {
        let path = Path::new(&self.key_id);
        if self.create {
            if !path.exists() {
                make_key_file(path)?;
            }
            // Each time: whoever made it may have been killed, or not be done yet, before it was there for good.
            sync_folder(path)?;
        }
        let key = key_file::read(&self.arena, path).map_err(|error| match error.status() {
            Status::KeyNotFound => fail!(KeyNotFound, "{error}, or say create: true in its slot"),
            _ => error,
        })?;
        let binding = if self.bind { Binding::IndexName } else { Binding::None };
        Ok(Wrapped {
            bytes: wrap::wrap(key.expose(), &aad(binding, name), kek.expose())?,
            binding,
            key_version: String::new(),
            mechanism: String::new(),
        })
    }

    fn unwrap(&self, _call: &Call, name: &IndexName, wrapped: &WrappedKek) -> Result<Unwrapped> {
        let path = Path::new(&wrapped.key_id);
        let key = key_file::read(&self.arena, path).map_err(|error| match error.status() {
            Status::KeyNotFound => fail!(
                KeyNotFound,
                "there is no key file {} any more, by which index {name} was wrapped: restore it from its backup, a new \
                 key can't open this index",
                path.display()
            ),
            _ => error,
        })?;
        wrap::unwrap_key(&self.arena, key.expose(), &aad(wrapped.binding, name), &wrapped.wrapped_kek)
            .map(Unwrapped::now)
            .map_err(|error| {
                error.context(format!(
                    "index {name}: its KEK was not wrapped by the key in {}, or the wrap was altered",
                    path.display()
                ))
            })
    }
}

fn aad(binding: Binding, name: &IndexName) -> Vec<u8> {
    match binding {
        Binding::None => Vec::new(),
        Binding::IndexName => wrap::kek_aad(name.as_str()),
    }
}

/// Makes a key file, or leaves the one that another process made meanwhile.
fn make_key_file(path: &Path) -> Result<()> {
    let cannot = |error| cannot_make(path, &error);
    let parent = parent(path);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(cannot)?;
    let mut unique = [0; 8];
    random(&mut unique)?;
    let temporary = parent.join(format!(".cyborg-kms-{:016x}.tmp", u64::from_ne_bytes(unique)));
    let made = write_key(&temporary).and_then(|()| std::fs::hard_link(&temporary, path));
    let removed = std::fs::remove_file(&temporary);
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(cannot)?,
    }
    removed.map_err(cannot)
}

/// Makes durable that the file is there: a record that was wrapped by a lost key would be lost, too.
fn sync_folder(path: &Path) -> Result<()> {
    match File::open(parent(path)).and_then(|folder| folder.sync_all()) {
        // A file system whose folders can't be synced.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result.map_err(|error| cannot_make(path, &error)),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot_make(path: &Path, error: &std::io::Error) -> Error {
    fail!(Config, "the key file {} can't be made: {error}", path.display())
}

fn write_key(path: &Path) -> std::io::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    random(&mut key[..]).map_err(std::io::Error::other)?;
    let mut text = Zeroizing::new([0; 45]);
    Base64::encode(&key[..], &mut text[..]).map_err(std::io::Error::other)?;
    text[44] = b'\n';
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&text[..])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn provider(folder: &Path, create: bool) -> Local {
        Local::new(Arena::new(false), folder.join("key").to_str().unwrap(), create, true)
    }

    #[test]
    fn a_missing_file_is_made_only_when_asked_and_only_to_wrap() {
        let folder = tempfile::tempdir().unwrap();
        let name = IndexName::new("a").unwrap();
        let arena = Arena::new(false);
        let kek = arena.random_key().unwrap();
        let call = Call::unbounded();
        let error = provider(folder.path(), false).wrap(&call, &name, &kek).unwrap_err();
        assert_eq!(error.status(), Status::KeyNotFound);

        let local = provider(folder.path(), true);
        let absent = WrappedKek { key_id: local.key_id.clone(), ..WrappedKek::default() };
        assert_eq!(local.unwrap(&call, &name, &absent).unwrap_err().status(), Status::KeyNotFound);
        assert!(!folder.path().join("key").exists());

        let wrapped = local.wrap(&call, &name, &kek).unwrap();
        let mode = std::fs::metadata(folder.path().join("key")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let wrap = WrappedKek { wrapped_kek: wrapped.bytes, binding: wrapped.binding, ..absent };
        assert!(local.unwrap(&call, &name, &wrap).unwrap().kek.ct_eq(&kek));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");

        let other = IndexName::new("b").unwrap();
        let error = local.unwrap(&call, &other, &wrap).unwrap_err();
        assert_eq!(error.status(), Status::AuthenticationFailed);
    }

    #[test]
    fn two_that_make_the_file_at_once_have_one_key() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| make_key_file(&path).unwrap());
                }
            });
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
            key_file::read(&Arena::new(false), &path).unwrap();
        }
    }
}
