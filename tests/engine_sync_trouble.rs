//! A sync in which something is wrong with an index, or others change it at the same time.

mod engine_support;
mod sync_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cyborg_kms::blob::{Record, State};
use cyborg_kms::engine::{Engine, Rotation, SyncOptions};
use cyborg_kms::error::Status;
use cyborg_kms::index::Index;
use cyborg_kms::provider::ExternalCallbacks;
use engine_support::{Behaviour, Bench, Meanwhile, Provider, TestStore, open, seal};
use serde_json::{Value, json};
use sync_support::{DAY, FAST, OTHER, assert_counts, create, failures, moved, record, set, sync, with_prod};

#[test]
fn whatever_is_wrong_with_one_index_the_others_go_on() {
    let second = "    away: {provider: 'external:second', key_id: k1, max_retries: 0}\n    \
                  gone: {provider: 'external:test', key_id: k1, max_retries: 0}\n";
    let bench = Bench::new(&format!("{OTHER}{second}"));
    let provider = Provider::new();
    bench.engine.register_provider("second", Arc::clone(&provider) as Arc<dyn ExternalCallbacks>).unwrap();
    for (name, slot) in [("away", "away"), ("fine", "prod"), ("gone", "gone"), ("z fine", "prod")] {
        drop(bench.engine.create(name, slot).unwrap());
    }
    bench.store.set_bytes("corrupt", b"no record");
    bench.cold("foreign");
    set(&bench, "foreign", |record| record.wrap.wrapped_kek[0] ^= 1);
    bench.cold("no time");
    set(&bench, "no time", |record| record.state = State::PendingDeletion);
    let away = second.replace(
        "away: {provider: 'external:second', key_id: k1",
        "away: {provider: 'external:second', key_id: k2, former_key_ids: [k1]",
    );
    let config = moved() + &away.replace("gone:", "renamed:");
    bench.engine.reload(Some(&config)).unwrap();
    bench.engine.evict(None);
    provider.set(Behaviour::Fail(Status::AccessDenied));

    let mut told = Vec::new();
    let report = bench.engine.sync(&FAST, |_, _, name, status| {
        told.push((name.to_owned(), status.to_string()));
        true
    });
    let report: Value = serde_json::from_str(&report.unwrap()).unwrap();
    assert_counts(&report, json!({"checked": 7, "rewrapped": 2, "failed": 5}));
    let expected = [
        ("away", "ACCESS_DENIED"),
        ("corrupt", "CORRUPT"),
        ("foreign", "AUTHENTICATION_FAILED"),
        ("gone", "CONFIG"),
        ("no time", "CORRUPT"),
    ];
    assert_eq!(failures(&report), expected);
    told.sort();
    let fine = [("fine", "OK"), ("z fine", "OK")];
    let mut all: Vec<(String, String)> = expected
        .iter()
        .chain(&fine)
        .map(|(name, status)| ((*name).to_owned(), (*status).to_owned()))
        .collect();
    all.sort();
    assert_eq!(told, all);
    // Mended, the next one does the rest.
    provider.set(Behaviour::Work);
    bench.engine.reload(Some(&(moved() + &away))).unwrap();
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 7, "in_order": 3, "rewrapped": 1, "failed": 3}));
}

#[test]
fn a_store_that_fails_or_panics_for_one_index_fails_that_one() {
    let bench = Bench::new("");
    let names = create(&bench, 6);
    bench.store.panic_next();
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 6, "in_order": 5, "failed": 1}));
    assert_eq!(report["failures"][0]["status"], json!("INTERNAL"));
    bench.store.fail_gets_after(names.len() as i64 - 2, Status::Storage);
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 6, "in_order": 4, "failed": 2}));
    assert_eq!(report["failures"][1]["status"], json!("STORAGE"));
}

#[test]
fn what_others_create_and_delete_meanwhile_does_no_harm() {
    let bench = Bench::new("");
    let names = create(&bench, 3);
    let mut last = (0, 0);
    let report = bench.engine.sync(&SyncOptions { concurrency: 1, ..FAST }, |done, total, _, _| {
        if done == 1 {
            bench.engine.delete(&names[1]).unwrap();
        }
        last = (done, total);
        true
    });
    let report: Value = serde_json::from_str(&report.unwrap()).unwrap();
    assert_counts(&report, json!({"checked": 3, "in_order": 2, "skipped": 1}));
    assert_eq!(last, (3, 3));
    let empty = Bench::new("");
    assert_counts(&sync(&empty.engine), json!({}));
}

#[test]
fn a_deletion_that_is_cancelled_at_the_last_moment_is_not_done() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.engine.schedule_deletion("a", 24).unwrap();
    bench.clock.advance(DAY);
    let elsewhere = bench.restart();
    // Behind the look, and before the read that the removal goes by.
    bench.store.after_gets(1, move || elsewhere.cancel_deletion("a").unwrap());
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "skipped": 1}));
    assert_eq!(record(&bench, "a").state, State::Disabled);
}

#[test]
fn two_syncs_at_once_do_each_thing_once() {
    let bench = Bench::new("");
    let names = create(&bench, 60);
    bench.clock.advance(DAY);
    let engines: Vec<Engine> = (0..2).map(|_| bench.restart()).collect();
    for engine in &engines {
        engine.reload(Some(&with_prod("rotate_kek_after: 1d, rotate_data_key_after: 1d"))).unwrap();
    }
    let reports: Vec<Value> = std::thread::scope(|scope| {
        let runs: Vec<_> = engines.iter().map(|engine| scope.spawn(|| sync(engine))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let sum = |field: &str| reports.iter().map(|report| report[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("rotated_keks"), sum("rotated_data_keys"), sum("failed")), (60, 60, 0), "{reports:#?}");
    for name in names {
        let stored = record(&bench, &name);
        assert_eq!((stored.envelope_version, stored.current_data_key, stored.epoch), (2, 2, 3), "{name}");
    }
}

#[test]
fn what_others_do_at_the_same_time_is_as_good() {
    // How many reads until the other acts: the look, the read of the write, in the midst of the write.
    for reads in [1, 2] {
        for (other, expected) in [
            ("rewrap", json!({"checked": 1, "in_order": 1})),
            ("disable", json!({"checked": 1, "skipped": 1, "skipped_drifted": 1})),
            ("delete", json!({"checked": 1, "skipped": 1})),
        ] {
            let bench = Bench::new("");
            bench.cold("a");
            bench.engine.reload(Some(&moved())).unwrap();
            let elsewhere = bench.restart();
            elsewhere.reload(Some(&moved())).unwrap();
            let act = move || match other {
                "rewrap" => elsewhere.rotate("a", Rotation::Rewrap, None).unwrap(),
                "disable" => elsewhere.disable("a").unwrap(),
                _ => drop(elsewhere.delete("a").unwrap()),
            };
            bench.store.after_gets(reads, act);
            assert_counts(&sync(&bench.engine), expected);
        }
    }
}

#[test]
fn who_is_overtaken_again_and_again_says_so() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.engine.reload(Some(&moved())).unwrap();
    let elsewhere = Arc::new(bench.restart());
    let (store, rounds) = (Arc::clone(&bench.store), Arc::new(AtomicUsize::new(0)));
    // Each time that sync has read the record for its write, another data key is there.
    fn meddle(store: Arc<TestStore>, engine: Arc<Engine>, rounds: Arc<AtomicUsize>, reads: usize) {
        let again = Arc::clone(&store);
        store.after_gets(reads, move || {
            engine.rotate("a", Rotation::DataKey, None).unwrap();
            rounds.fetch_add(1, Ordering::SeqCst);
            // That the write failed, the next look, its write.
            meddle(again, engine, rounds, 3);
        });
    }
    meddle(store, elsewhere, Arc::clone(&rounds), 2);
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 1, "failed": 1}));
    assert_eq!(failures(&report), [("a", "CONFLICT")]);
    assert_eq!(rounds.load(Ordering::SeqCst), 3);
}

#[test]
fn what_drifts_as_soon_as_it_is_mended_is_reported_and_not_tried_for_ever() {
    let bench = Bench::new("");
    bench.cold("a");
    bench.engine.reload(Some(&moved())).unwrap();
    let store = Arc::clone(&bench.store);
    bench.store.during_put(Meanwhile::After(Box::new(move || {
        let mut stored = Record::decode(&store.bytes("a")).unwrap();
        stored.wrap.region = "eu-west-1".to_owned();
        store.set_bytes("a", &stored.encode().unwrap());
    })));
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 1, "rewrapped": 1, "failed": 1}));
    assert_eq!(failures(&report), [("a", "INTERNAL")]);
}

#[test]
fn open_indexes_are_used_on_while_a_sync_runs() {
    let bench = Bench::new("");
    let names = create(&bench, 30);
    let indexes: Vec<Index> = names.iter().map(|name| bench.engine.open_index(name).unwrap()).collect();
    let pages: Vec<Vec<u8>> = indexes.iter().map(|index| seal(index, b"page").unwrap()).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                for (index, page) in indexes.iter().zip(&pages) {
                    assert_eq!(open(index, page).unwrap(), b"page");
                    seal(index, b"another").unwrap();
                }
            }
        });
        for round in 1..=3 {
            bench.engine.reload(Some(&with_prod("rotate_kek_after: 1s, rotate_data_key_after: 1s"))).unwrap();
            bench.clock.advance(1000);
            let report = sync(&bench.engine);
            let expected = json!({"checked": 30, "rotated_keks": 30, "rotated_data_keys": 30});
            assert_counts(&report, expected);
            assert!(indexes.iter().all(|index| index.data_key_id() == 1 + round));
        }
        is_over.store(true, Ordering::SeqCst);
    });
}
