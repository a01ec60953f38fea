//! `cyborg-kms delete`.

use std::io::{BufRead, Read};

use cyborg_kms::error::Status;

use crate::arguments::Common;
use crate::failure::{Failure, Outcome, failed, of_change, usage};
use crate::session::Session;
use crate::{notice, output};

/// No name is longer.
const MAX_ANSWER: u64 = 4096;

/// Deletes at once; the receipt, a line of JSON, is for those who must show it.
pub fn delete(common: &Common, index: &str, yes: bool) -> Outcome {
    if !yes {
        // Before signals are waited for: they end a question at once.
        confirm(index)?;
    }
    let session = Session::open_with_records(common)?;
    let receipt = session.engine.delete(index).map_err(|error| of_change(error, index))?;
    let written = output::write(format!("{receipt}\n").as_bytes());
    written.map_err(|failure| lost(index, &receipt, failure))
}

fn confirm(index: &str) -> Outcome {
    notice::ask(&format!(
        "Deleting index {index:?} for good: nothing opens its pages any more. Type its name to go on: "
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
    if read.is_err() || answer.trim_end_matches(['\r', '\n']) != index {
        return Err(usage(format!(
            "nothing was deleted: what was typed is not the name of index {index:?}; type it, or give --yes"
        )));
    }
    Ok(())
}

/// There is no second receipt.
fn lost(index: &str, receipt: &str, failure: Failure) -> Failure {
    let why = match failure {
        Failure::Closed => "it was closed".to_owned(),
        Failure::Error(error) => error.message().to_owned(),
    };
    failed(
        Status::Storage,
        format!(
            "index {index:?} is deleted, but its receipt could not be written to standard output ({why}): {receipt}"
        ),
    )
}
