//! What the audit log's tests share: a log in a folder, written to and looked at.
#![allow(dead_code)] // Each test program uses a part.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cyborg_kms::audit::{Event, Fault, FaultKind, Head, Operation, Report, Setup, Trail, head, verify};
use cyborg_kms::call::Call;
use cyborg_kms::clock::SystemClock;
use cyborg_kms::crypto::secret::{Arena, SecretKey};
use cyborg_kms::error::Error;
use cyborg_kms::name::IndexName;
use cyborg_kms::registry::AuditSettings;

pub const KEY: [u8; 32] = *b"the key file of the audit's test";

/// A log in a folder, with or without a key.
#[derive(Debug, Clone)]
pub struct Log {
    pub path: PathBuf,
    pub has_key: bool,
    pub max_size: u64,
}

impl Log {
    pub fn new(folder: &Path, has_key: bool) -> Log {
        let key_file = folder.join("audit.key");
        fs::write(&key_file, KEY).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
        Log { path: folder.join("audit.log"), has_key, max_size: 0 }
    }

    pub fn settings(&self) -> AuditSettings {
        let key_file = self.path.with_file_name("audit.key");
        AuditSettings {
            path: Some(self.path.to_str().unwrap().to_owned()),
            key_file: self.has_key.then(|| key_file.to_str().unwrap().to_owned()),
            fail_on_error: true,
            max_size: self.max_size,
            principal: Some("tester".to_owned()),
        }
    }

    pub fn trail(&self) -> Trail {
        Trail::new(Setup::new(&self.settings(), &Arena::new(false)).unwrap(), Arc::new(SystemClock))
    }

    /// Writes a line for each index.
    pub fn write(&self, indexes: &[&str]) {
        let trail = self.trail();
        indexes.iter().for_each(|index| say(&trail, index).unwrap());
    }

    pub fn verify(&self, head: Option<&Head>) -> Result<Report, Error> {
        verify(&self.path, self.has_key.then(key).as_ref(), head)
    }

    /// The fault that is found; panics where there is none.
    #[track_caller]
    pub fn fault(&self, head: Option<&Head>) -> Fault {
        self.verify(head).unwrap().fault.expect("there is a fault")
    }

    #[track_caller]
    pub fn assert_right(&self) -> Report {
        let report = self.verify(Some(&self.head())).unwrap();
        assert_eq!(report.fault, None);
        report
    }

    pub fn head(&self) -> Head {
        head(&self.path).unwrap()
    }

    /// Its files, oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("audit.log."))
            .filter(|path| path.extension().unwrap() != "lock")
            .collect();
        files.sort();
        files.extend(self.path.exists().then(|| self.path.clone()));
        files
    }

    /// All lines of all files.
    pub fn text(&self) -> String {
        self.files().iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    /// A field of each line.
    pub fn all(&self, field: &str) -> Vec<String> {
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let plain = |value: &serde_json::Value| value.as_str().map_or(value.to_string(), str::to_owned);
        self.text().lines().map(|text| plain(&line(text)[field])).collect()
    }
}

pub fn key() -> SecretKey {
    Arena::new(false).key_from(&KEY).unwrap()
}

pub fn event(index: &str) -> Event {
    Event::new(Operation::Open, &IndexName::new(index).unwrap())
}

/// One line.
pub fn say(trail: &Trail, index: &str) -> Result<(), Error> {
    trail.done(&Call::unbounded(), || event(index), Ok(()))
}

#[track_caller]
pub fn assert_fault(fault: &Fault, kind: FaultKind, seq: u64, what: &str) {
    assert_eq!((fault.kind, fault.seq), (kind, seq), "{what}: {fault:?}");
    assert!(!fault.message.contains('\n') && fault.message.contains("audit.log"), "{what}: {fault:?}");
}
