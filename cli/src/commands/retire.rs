//! `cyborg-kms retire-data-key`, `cyborg-kms retire-kek`.

use cyborg_kms::engine::{Engine, OpenOptions};
use cyborg_kms::error::Result;

use crate::arguments::{Common, OwnKey};
use crate::failure::{Outcome, of_change};
use crate::key;
use crate::output::done;
use crate::session::Session;

/// Forgets a data key.
pub fn data_key(common: &Common, index: &str, id: u32, key: &OwnKey) -> Outcome {
    let what = format!("data key {id} is retired");
    retire(common, index, key, ("retire_data_key", &what), |engine| engine.retire_data_key(index, id))
}

/// Forgets a former KEK.
pub fn kek(common: &Common, index: &str, version: u32, key: &OwnKey) -> Outcome {
    let what = format!("the KEK of version {version} is retired");
    retire(common, index, key, ("retire_kek", &what), |engine| engine.retire_kek(index, version))
}

fn retire(
    common: &Common,
    index: &str,
    key: &OwnKey,
    (operation, what): (&str, &str),
    retire: impl FnOnce(&Engine) -> Result<()>,
) -> Outcome {
    let own = key::own(key)?;
    let session = Session::open_with_records(common)?;
    // The library takes the KEK of provider none from a handle that is open.
    let kek = own.as_ref().map(|key| &key.expose()[..]);
    let open = || session.engine.open_index_with(index, &OpenOptions { kek, ..OpenOptions::default() });
    let _handle = kek.map(|_| open()).transpose().map_err(|error| of_change(error, index))?;
    retire(&session.engine).map_err(|error| of_change(error, index))?;
    done(common.json, index, operation, what, session.now(index).as_ref())
}
