//! The command `cyborg-kms`: what an operator does with the indexes of a database engine. `docs/command.md` has each
//! subcommand, what it prints, and the exit codes.

mod arguments;
mod commands;
mod configuration;
mod failure;
mod key;
mod notice;
mod output;
mod pages;
mod session;

use std::process::ExitCode;

use clap::Parser;
use cyborg_kms::sys::allocator::WipingAllocator;

use crate::arguments::Arguments;
use crate::failure::{Failure, exit_code};

/// Keys pass through the buffers of a KMS's client, too.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return pages::usage(&error),
    };
    notice::start(arguments.common.log, arguments.common.json);
    match commands::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has what was wanted: `cyborg-kms list | head -1`.
        Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Error(error)) => {
            notice::error(&error);
            ExitCode::from(exit_code(error.status()))
        }
    }
}
