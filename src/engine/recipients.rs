//! One KEK in the care of several slots: another region, another cloud, a key in escrow. The index's own slot is asked
//! first; the others when it does not answer. Its refusal counts, also where it comes late.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::Core;
use crate::blob::{Record, WrappedKek};
use crate::cache::is_passing;
use crate::call::{Call, CancelToken};
use crate::crypto::derive::{constant_time_eq, kek_check};
use crate::error::{Error, Result, fail};
use crate::log::{Fields, Level, write};
use crate::name::IndexName;
use crate::provider::Unwrapped;
use crate::registry::Slot;

/// How long to wait for anything at once where nothing else limits it.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A wrap and the slot that can undo it.
type Candidate = (Arc<Slot>, WrappedKek);

/// What one of those asked has answered; 0 is the index's own slot.
type Answer = (usize, Result<Unwrapped>);

impl Core {
    /// The KEK by the record's own slot, or by its recipients where that is silent.
    pub(super) fn unwrap_by_any(
        self: &Arc<Core>,
        call: &Call,
        name: &IndexName,
        slot: &Arc<Slot>,
        record: &Record,
    ) -> Result<Unwrapped> {
        let mut candidates = VecDeque::from([(Arc::clone(slot), record.wrap.clone())]);
        candidates.extend(self.recipients_of(name, slot, record));
        if candidates.len() == 1 {
            return self.unwrap(call, name, slot, &record.wrap);
        }
        let (answers, answered) = channel();
        let race = Race {
            core: self,
            call,
            name,
            slot,
            kek_check: record.kek_check.as_ref(),
            answers,
            is_over: Arc::default(),
            losers: self.ended.child(),
            asked: 0,
            waiting: 0,
        };
        race.run(candidates, &answered)
    }

    /// The record's further wraps that may be used: by slots that the configuration names as recipients, in its order.
    fn recipients_of(&self, name: &IndexName, slot: &Slot, record: &Record) -> Vec<Candidate> {
        let find = |recipient: &String| {
            let wrap = record.recipients.iter().find(|wrap| wrap.kms_name == *recipient)?;
            match self.slot_of(name, wrap) {
                Ok(slot) => Some((slot, wrap.clone())),
                Err(error) => {
                    let fields = Fields::new().text("index", name.as_str()).text("slot", recipient);
                    let message = format!("a recipient can't be asked, a sync would mend it: {error}");
                    write(Level::Warn, "cyborg_kms::engine", &message, &fields);
                    None
                }
            }
        };
        slot.recipients.iter().filter_map(find).collect()
    }
}

/// Slots that are asked for one KEK.
struct Race<'a> {
    core: &'a Arc<Core>,
    call: &'a Call,
    name: &'a IndexName,
    slot: &'a Slot,
    kek_check: Option<&'a [u8; 32]>,
    answers: Sender<Answer>,
    /// Set when another has answered: what comes later is no answer any more.
    is_over: Arc<AtomicBool>,
    /// Ends what nobody waits for. Not the index's own slot, whose refusal counts.
    losers: CancelToken,
    asked: usize,
    waiting: usize,
}

impl Race<'_> {
    fn run(mut self, mut candidates: VecDeque<Candidate>, answered: &Receiver<Answer>) -> Result<Unwrapped> {
        let result = self.ask_next(&mut candidates).and_then(|()| self.wait(candidates, answered));
        self.is_over.store(true, Ordering::SeqCst);
        self.losers.cancel();
        // What was told before that is not told again.
        match answered.try_iter().find(|answer| self.is_own_refusal(answer)) {
            Some((_, Err(refusal))) => Err(refusal),
            _ => result,
        }
    }

    fn is_own_refusal(&self, (number, result): &Answer) -> bool {
        let is_refusal = result.as_ref().is_err_and(|error| !is_passing(error.status()));
        *number == 0 && is_refusal && !self.slot.fallback_on_denied
    }

    fn wait(
        &mut self,
        mut candidates: VecDeque<Candidate>,
        answered: &Receiver<Answer>,
    ) -> Result<Unwrapped> {
        let mut silence = None;
        // A slot that refused late before is waited for: another would only hide its next refusal.
        let patience = if self.core.late_refusals.pin().contains_key(self.name.as_str()) {
            LONGEST_WAIT
        } else {
            self.slot.fallback_after
        };
        let mut next_at = Instant::now() + patience;
        loop {
            let hedge_in = next_at.saturating_duration_since(Instant::now());
            let until_next = if candidates.is_empty() { LONGEST_WAIT } else { hedge_in };
            match answered.recv_timeout(self.call.patience().map_or(until_next, |left| left.min(until_next)))
            {
                Ok((number, Ok(unwrapped))) if number == 0 || self.is_right(&unwrapped)? => {
                    if number == 0 {
                        self.core.late_refusals.pin().remove(self.name.as_str());
                    }
                    return Ok(unwrapped);
                }
                Ok(answer) if self.is_own_refusal(&answer) => return answer.1,
                Ok((number, answer)) => {
                    let error = answer.err().unwrap_or_else(|| self.another_kek());
                    self.waiting -= 1;
                    self.keep_first(&mut silence, number, error);
                    next_at = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => self.call.check("waiting for a KMS")?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(fail!(Internal, "no KMS is asked any more"));
                }
            }
            if !candidates.is_empty() && Instant::now() >= next_at {
                self.ask_next(&mut candidates)?;
                next_at = Instant::now() + self.slot.fallback_after;
            }
            if self.waiting == 0 && candidates.is_empty() {
                let error = silence.unwrap_or_else(|| fail!(KmsUnavailable, "no KMS has answered"));
                return Err(error.context(format!("none of {} slots gave the KEK", self.asked)));
            }
        }
    }

    /// Whether a recipient gave the record's KEK. The own slot's answer is checked by who opens the record.
    fn is_right(&self, unwrapped: &Unwrapped) -> Result<bool> {
        let Some(stored) = self.kek_check else { return Ok(true) };
        Ok(constant_time_eq(stored, &kek_check(&self.core.arena, &unwrapped.kek, self.name.as_str())?))
    }

    fn another_kek(&self) -> Error {
        fail!(
            Corrupt,
            "index {}: a recipient gave back another KEK; a sync after a rewrap would mend it",
            self.name
        )
    }

    /// What the index's own slot says is the error of them all.
    fn keep_first(&self, kept: &mut Option<Error>, number: usize, error: Error) {
        let fields = Fields::new().text("index", self.name.as_str()).text("slot", &self.slot.name);
        write(Level::Warn, "cyborg_kms::engine", &format!("one of several slots failed: {error}"), &fields);
        if number == 0 || kept.is_none() {
            *kept = Some(error);
        }
    }

    fn ask_next(&mut self, candidates: &mut VecDeque<Candidate>) -> Result<()> {
        let Some((slot, wrap)) = candidates.pop_front() else { return Ok(()) };
        let number = self.asked;
        self.asked += 1;
        self.waiting += 1;
        let ended = if number == 0 { &self.core.ended } else { &self.losers };
        let call = self.call.detached().cancelled_by(ended);
        let (core, name) = (Arc::clone(self.core), self.name.clone());
        let (answers, is_over) = (self.answers.clone(), Arc::clone(&self.is_over));
        let falls_back = self.slot.fallback_on_denied;
        self.core.hedges.spawn(move || {
            // Before the slot's own deadline begins: a wait for a sync's pace is no silence of the KMS's.
            let result =
                call.turn(&slot).and_then(|()| core.unwrap(&call.within(slot.deadline), &name, &slot, &wrap));
            let is_refusal = result.as_ref().is_err_and(|error| !is_passing(error.status()));
            let told = answers.send((number, result)).is_ok();
            if number == 0 && is_refusal && !falls_back && (!told || is_over.load(Ordering::SeqCst)) {
                core.refused_late(&name, &slot);
            }
        })
    }
}

impl Core {
    /// The index's own slot has said no after another had given the KEK: that ends its use.
    fn refused_late(&self, name: &IndexName, slot: &Slot) {
        self.late_refusals.pin().insert(name.as_str().into(), ());
        self.stop_use(name);
        let fields = Fields::new().text("index", name.as_str()).text("slot", &slot.name);
        let message = "the index's own slot refused after a recipient had given the KEK, which was evicted";
        write(Level::Warn, "cyborg_kms::engine", message, &fields);
    }
}
