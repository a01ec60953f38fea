//! How a record changes in a store that has no conditional remove, and whose refusals are no proof: an object store's
//! ways, over a store in memory.

use std::collections::VecDeque;
use std::sync::Mutex;

use cyborg_kms::blob::{self, Blob, Change, Kind, Record, State};
use cyborg_kms::call::Call;
use cyborg_kms::error::{Error, Result, Status};
use cyborg_kms::name::IndexName;
use cyborg_kms::store::{Expected, MemoryStore, Store, Stored};

/// What happens to a write.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It works, and is refused all the same: a repetition was refused, or the server says 409.
    Echo,
    /// It is refused before anything happens.
    Refused,
    /// It works, and the answer says 500.
    Broken,
    /// It does not work, and the answer says so many requests are too many.
    Throttled,
    /// It works, and so does what others do to the record after it.
    Outrun,
}

#[derive(Debug, Default)]
struct Bucket {
    records: MemoryStore,
    faults: Mutex<VecDeque<Fault>>,
    /// How many reads work before they fail.
    reads_left: Mutex<Option<usize>>,
}

impl Bucket {
    fn with(faults: &[Fault]) -> Bucket {
        Bucket { faults: Mutex::new(faults.iter().copied().collect()), ..Bucket::default() }
    }

    fn record(&self) -> Record {
        let stored = self.records.get(&Call::unbounded(), &name()).unwrap().expect("there is a record");
        Record::decode(&stored.bytes).unwrap()
    }

    /// So many writes of others, which keep what they do not change.
    fn others_write(&self, writes: usize) {
        for version in 0..writes {
            let blob = Blob { version: 100 + version as u32, ..Blob::default() };
            blob::push(&self.records, &Call::unbounded(), &name(), 7, &blob).unwrap();
        }
    }
}

fn refusal(expected: Expected<'_>) -> Error {
    let status = if matches!(expected, Expected::Absent) { Status::AlreadyExists } else { Status::Conflict };
    Error::new(status, "refused").with_outcome_unknown()
}

impl Store for Bucket {
    fn get(&self, call: &Call, name: &IndexName) -> Result<Option<Stored>> {
        if let Some(left) = self.reads_left.lock().unwrap().as_mut() {
            if *left == 0 {
                return Err(Error::new(Status::Timeout, "no answer to a read"));
            }
            *left -= 1;
        }
        self.records.get(call, name)
    }

    fn put(&self, call: &Call, name: &IndexName, bytes: &[u8], expected: Expected<'_>) -> Result<()> {
        let fault = self.faults.lock().unwrap().pop_front();
        let throttled = Error::new(Status::Throttled, "slow down").with_outcome_unknown();
        let broken = Error::new(Status::Storage, "500").with_retryable(true).with_outcome_unknown();
        match fault {
            Some(Fault::Refused) => return Err(refusal(expected)),
            Some(Fault::Throttled) => return Err(throttled),
            _ => {}
        }
        let done = self.records.put(call, name, bytes, expected);
        match (done, fault) {
            (Err(error), _) if matches!(error.status(), Status::AlreadyExists | Status::Conflict) => {
                Err(refusal(expected))
            }
            (Err(error), _) => Err(error),
            (Ok(()), Some(Fault::Echo)) => Err(refusal(expected)),
            (Ok(()), Some(Fault::Broken)) => Err(broken),
            (Ok(()), Some(Fault::Outrun)) => {
                self.others_write(16);
                Err(refusal(expected))
            }
            (Ok(()), _) => Ok(()),
        }
    }

    fn remove(&self, call: &Call, name: &IndexName, expected: Expected<'_>) -> Result<()> {
        assert!(matches!(expected, Expected::Any), "it removes without a condition only");
        let lost = self.faults.lock().unwrap().pop_front().is_some();
        self.records.remove(call, name, Expected::Any)?;
        if lost { Err(Error::new(Status::Timeout, "no answer").with_outcome_unknown()) } else { Ok(()) }
    }

    fn list(
        &self,
        call: &Call,
        after: Option<&IndexName>,
        visit: &mut dyn FnMut(&IndexName) -> bool,
    ) -> Result<()> {
        self.records.list(call, after, visit)
    }

    fn removes_conditionally(&self) -> bool {
        false
    }
}

fn name() -> IndexName {
    IndexName::new("a").unwrap()
}

fn sample(version: u32) -> Blob {
    Blob { provider: "local".to_owned(), wrapped_kek: vec![7; 60], version, created_at: 5, ..Blob::default() }
}

fn create(bucket: &Bucket) -> Result<()> {
    blob::create(bucket, &Call::unbounded(), &name(), 1, &sample(1))
}

fn push(bucket: &Bucket, version: u32) -> Result<()> {
    blob::push(bucket, &Call::unbounded(), &name(), 2, &sample(version))
}

fn remove(bucket: &Bucket) -> Result<Option<Record>> {
    blob::change(bucket, &Call::unbounded(), &name(), 3, &mut |_| Ok(Change::Remove))
}

#[test]
fn a_removed_record_leaves_a_tombstone_that_a_create_replaces() {
    let bucket = Bucket::default();
    assert_eq!(remove(&bucket).unwrap(), None);
    assert!(bucket.records.get(&Call::unbounded(), &name()).unwrap().is_none(), "nothing makes no tombstone");
    create(&bucket).unwrap();
    let before = bucket.record();
    assert_eq!(remove(&bucket).unwrap(), None);
    let tombstone = bucket.record();
    assert!(tombstone.is_tombstone());
    // CyborgDB's get refuses this kind instead of handing out a record without a wrap.
    assert_eq!((tombstone.kind, tombstone.state), (Kind::Ours, State::Deleted));
    assert_eq!(tombstone.wrap, Default::default());
    assert!(
        tombstone.data_keys.is_empty() && tombstone.former_keks.is_empty() && tombstone.recipients.is_empty()
    );
    assert_eq!((tombstone.envelope_version, tombstone.created_at, tombstone.updated_at), (1, 5, 3));
    assert_eq!(tombstone.write_ids[..1], before.write_ids[..]);
    assert_eq!(tombstone.write_ids.len(), 2);

    assert_eq!(blob::get(&bucket, &Call::unbounded(), &name()).unwrap_err().status(), Status::NotFound);
    let bytes = bucket.records.get(&Call::unbounded(), &name()).unwrap().unwrap().bytes;
    assert_eq!(remove(&bucket).unwrap(), None);
    let unchanged = bucket.records.get(&Call::unbounded(), &name()).unwrap().unwrap().bytes;
    assert_eq!(bytes, unchanged, "a tombstone is not buried again");
    create(&bucket).unwrap();
    assert_eq!(blob::get(&bucket, &Call::unbounded(), &name()).unwrap(), sample(1));
    assert_eq!(create(&bucket).unwrap_err().status(), Status::AlreadyExists);
}

#[test]
fn a_push_brings_a_deleted_record_back_and_a_delete_takes_the_tombstone_too() {
    let bucket = Bucket::default();
    create(&bucket).unwrap();
    remove(&bucket).unwrap();
    push(&bucket, 3).unwrap();
    assert_eq!(blob::get(&bucket, &Call::unbounded(), &name()).unwrap(), sample(3));
    remove(&bucket).unwrap();
    blob::delete(&bucket, &Call::unbounded(), &name()).unwrap();
    assert!(bucket.records.get(&Call::unbounded(), &name()).unwrap().is_none());
}

#[test]
fn a_tombstone_is_made_once_when_its_answer_is_lost() {
    for fault in [Fault::Echo, Fault::Broken] {
        let bucket = Bucket::default();
        create(&bucket).unwrap();
        bucket.faults.lock().unwrap().push_back(fault);
        assert_eq!(remove(&bucket).unwrap(), None, "{fault:?}");
        assert_eq!(bucket.record().write_ids.len(), 2, "{fault:?}");
    }
}

#[test]
fn a_store_that_compares_removes_for_good() {
    let store = MemoryStore::new();
    blob::create(&store, &Call::unbounded(), &name(), 1, &sample(1)).unwrap();
    blob::change(&store, &Call::unbounded(), &name(), 2, &mut |_| Ok(Change::Remove)).unwrap();
    assert!(store.get(&Call::unbounded(), &name()).unwrap().is_none());
}

#[test]
fn a_refusal_of_our_own_write_is_a_success() {
    for fault in [Fault::Echo, Fault::Broken] {
        let bucket = Bucket::with(&[fault]);
        create(&bucket).unwrap();
        assert_eq!(bucket.record().write_ids.len(), 1, "{fault:?}");
        bucket.faults.lock().unwrap().push_back(fault);
        push(&bucket, 2).unwrap();
        assert_eq!(bucket.record().envelope_version, 2, "{fault:?}");
        assert_eq!(bucket.record().write_ids.len(), 2, "{fault:?}");
    }
}

#[test]
fn a_refusal_of_nothing_is_tried_again() {
    let bucket = Bucket::with(&[Fault::Refused; 5]);
    create(&bucket).unwrap();
    bucket.faults.lock().unwrap().extend([Fault::Refused; 5]);
    push(&bucket, 2).unwrap();
    assert_eq!(bucket.record().envelope_version, 2);
}

#[test]
fn only_a_seen_record_already_exists() {
    let bucket = Bucket::default();
    bucket.others_write(1);
    let error = create(&bucket).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::AlreadyExists, false));
    // Nobody can look: nobody may say that it exists.
    let blind = Bucket { reads_left: Mutex::new(Some(1)), ..Bucket::with(&[Fault::Echo]) };
    let error = create(&blind).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::Timeout, true));
}

#[test]
fn a_store_that_refuses_for_no_reason_is_not_believed() {
    let bucket = Bucket::with(&[Fault::Refused; 100]);
    let error = create(&bucket).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::Storage, false), "{error}");
    assert!(error.is_retryable() && error.message().contains("nobody has changed"), "{error}");
    assert!(bucket.records.get(&Call::unbounded(), &name()).unwrap().is_none());
    let error = push(&bucket, 2).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::Storage, false), "{error}");
}

#[test]
fn what_sixteen_writes_of_others_hide_is_said_to_be_unknown() {
    let bucket = Bucket::default();
    create(&bucket).unwrap();
    bucket.others_write(3);
    bucket.faults.lock().unwrap().push_back(Fault::Outrun);
    let error = push(&bucket, 2).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::Conflict, true), "{error}");
}

#[test]
fn a_throttling_store_is_not_asked_again_at_once() {
    let bucket = Bucket::with(&[Fault::Throttled]);
    let error = create(&bucket).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::Throttled, false), "{error}");
    assert!(error.is_retryable());
    create(&bucket).unwrap();
}

#[test]
fn a_delete_whose_answer_is_lost_looks() {
    let bucket = Bucket::default();
    create(&bucket).unwrap();
    bucket.faults.lock().unwrap().push_back(Fault::Broken);
    blob::delete(&bucket, &Call::unbounded(), &name()).unwrap();
    bucket.faults.lock().unwrap().push_back(Fault::Broken);
    *bucket.reads_left.lock().unwrap() = Some(0);
    let error = blob::delete(&bucket, &Call::unbounded(), &name()).unwrap_err();
    assert_eq!((error.status(), error.is_outcome_unknown()), (Status::Timeout, true), "{error}");
}
