//! Every stored record against the registry: what drifted is wrapped anew, what is due is rotated or deleted.

mod names;
mod plan;
mod report;
mod visit;
mod workers;

use std::sync::Arc;

use self::names::Names;
use self::report::Report;
use self::visit::{Visit, Visitor};
use self::workers::Workers;
use super::{Core, Engine};
use crate::call::{Call, CancelToken};
use crate::error::{Error, Result, Status, fail};
use crate::name::IndexName;
use crate::provider::Pacer;

/// Indexes at once, where the caller does not say.
const CONCURRENCY: u32 = 8;
/// At most: each has a thread.
const MAX_CONCURRENCY: u32 = 256;
/// At most, as in the configuration.
const MAX_RATE: u32 = 1_000_000;

/// How a sync is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncOptions {
    /// Says what would be done, and does nothing. No KMS is asked.
    pub dry_run: bool,
    /// How many indexes at once, at most 256; 0: 8.
    pub concurrency: u32,
    /// Requests a second to each slot's KMS, at most 1,000,000; 0: the slot's `requests_per_second`.
    pub requests_per_second: u32,
}

impl Engine {
    /// Brings every index in order and gives a report as JSON (`docs/operating.md`). `progress` hears of each index on
    /// the calling thread: how many are done, of how many, its name, and its status; it returns false to stop.
    ///
    /// What fails for one index is in the report, and the others go on. Only what concerns all of them is an error: the
    /// store can't be listed, the call was cancelled or took too long. What is done stays done then, too.
    pub fn sync(
        &self,
        options: &SyncOptions,
        mut progress: impl FnMut(u64, u64, &str, Status) -> bool,
    ) -> Result<String> {
        check(options)?;
        let (core, call) = (self.core(), self.call());
        let total = names::count(&*core.store, &call)?;
        let report = Report::new(options.dry_run, total, core.clock.unix_seconds());
        let mut sync = Sync { core, call: &call, report, progress: &mut progress };
        let ended = sync.run(options, threads(core, options, total));
        let Sync { report, .. } = sync;
        match ended {
            Ok(()) => report.end(core.clock.unix_seconds()),
            Err(error) => Err(incomplete(error, &report)),
        }
    }
}

fn check(options: &SyncOptions) -> Result<()> {
    for (name, value, most) in [
        ("concurrency", options.concurrency, MAX_CONCURRENCY),
        ("requests_per_second", options.requests_per_second, MAX_RATE),
    ] {
        if value > most {
            return Err(fail!(InvalidArgument, "{name} is {value}: at most {most}, or 0 for the default"));
        }
    }
    Ok(())
}

/// 0: all is done on the caller's.
fn threads(core: &Core, options: &SyncOptions, total: u64) -> usize {
    let wanted = if options.concurrency == 0 { CONCURRENCY } else { options.concurrency };
    let useful = u64::from(wanted).min(total) as usize;
    if core.store.is_caller_thread_only() || useful <= 1 { 0 } else { useful }
}

fn incomplete(error: Error, report: &Report) -> Error {
    let (done, total) = report.progress();
    error.context(format!(
        "sync was ended after {done} of {total} indexes (what is done stays done; run it again for the others)"
    ))
}

/// A sync under way, as its caller's thread sees it.
struct Sync<'a> {
    core: &'a Arc<Core>,
    call: &'a Call,
    report: Report,
    progress: &'a mut dyn FnMut(u64, u64, &str, Status) -> bool,
}

impl Sync<'_> {
    fn run(&mut self, options: &SyncOptions, threads: usize) -> Result<()> {
        let stop = CancelToken::default();
        let rate = Some(options.requests_per_second).filter(|rate| *rate != 0);
        let pacer = Arc::new(Pacer::new(rate, stop.clone()));
        let visitor = Visitor {
            core: Arc::clone(self.core),
            call: self.call.paced_by(&pacer),
            dry_run: options.dry_run,
            stop,
        };
        let store = Arc::clone(&self.core.store);
        let names = Names::new(&*store, self.call);
        if threads == 0 { self.run_here(&visitor, names) } else { self.run_on(visitor, threads, names) }
    }

    fn run_here(&mut self, visitor: &Visitor, names: Names<'_>) -> Result<()> {
        for name in names {
            let name = name?;
            let visit = visitor.visit(&name);
            self.tell(&name, visit)?;
            if self.report.stopped {
                break;
            }
        }
        Ok(())
    }

    fn run_on(&mut self, visitor: Visitor, threads: usize, mut names: Names<'_>) -> Result<()> {
        let stop = visitor.stop.clone();
        let mut workers = Workers::start(Arc::new(visitor), threads)?;
        loop {
            while !self.report.stopped && workers.has_room() {
                let Some(name) = names.next() else { break };
                workers.give(name?)?;
            }
            let Some((name, visit)) = workers.take()? else { return Ok(()) };
            self.tell(&name, visit)?;
            if self.report.stopped {
                stop.cancel();
            }
        }
    }

    /// Adds a visit to the report, and has the caller hear of it unless he has stopped.
    fn tell(&mut self, name: &IndexName, visit: Visit) -> Result<()> {
        let status = self.report.add(name, visit);
        self.call.check("sync")?;
        if let Some(status) = status.filter(|_| !self.report.stopped) {
            let (done, total) = self.report.progress();
            self.report.stopped = !(self.progress)(done, total, name.as_str(), status);
        }
        Ok(())
    }
}
