//! A stored record against its slot: what drifted, and what is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::blob::{Kind, Record, State, WrappedKek};
use crate::engine::{Core, Rotation};
use crate::error::{Result, fail};
use crate::name::IndexName;
use crate::registry::Slot;

/// One write that an index needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Rewrap,
    RotateKek,
    RotateDataKey,
    Delete,
}

impl Step {
    /// The rotation that it is; `None` for a deletion.
    pub(super) fn rotation(self) -> Option<Rotation> {
        match self {
            Step::Rewrap => Some(Rotation::Rewrap),
            Step::RotateKek => Some(Rotation::Kek),
            Step::RotateDataKey => Some(Rotation::DataKey),
            Step::Delete => None,
        }
    }
}

/// What is to become of an index.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: it is as its slot says.
    Keep,
    /// Nothing that sync may do: the caller has its KEK, or it is stopped.
    Leave {
        /// Whether it is not as its slot says.
        has_drifted: bool,
    },
    /// These, in this order.
    Do(Vec<Step>),
}

/// Plans by the configuration of this moment. `done`: what this sync did to the index already, which is not due again.
pub(super) fn plan(core: &Core, name: &IndexName, record: &Record, now: i64, done: &[Step]) -> Result<Plan> {
    if record.state == State::PendingDeletion {
        if record.deletion_at == 0 {
            return Err(fail!(
                Corrupt,
                "index {name} is to be deleted, but its record does not say when: cancel the deletion, or delete it"
            ));
        }
        if record.deletion_at <= now {
            return Ok(Plan::Do(vec![Step::Delete]));
        }
    }
    if record.wrap.provider == "none" {
        return Ok(Plan::Leave { has_drifted: false });
    }
    let slot = core.slot(&record.wrap.kms_name).map_err(|error| error.context(format!("index {name}")))?;
    let has_drifted = has_drifted(&core.config.load().slots, &slot, record);
    if record.state != State::Enabled {
        return Ok(Plan::Leave { has_drifted });
    }
    let steps = steps(&slot, record, has_drifted, now, done);
    Ok(if steps.is_empty() { Plan::Keep } else { Plan::Do(steps) })
}

/// Whether the wraps are by other keys than the slot, and the recipients that it names, wrap with now.
fn has_drifted(slots: &BTreeMap<String, Arc<Slot>>, slot: &Slot, record: &Record) -> bool {
    let is_there = |recipient: &String| {
        let slot = slots.get(recipient);
        slot.is_some_and(|slot| record.recipients.iter().any(|wrap| is_by(slot, wrap)))
    };
    !is_by(slot, &record.wrap)
        || record.recipients.len() != slot.recipients.len()
        || !slot.recipients.iter().all(is_there)
}

fn is_by(slot: &Slot, wrap: &WrappedKek) -> bool {
    wrap.kms_name == slot.name
        && wrap.provider == slot.provider.as_str()
        && wrap.key_id == slot.key_id
        && wrap.region == slot.region
}

fn steps(slot: &Slot, record: &Record, has_drifted: bool, now: i64, done: &[Step]) -> Vec<Step> {
    let is_done = |step| done.contains(&step);
    let is_wrapped = is_done(Step::Rewrap) || is_done(Step::RotateKek);
    let is_kek_due = !is_done(Step::RotateKek) && is_due(record.created_at, slot.rotate_kek_after, now);
    let current = record.data_key(record.current_data_key);
    let is_data_key_due = !is_done(Step::RotateDataKey)
        && current.is_some_and(|key| is_due(key.created_at, slot.rotate_data_key_after, now));
    // Every write sets that time. So what is written by schedule is rewrapped as well, or that would never be due.
    let written_at = if record.updated_at == 0 { record.created_at } else { record.updated_at };
    let is_rewrap_due = !is_wrapped
        && (is_due(written_at, slot.rewrap_after, now) || (is_data_key_due && !slot.rewrap_after.is_zero()));

    let mut steps = Vec::new();
    if is_kek_due && record.kind == Kind::Ours {
        steps.push(Step::RotateKek);
    } else if has_drifted || is_rewrap_due {
        steps.push(Step::Rewrap);
    } else if is_kek_due {
        // Refused, for CyborgDB's kind: whoever set that schedule is to hear of it.
        steps.push(Step::RotateKek);
    }
    if is_data_key_due {
        steps.push(Step::RotateDataKey);
    }
    steps
}

/// Whether what is from `since` has passed its time; 0: never.
fn is_due(since: i64, after: Duration, now: i64) -> bool {
    // A part of a second counts as one.
    let seconds = i64::try_from(after.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    seconds != 0 && since.saturating_add(seconds) <= now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{Blob, DataKeyEntry};
    use crate::registry::Config;

    const NOW: i64 = 1_700_000_000;
    const DAY: i64 = 24 * 3600;

    fn slots(prod: &str) -> BTreeMap<String, Arc<Slot>> {
        let yaml = format!(
            "kms: {{registry: {{prod: {{provider: aws-kms, key_id: k1, region: us-east-1, {prod}}}, \
             west: {{provider: aws-kms, key_id: k1, region: us-west-2}}, file: {{provider: local, key_id: /k}}}}}}"
        );
        Config::parse(&yaml, None, &|_| None).unwrap().slots
    }

    fn wrap(kms_name: &str, provider: &str, key_id: &str, region: &str) -> WrappedKek {
        let [kms_name, provider, key_id, region] = [kms_name, provider, key_id, region].map(str::to_owned);
        WrappedKek { kms_name, provider, key_id, region, ..WrappedKek::default() }
    }

    /// Of ours, a day old, written just now.
    fn record() -> Record {
        let mut record = Record::from_blob(Blob { created_at: NOW - DAY, ..Blob::default() });
        let key = |id, age| DataKeyEntry { id, wrapped: Vec::new(), created_at: NOW - age, superseded_at: 0 };
        record.data_keys = vec![key(0, DAY), key(1, DAY), key(2, DAY)];
        record.current_data_key = 2;
        record.kind = Kind::Ours;
        record.updated_at = NOW;
        record.wrap = wrap("prod", "aws-kms", "k1", "us-east-1");
        record
    }

    fn planned(prod: &str, record: &Record, done: &[Step]) -> Vec<Step> {
        let slots = slots(prod);
        let slot = &slots["prod"];
        steps(slot, record, has_drifted(&slots, slot, record), NOW, done)
    }

    #[test]
    fn each_field_of_a_wrap_can_drift() {
        assert_eq!(planned("", &record(), &[]), []);
        for drifted in [
            wrap("prod", "local", "k1", "us-east-1"),
            wrap("prod", "aws-kms", "k2", "us-east-1"),
            wrap("prod", "aws-kms", "k1", ""),
        ] {
            assert_eq!(planned("", &Record { wrap: drifted, ..record() }, &[]), [Step::Rewrap]);
        }
    }

    #[test]
    fn recipients_are_those_that_the_slot_names_in_any_order() {
        let west = wrap("west", "aws-kms", "k1", "us-west-2");
        let file = wrap("file", "local", "/k", "");
        let of = |recipients: &[&WrappedKek]| Record {
            recipients: recipients.iter().map(|wrap| (*wrap).clone()).collect(),
            ..record()
        };
        let both = "recipients: [west, file]";
        assert_eq!(planned(both, &of(&[&west, &file]), &[]), []);
        assert_eq!(planned(both, &of(&[&file, &west]), &[]), []);
        let moved = WrappedKek { region: "eu-west-1".to_owned(), ..west.clone() };
        for missing in [of(&[]), of(&[&west]), of(&[&west, &west]), of(&[&moved, &file])] {
            assert_eq!(planned(both, &missing, &[]), [Step::Rewrap]);
        }
        assert_eq!(planned("", &of(&[&west]), &[]), [Step::Rewrap], "one that is no longer named");
    }

    #[test]
    fn schedules_count_from_the_time_that_each_is_about() {
        for (schedule, step) in
            [("rotate_kek_after", Step::RotateKek), ("rotate_data_key_after", Step::RotateDataKey)]
        {
            assert_eq!(planned(&format!("{schedule}: 1d"), &record(), &[]), [step]);
            assert_eq!(planned(&format!("{schedule}: 86401s"), &record(), &[]), []);
            assert_eq!(planned(&format!("{schedule}: 86399s 1ms"), &record(), &[]), [step]);
            assert_eq!(planned(&format!("{schedule}: 0"), &record(), &[]), []);
            assert_eq!(planned(&format!("{schedule}: 1d"), &record(), &[step]), [], "once is enough");
        }
        let mut young = record();
        young.data_keys[2].created_at = NOW;
        assert_eq!(planned("rotate_data_key_after: 1d", &young, &[]), [], "the current one counts");
        let future = Record { created_at: i64::MAX, ..record() };
        assert_eq!(planned("rotate_kek_after: 1d", &future, &[]), []);
        let past = Record { created_at: i64::MIN, ..record() };
        assert_eq!(planned("rotate_kek_after: 1d", &past, &[]), [Step::RotateKek]);
    }

    #[test]
    fn a_rewrap_counts_from_the_last_write_and_goes_with_every_other() {
        let written = |updated_at| Record { updated_at, ..record() };
        assert_eq!(planned("rewrap_after: 1h", &written(NOW - 3599), &[]), []);
        assert_eq!(planned("rewrap_after: 1h", &written(NOW - 3600), &[]), [Step::Rewrap]);
        assert_eq!(planned("rewrap_after: 1d", &written(0), &[]), [Step::Rewrap], "CyborgDB writes no time");
        assert_eq!(planned("rewrap_after: 1h", &written(NOW - 3600), &[Step::Rewrap]), []);
        let both = "rewrap_after: 90d, rotate_data_key_after: 1d";
        assert_eq!(planned(both, &record(), &[]), [Step::Rewrap, Step::RotateDataKey]);
        assert_eq!(planned(both, &record(), &[Step::Rewrap]), [Step::RotateDataKey]);
        // A new KEK is wrapped anew, too.
        let all = "rewrap_after: 1h, rotate_kek_after: 1d, rotate_data_key_after: 1d";
        assert_eq!(planned(all, &written(NOW - 3600), &[]), [Step::RotateKek, Step::RotateDataKey]);
        assert_eq!(planned(all, &record(), &[Step::RotateKek]), [Step::RotateDataKey]);
    }

    #[test]
    fn a_record_of_cyborgdbs_kind_has_only_its_wrap() {
        let seedy = Record { kind: Kind::CyborgDb, data_keys: Vec::new(), current_data_key: 0, ..record() };
        assert_eq!(planned("rotate_data_key_after: 1d", &seedy, &[]), []);
        assert_eq!(planned("rotate_kek_after: 1d", &seedy, &[]), [Step::RotateKek], "which is refused");
        let moved = Record { wrap: wrap("prod", "aws-kms", "k2", "us-east-1"), ..seedy };
        assert_eq!(planned("rotate_kek_after: 1d", &moved, &[]), [Step::Rewrap]);
    }
}
