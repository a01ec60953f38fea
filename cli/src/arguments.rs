//! The command line. Its texts are the help, the man pages and the completions.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Keys of the indexes of a database engine: look at them, rotate them, stop and delete them.
///
/// Reads the configuration that the engine reads, and changes the records that it keeps there; the engine may run
/// meanwhile. A key is never given on the command line, and never printed.
#[derive(Debug, Parser)]
#[command(name = "cyborg-kms", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Arguments {
    /// For each command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 failed; 2 command line or configuration wrong; 3 no such index or log; 4 denied, disabled or key
gone; 5 no answer in time, try again; 6 damaged, or verifying found a fault; 7 exists already, or changed by someone
else meanwhile; 130 interrupted.";

/// What each command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The configuration; else CYBORG_KMS_CONFIG, else ./cyborg_kms.yaml, else /etc/cyborg_kms/config.yaml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one line of JSON, and errors as JSON too
    #[arg(long, global = true)]
    pub json: bool,
    /// Who acts, for the audit log
    #[arg(long, global = true, value_name = "NAME")]
    pub principal: Option<String>,
    /// How long it may take, such as 30s (check: for each slot); else as long as the configuration lets it
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// The library's log lines on standard error, up to this level
    #[arg(long, global = true, value_name = "LEVEL", value_enum, default_value = "warn")]
    pub log: LogLevel,
}

/// How much of the library's log is shown.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off = 0,
    /// What is broken.
    Error = 1,
    /// What needs a look.
    Warn = 2,
    /// What an operator wants to know.
    Info = 3,
    /// Each call of a KMS.
    Debug = 4,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the slots of the configuration
    Slots,
    /// Have one slot, or each that has a KMS, wrap and unwrap random bytes
    Check {
        /// The slot; all without it
        slot: Option<String>,
    },
    /// List the indexes
    List {
        /// Begin behind this name
        #[arg(long, value_name = "INDEX")]
        start_after: Option<String>,
    },
    /// Show what is stored of an index; no KMS is asked
    Inspect {
        /// The index
        index: String,
    },
    /// Create an index with a random KEK, or with one of yours
    Create {
        /// The index
        index: String,
        /// The slot that wraps its KEK; "" for provider none
        slot: String,
        /// A KEK of yours
        #[command(flatten)]
        key: OwnKey,
    },
    /// Wrap the KEK anew, or give the index a new KEK or data key
    Rotate(Rotate),
    /// Forget a data key that no page uses any more
    RetireDataKey {
        /// The index
        index: String,
        /// The data key's id, see inspect
        id: u32,
        /// The KEK of an index of provider none
        #[command(flatten)]
        key: OwnKey,
    },
    /// Forget the former KEK that was in force at an envelope version
    RetireKek {
        /// The index
        index: String,
        /// The envelope version, see inspect
        version: u32,
        /// The KEK of an index of provider none
        #[command(flatten)]
        key: OwnKey,
    },
    /// Bring each index in order: wrap anew what drifted, rotate and delete what is due
    Sync(Sync),
    /// Refuse every use of an index
    Disable {
        /// The index
        index: String,
    },
    /// Undo disable
    Enable {
        /// The index
        index: String,
    },
    /// Refuse every use of an index, and have sync delete it later
    ScheduleDeletion {
        /// The index
        index: String,
        /// How long it can be taken back: 24 to 8760
        #[arg(long, value_name = "N")]
        hours: u32,
    },
    /// Undo schedule-deletion; the index stays disabled
    CancelDeletion {
        /// The index
        index: String,
    },
    /// Delete an index for good and print the receipt
    Delete {
        /// The index
        index: String,
        /// Don't ask for its name again
        #[arg(long)]
        yes: bool,
    },
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page, or write those of all subcommands to a folder
    Man {
        /// The folder
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

/// The subcommands of `audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Find the first line that was changed, removed or reordered
    Verify {
        /// The log: the audit.path of the configuration
        path: PathBuf,
        /// The key of its MACs: the audit.key_file of the configuration; without it no MAC is checked
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// What `audit head` printed earlier; without it a cut end can't be noticed
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Print number and hash of the last line, to be kept elsewhere
    Head {
        /// The log: the audit.path of the configuration
        path: PathBuf,
    },
}

/// `rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The index
    pub index: String,
    /// What is replaced.
    #[command(flatten)]
    pub what: What,
    /// The slot that wraps from now on, "" for provider none; else the index's own
    #[arg(long, value_name = "SLOT")]
    pub to: Option<String>,
    /// The KEK in use, of provider none.
    #[command(flatten)]
    pub key: OwnKey,
    /// The new KEK, where provider none has it from now on: 32 bytes as for --key-file
    #[arg(long, value_name = "FILE")]
    pub new_key_file: Option<PathBuf>,
}

/// `sync`.
#[derive(Debug, Args)]
pub struct Sync {
    /// Say what would be done, and do nothing; no KMS is asked
    #[arg(long)]
    pub dry_run: bool,
    /// How many indexes at once: 1 to 256
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub concurrency: u32,
    /// Requests a second to the KMS of each slot; else the slot's requests_per_second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
}

/// One of the three.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// The KEK's wrap: by the slot's current key, or by another slot (--to)
    #[arg(long)]
    pub rewrap: bool,
    /// The KEK; the former one is kept under it
    #[arg(long)]
    pub kek: bool,
    /// The key of new pages
    #[arg(long)]
    pub data_key: bool,
}

/// A KEK that the caller has.
#[derive(Debug, Args)]
pub struct OwnKey {
    /// Provider none: the KEK, 32 bytes raw, in hex or in base64, mode 0600
    #[arg(long, value_name = "FILE", conflicts_with = "key_stdin")]
    pub key_file: Option<PathBuf>,
    /// Provider none: the KEK on standard input, written likewise
    #[arg(long)]
    pub key_stdin: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "give a number and ms, s, m, h or d, such as 30s".to_owned())?;
    if duration.is_zero() { Err("give more than 0".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_timeout_has_a_unit_and_is_not_0() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "30", "0s", "-1s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
