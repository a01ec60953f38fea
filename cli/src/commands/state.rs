//! `cyborg-kms disable`, `enable`, `schedule-deletion`, `cancel-deletion`.

use cyborg_kms::engine::Engine;
use cyborg_kms::error::Result;

use crate::arguments::Common;
use crate::failure::{Outcome, of_change};
use crate::output::done;
use crate::session::Session;

/// Refuses every use.
pub fn disable(common: &Common, index: &str) -> Outcome {
    change(common, index, ("disable", "disabled"), |engine| engine.disable(index))
}

/// Undoes `disable`.
pub fn enable(common: &Common, index: &str) -> Outcome {
    change(common, index, ("enable", "enabled"), |engine| engine.enable(index))
}

/// Refuses every use, and has the index deleted later.
pub fn schedule_deletion(common: &Common, index: &str, hours: u32) -> Outcome {
    let told = ("schedule_deletion", "is to be deleted");
    change(common, index, told, |engine| engine.schedule_deletion(index, hours))
}

/// Undoes `schedule-deletion`.
pub fn cancel_deletion(common: &Common, index: &str) -> Outcome {
    let told = ("cancel_deletion", "is not to be deleted any more");
    change(common, index, told, |engine| engine.cancel_deletion(index))
}

fn change(
    common: &Common,
    index: &str,
    (operation, what): (&str, &str),
    change: impl FnOnce(&Engine) -> Result<()>,
) -> Outcome {
    let session = Session::open_with_records(common)?;
    change(&session.engine).map_err(|error| of_change(error, index))?;
    done(common.json, index, operation, what, session.now(index).as_ref())
}
