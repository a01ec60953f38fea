//! One KEK wrapped by several slots: who is asked when, whose refusal counts, what a rotation wraps.

mod engine_support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cyborg_kms::blob::Record;
use cyborg_kms::call::Call;
use cyborg_kms::clock::Clock;
use cyborg_kms::engine::{Engine, Rotation};
use cyborg_kms::error::Status;
use cyborg_kms::name::IndexName;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::store::Store;
use engine_support::{Behaviour, ManualClock, Provider, TestStore, open, seal, status, until};

struct Several {
    engine: Engine,
    clock: Arc<ManualClock>,
    store: Arc<TestStore>,
    /// The KMSes of the slots `own`, `second`, `third`.
    kms: [Arc<Provider>; 3],
}

fn yaml(own: &str) -> String {
    let slot = |name: &str, more: &str| {
        format!("    {name}: {{provider: 'external:{name}', key_id: k-{name}, max_retries: 0{more}}}\n")
    };
    format!(
        "cache: {{refresh_ahead: 0}}\nkms:\n  registry:\n{}{}{}",
        slot("own", &format!(", {own}")),
        slot("second", ""),
        slot("third", "")
    )
}

const BOTH: &str = "recipients: [second, third], fallback_after: 20ms";

impl Several {
    fn new(own: &str) -> Several {
        Several::over(TestStore::new(), own)
    }

    fn over(store: Arc<TestStore>, own: &str) -> Several {
        let clock = ManualClock::new();
        let engine = Engine::open_yaml_with_store(
            &yaml(own),
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .unwrap();
        let kms = ["own", "second", "third"].map(|name| {
            let provider = Provider::new();
            engine.register_provider(name, Arc::clone(&provider) as Arc<dyn ExternalCallbacks>).unwrap();
            provider
        });
        Several { engine, clock, store, kms }
    }

    /// With an index of which nothing is cached.
    fn cold(own: &str) -> Several {
        let several = Several::new(own);
        drop(several.engine.create("a", "own").unwrap());
        several.engine.evict(None);
        several
    }

    fn unwraps(&self) -> [usize; 3] {
        [0, 1, 2].map(|number: usize| self.kms[number].unwraps())
    }

    fn record(&self) -> Record {
        let name = IndexName::new("a").unwrap();
        Record::decode(&self.store.get(&Call::unbounded(), &name).unwrap().unwrap().bytes).unwrap()
    }

    fn let_go(&self) {
        for kms in &self.kms {
            kms.set(Behaviour::Work);
            kms.release();
        }
    }
}

#[test]
fn creation_wraps_under_all_or_fails() {
    let several = Several::new(BOTH);
    let index = several.engine.create("a", "own").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    let record = several.record();
    let names: Vec<&str> = record.recipients.iter().map(|wrap| wrap.kms_name.as_str()).collect();
    assert_eq!(names, ["second", "third"]);
    assert!(record.recipients.iter().all(|wrap| wrap.wrapped_kek != record.wrap.wrapped_kek));
    assert_eq!(open(&index, &sealed).unwrap(), b"page");

    several.kms[2].set(Behaviour::Fail(Status::KmsUnavailable));
    let error = several.engine.create("b", "own").unwrap_err();
    assert_eq!(error.status(), Status::KmsUnavailable);
    assert!(error.message().contains("recipient \"third\""), "{error}");
    assert_eq!(status(several.engine.open_index("b")), Status::NotFound);
}

#[test]
fn only_the_first_is_asked_while_it_answers() {
    let several = Several::cold("recipients: [second, third], fallback_after: 60s");
    let before = several.unwraps();
    several.engine.open_index("a").unwrap();
    let after = several.unwraps();
    assert_eq!([0, 1, 2].map(|n: usize| after[n] - before[n]), [1, 0, 0]);
}

#[test]
fn silence_of_one_makes_the_next_be_asked() {
    for silence in [Status::KmsUnavailable, Status::Throttled, Status::Timeout] {
        let several = Several::cold(BOTH);
        several.kms[0].set(Behaviour::Fail(silence));
        several.engine.open_index("a").unwrap();
        several.engine.evict(None);
        several.kms[1].set(Behaviour::Fail(silence));
        several.engine.open_index("a").unwrap();
        several.engine.evict(None);
        several.kms[2].set(Behaviour::Fail(silence));
        let error = several.engine.open_index("a").unwrap_err();
        assert_eq!(error.status(), silence);
        assert!(error.message().contains("none of 3 slots"), "{error}");
    }
}

#[test]
fn one_that_hangs_is_overtaken() {
    let several = Several::cold(BOTH);
    several.kms[0].set(Behaviour::Hang);
    several.kms[1].set(Behaviour::Hang);
    several.engine.open_index("a").unwrap();
    several.let_go();
}

#[test]
fn a_refusal_by_the_first_counts() {
    for refusal in [Status::AccessDenied, Status::KeyDisabled, Status::KeyNotFound] {
        let several = Several::cold("recipients: [second], fallback_after: 60s");
        several.kms[0].set(Behaviour::Fail(refusal));
        let before = several.unwraps();
        assert_eq!(status(several.engine.open_index("a")), refusal);
        assert_eq!(several.unwraps()[1], before[1], "the other was asked");

        let several = Several::cold("recipients: [second], fallback_after: 60s, fallback_on_denied: true");
        several.kms[0].set(Behaviour::Fail(refusal));
        several.engine.open_index("a").unwrap();
    }
}

#[test]
fn a_refusal_by_another_does_not() {
    let several = Several::cold(BOTH);
    several.kms[0].set(Behaviour::Fail(Status::KmsUnavailable));
    several.kms[1].set(Behaviour::Fail(Status::AccessDenied));
    several.engine.open_index("a").unwrap();
    several.engine.evict(None);
    several.kms[2].set(Behaviour::Fail(Status::AccessDenied));
    assert_eq!(status(several.engine.open_index("a")), Status::KmsUnavailable, "the first one's silence");
}

#[test]
fn a_refusal_that_comes_late_ends_the_use() {
    let several = Several::cold(BOTH);
    several.kms[0].set(Behaviour::Hang);
    let index = several.engine.open_index("a").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    until("the first one hangs", || several.kms[0].waiting.load(Ordering::SeqCst) == 1);
    // From now on it refuses, and the one that hung, too.
    several.kms[0].set(Behaviour::Fail(Status::AccessDenied));
    several.kms[0].refuse_released(Status::AccessDenied);
    several.kms[0].release();
    until("the key is evicted", || status(open(&index, &sealed)) == Status::AccessDenied);
}

#[test]
fn a_rotation_wraps_under_all() {
    for rotation in [Rotation::Rewrap, Rotation::Kek] {
        let several = Several::new(BOTH);
        let index = several.engine.create("a", "own").unwrap();
        let sealed = seal(&index, b"page").unwrap();
        let before = several.record();
        several.engine.rotate("a", rotation, None).unwrap();
        let after = several.record();
        assert_eq!(after.recipients.len(), 2);
        assert_ne!(after.kek_check == before.kek_check, rotation == Rotation::Kek);
        several.engine.evict(None);
        several.kms[0].set(Behaviour::Fail(Status::KmsUnavailable));
        assert_eq!(open(&index, &sealed).unwrap(), b"page", "by the second");

        several.let_go();
        several.kms[2].set(Behaviour::Fail(Status::KmsUnavailable));
        assert_eq!(status(several.engine.rotate("a", rotation, None)), Status::KmsUnavailable);
        assert_eq!(several.record(), after, "nothing was written");
    }
}

#[test]
fn what_the_configuration_no_longer_names_is_not_asked() {
    let several = Several::cold(BOTH);
    several.engine.reload(Some(&yaml("recipients: []"))).unwrap();
    several.kms[0].set(Behaviour::Fail(Status::KmsUnavailable));
    let before = several.unwraps();
    assert_eq!(status(several.engine.open_index("a")), Status::KmsUnavailable);
    assert_eq!(several.unwraps()[1..], before[1..]);
    several.let_go();
    several.engine.rotate("a", Rotation::Rewrap, None).unwrap();
    assert!(several.record().recipients.is_empty());
}

#[test]
fn a_recipient_that_gives_another_kek_is_passed_over() {
    let several = Several::cold(BOTH);
    several.kms[0].set(Behaviour::Fail(Status::KmsUnavailable));
    several.kms[1].set(Behaviour::Bytes(32));
    several.engine.open_index("a").unwrap();
    several.engine.evict(None);
    several.kms[2].set(Behaviour::Bytes(32));
    assert_eq!(status(several.engine.open_index("a")), Status::KmsUnavailable, "the own slot's silence");
}

#[test]
fn a_slot_that_refused_late_is_waited_for_from_then_on() {
    let several = Several::cold(BOTH);
    several.kms[0].set(Behaviour::Hang);
    several.kms[0].refuse_released(Status::AccessDenied);
    let index = several.engine.open_index("a").unwrap();
    let sealed = seal(&index, b"page").unwrap();
    until("the first one hangs", || several.kms[0].waiting.load(Ordering::SeqCst) == 1);
    let others = several.unwraps()[1];
    several.kms[0].release();
    until("its refusal has come", || several.kms[0].waiting.load(Ordering::SeqCst) == 0);
    // It takes its time again, longer than the others would be given.
    several.kms[0].set(Behaviour::Hang);
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            until("the late refusal has been noticed", || open(&index, &sealed).is_err());
            status(several.engine.open_index("a"))
        });
        until("it is asked again", || several.kms[0].waiting.load(Ordering::SeqCst) == 1);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(several.unwraps()[1], others, "another was asked in its place");
        several.kms[0].release();
        assert_eq!(opened.join().unwrap(), Status::AccessDenied);
    });
    // It gives the KEK again: all is as before.
    let again = Several::over(Arc::clone(&several.store), BOTH);
    again.engine.open_index("a").unwrap();
}

#[test]
fn the_end_of_the_engine_does_not_wait_for_ever() {
    let several = Several::cold(BOTH);
    several.kms[0].set(Behaviour::Hang);
    drop(several.engine.open_index("a").unwrap());
    let kms = several.kms[0].clone();
    let released = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        kms.release();
    });
    drop(several.engine);
    released.join().unwrap();
    several.clock.advance(1);
}
