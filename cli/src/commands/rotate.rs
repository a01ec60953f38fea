//! `cyborg-kms rotate`.

use cyborg_kms::engine::Rotation;

use crate::arguments::{Common, Rotate, What};
use crate::failure::{Outcome, of_change};
use crate::key;
use crate::output::done;
use crate::session::Session;

/// The KEK's wrap, the KEK, or the data key anew.
pub fn rotate(common: &Common, asked: &Rotate) -> Outcome {
    let old = key::own(&asked.key)?;
    let new = asked.new_key_file.as_deref().map(|path| key::from_file("--new-key-file", path)).transpose()?;
    let session = Session::open_with_records(common)?;
    let (rotation, operation, what) = which(&asked.what);
    let index = &asked.index;
    session
        .engine
        .rotate_with_key(
            index,
            rotation,
            asked.to.as_deref(),
            old.as_ref().map(|key| &key.expose()[..]),
            new.as_ref().map(|key| &key.expose()[..]),
        )
        .map_err(|error| of_change(error, index))?;
    done(common.json, index, operation, what, session.now(index).as_ref())
}

/// clap asks for one of them.
fn which(what: &What) -> (Rotation, &'static str, &'static str) {
    match what {
        What { kek: true, .. } => (Rotation::Kek, "rotate_kek", "has a new KEK"),
        What { data_key: true, .. } => (Rotation::DataKey, "rotate_data_key", "has a new data key"),
        What { .. } => (Rotation::Rewrap, "rewrap", "its KEK is wrapped anew"),
    }
}
