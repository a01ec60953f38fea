//! `cyborg-kms create`.

use crate::arguments::{Common, OwnKey};
use crate::failure::{Outcome, of_change};
use crate::key;
use crate::output::done;
use crate::session::Session;

/// A new index, with a random KEK or the caller's own.
pub fn create(common: &Common, index: &str, slot: &str, key: &OwnKey) -> Outcome {
    let own = key::own(key)?;
    let session = Session::open_with_records(common)?;
    let created = match &own {
        Some(key) => session.engine.create_with_key(index, slot, key.expose()),
        None => session.engine.create(index, slot),
    };
    created.map_err(|error| of_change(error, index))?;
    done(common.json, index, "create", "created", session.now(index).as_ref())
}
