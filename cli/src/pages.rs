//! What clap's texts are made into: help, messages on a wrong command line, man pages, completions.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use cyborg_kms::error::{Error, Status};

use crate::arguments::{Arguments, LogLevel};
use crate::failure::{Outcome, exit_code, failed};
use crate::{notice, output};

/// Help and version, which are asked for, or what is wrong with the command line.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Where nobody reads it there is nothing to do.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        notice::start(LogLevel::Off, true);
        notice::error(&Error::new(Status::InvalidArgument, message(error)));
    } else {
        let _ = error.print();
    }
    ExitCode::from(exit_code(Status::InvalidArgument))
}

/// The first paragraph of what clap says, which goes on with the usage.
fn message(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.trim_start_matches("error:").split_whitespace().collect();
    words.join(" ") + "; see --help"
}

/// The completions for a shell.
pub fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "cyborg-kms", &mut script);
    output::write(&script)
}

/// The man page of the command; with a folder, those of the subcommands too, as files there.
pub fn man(folder: Option<&Path>) -> Outcome {
    let command = Arguments::command();
    if let Some(folder) = folder {
        let cannot = |error| {
            failed(
                Status::Storage,
                format!("the man pages can't be written to {folder:?}: {error}; make that folder"),
            )
        };
        return clap_mangen::generate_to(command, folder).map_err(cannot);
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page).and_then(|()| page.flush());
    rendered.map_err(|error| failed(Status::Internal, format!("the man page: {error}; please report it")))?;
    output::write(&page)
}
