//! A file for each noun.

mod audit;
mod check;
mod create;
mod delete;
mod inspect;
mod list;
mod retire;
mod rotate;
mod slots;
mod state;
mod sync;

use crate::arguments::{Arguments, Command};
use crate::failure::Outcome;
use crate::pages;

/// Does what the command line says.
pub fn run(arguments: &Arguments) -> Outcome {
    let common = &arguments.common;
    match &arguments.command {
        Command::Slots => slots::slots(common),
        Command::Check { slot } => check::check(common, slot.as_deref()),
        Command::List { start_after } => list::list(common, start_after.as_deref()),
        Command::Inspect { index } => inspect::inspect(common, index),
        Command::Create { index, slot, key } => create::create(common, index, slot, key),
        Command::Rotate(rotation) => rotate::rotate(common, rotation),
        Command::RetireDataKey { index, id, key } => retire::data_key(common, index, *id, key),
        Command::RetireKek { index, version, key } => retire::kek(common, index, *version, key),
        Command::Sync(asked) => sync::sync(common, asked),
        Command::Disable { index } => state::disable(common, index),
        Command::Enable { index } => state::enable(common, index),
        Command::ScheduleDeletion { index, hours } => state::schedule_deletion(common, index, *hours),
        Command::CancelDeletion { index } => state::cancel_deletion(common, index),
        Command::Delete { index, yes } => delete::delete(common, index, *yes),
        Command::Audit(command) => audit::audit(common, command),
        Command::Completions { shell } => pages::completions(*shell),
        Command::Man { dir } => pages::man(dir.as_deref()),
    }
}
