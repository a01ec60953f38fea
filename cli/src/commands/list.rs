//! `cyborg-kms list`.

use std::io::{Result, Write};

use cyborg_kms::error::Status;

use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{Out, end, out, plain};
use crate::session::Session;

/// The names of all indexes, as they come.
pub fn list(common: &Common, start_after: Option<&str>) -> Outcome {
    let session = Session::open_with_records(common)?;
    let mut names = Names { out: out(), json: common.json, count: 0, written: Ok(()) };
    let listed = session.engine.list(start_after, &mut |name| names.take(name.as_str()));
    let count = names.count;
    let ended = if listed.is_ok() { names.end() } else { end(names.out) };
    match listed {
        Err(error) if error.status() == Status::Cancelled => {
            Err(Failure::Error(error.context(format!("interrupted behind {count} indexes"))))
        }
        Err(error) => Err(error.into()),
        Ok(()) => ended,
    }
}

struct Names {
    out: Out,
    json: bool,
    count: u64,
    written: Result<()>,
}

impl Names {
    /// Whether more are wanted.
    fn take(&mut self, name: &str) -> bool {
        self.written = if self.json { self.json(name) } else { writeln!(self.out, "{}", plain(name)) };
        self.count += 1;
        self.written.is_ok()
    }

    fn json(&mut self, name: &str) -> Result<()> {
        let before = if self.count == 0 { "{\"indexes\":[" } else { "," };
        write!(self.out, "{before}{}", serde_json::Value::from(name))
    }

    fn end(mut self) -> Outcome {
        let rest = match (self.json, self.count) {
            (false, _) => "",
            (true, 0) => "{\"indexes\":[]}\n",
            (true, _) => "]}\n",
        };
        let written = self.written.and_then(|()| self.out.write_all(rest.as_bytes()));
        written.map_err(|error| Failure::of_output(&error))?;
        end(self.out)
    }
}
