//! Which configuration is meant.

use std::path::{Path, PathBuf};

use cyborg_kms::error::Status;

use crate::failure::{Outcome, failed};

/// The variable that names it.
pub const VARIABLE: &str = "CYBORG_KMS_CONFIG";

/// Where it is looked for otherwise, in this order.
pub const PLACES: [&str; 2] = ["./cyborg_kms.yaml", "/etc/cyborg_kms/config.yaml"];

/// The file: the one that was named, else that of the variable, else the first place that has one.
pub fn find(named: Option<&Path>) -> Outcome<PathBuf> {
    let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = named.map(Path::to_owned).or(variable) {
        return Ok(path);
    }
    // One that is there but can't be read is the one that is meant.
    let found = PLACES.iter().map(Path::new).find(|path| path.symlink_metadata().is_ok());
    found.map(Path::to_owned).ok_or_else(|| {
        let [here, system] = PLACES;
        failed(
            Status::Config,
            format!("there is no configuration: give --config FILE, set {VARIABLE}, or put one at {here} or {system}"),
        )
    })
}
