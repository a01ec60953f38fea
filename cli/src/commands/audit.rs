//! `cyborg-kms audit`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cyborg_kms::audit::{self, Head, Report};
use cyborg_kms::error::Status;
use serde_json::Value;

use crate::arguments::{Audit, Common};
use crate::failure::{Outcome, failed, usage};
use crate::key;
use crate::output::{plain, show, write};

/// A head has less.
const MAX_HEAD: u64 = 64 << 10;

/// One of its subcommands. Needs no configuration.
pub fn audit(common: &Common, command: &Audit) -> Outcome {
    match command {
        Audit::Verify { path, key_file, head } => verify(common, path, key_file.as_deref(), head.as_deref()),
        Audit::Head { path } => write(format!("{}\n", audit::head(path)?.to_json()).as_bytes()),
    }
}

fn verify(common: &Common, path: &Path, key_file: Option<&Path>, head: Option<&Path>) -> Outcome {
    let key = key_file.map(|path| key::from_file("--key-file", path)).transpose()?;
    let head = head.map(read_head).transpose()?;
    let report = audit::verify(path, key.as_ref(), head.as_ref())?;
    let json: Value = serde_json::from_str(&report.to_json())
        .map_err(|error| failed(Status::Internal, format!("the report: {error}; please report it")))?;
    show(common.json, &json, &text(&report))?;
    report.fault.map_or(Ok(()), |fault| Err(failed(Status::Corrupt, fault.message)))
}

fn read_head(path: &Path) -> Outcome<Head> {
    let wrong =
        |why: String| usage(format!("--head {path:?}: {why}; give what `cyborg-kms audit head` printed"));
    let mut json = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_HEAD).read_to_string(&mut json))
        .map_err(|error| wrong(error.to_string()))?;
    Head::from_json(&json).map_err(|_| wrong("it is no head of an audit log".to_owned()))
}

fn text(report: &Report) -> String {
    let found = match &report.fault {
        Some(fault) => format!("NOT what was written: {}", plain(&fault.message)),
        None => format!(
            "{} lines in {} files are what was written, the last is number {}; {} were closed after a crash",
            report.lines, report.files, report.seq, report.recovered
        ),
    };
    let macs =
        if report.macs_checked { "MACs were checked" } else { "MACs were not checked: give --key-file" };
    let end =
        if report.head_checked { "its end was checked" } else { "its end was not checked: give --head" };
    format!("{}: {found}\n{macs}; {end}\n", plain(&report.path))
}
