//! What the tests of the configuration share: reading it, and what must be refused in which words.
#![allow(dead_code)] // Each test program uses a part.

use std::path::Path;
use std::time::Duration;

use cyborg_kms::error::{Error, Status};
use cyborg_kms::registry::Config;

pub const SECRET: &str = "hunter2-TOP-secret";

pub fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(SECRET.into()),
        "REGION" => Some("eu-west-1".into()),
        "TTL" => Some("5m".into()),
        "EMPTY" => Some(String::new()),
        "NESTED" => Some("${REGION}".into()),
        _ => None,
    }
}

pub fn parse(yaml: &str) -> Result<Config, Error> {
    Config::parse(yaml, Some(Path::new("/etc/db")), &env)
}

pub fn good(yaml: &str) -> Config {
    parse(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// The configuration is refused with this status, and the message has all of these.
#[track_caller]
pub fn refused(yaml: &str, status: Status, parts: &[&str]) {
    let error = parse(yaml).expect_err(yaml);
    assert_eq!(error.status(), status, "{yaml}\n{error}");
    for part in parts {
        assert!(error.message().contains(part), "no {part:?} in: {error}\n{yaml}");
    }
    assert!(!error.message().contains("hunter2"), "a value is repeated: {error}");
}

/// A slot `s` with these lines; its name stands on line 3.
pub fn slot(lines: &str) -> String {
    format!("kms:\n  registry:\n    s: {{{lines}}}\n")
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
