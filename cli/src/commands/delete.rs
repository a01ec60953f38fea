//! `cyborg-kms delete`.

use std::io::{BufRead, Read};

use crate::arguments::Common;
use crate::failure::{Outcome, of_change, receipt_lost, usage};
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
    let what = format!("index {index:?} is deleted");
    output::write(format!("{receipt}\n").as_bytes()).map_err(|failure| receipt_lost(failure, &what, &receipt))
}

fn confirm(index: &str) -> Outcome {
    notice::ask(&format!(
        "Deleting index {index:?} for good: nothing opens its pages any more. Type its name to go on:"
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
