//! Sync: every record against its slot. What drifted, what is due, what is left alone.

mod engine_support;
mod sync_support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use cyborg_kms::blob::Kind;
use cyborg_kms::engine::{Engine, Rotation, ScopeOptions};
use cyborg_kms::error::Status;
use cyborg_kms::provider::ExternalCallbacks;
use engine_support::{Behaviour, Bench, Provider, open, seal, status, yaml};
use serde_json::{Value, json};
use sync_support::{
    DAY, DRY, FAST, OTHER, assert_counts, create, derived, failures, moved, record, set, sync, sync_with,
    with_prod,
};

#[test]
fn what_drifted_is_wrapped_anew_and_the_rest_is_not_touched() {
    let bench = Bench::new(OTHER);
    let index = bench.engine.create("by key", "prod").unwrap();
    let (page, secret) = (seal(&index, b"page").unwrap(), derived(&index));
    bench.cold("by region");
    drop(bench.engine.create("in order", "other").unwrap());
    bench.engine.reload(Some(&moved())).unwrap();
    drop(bench.engine.create("new", "prod").unwrap());
    bench.engine.rotate("by region", Rotation::Rewrap, None).unwrap();
    set(&bench, "by region", |record| record.wrap.region = "eu-west-1".to_owned());
    let untouched = [bench.store.bytes("in order"), bench.store.bytes("new")];

    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 4, "in_order": 2, "rewrapped": 2}));
    assert_eq!(
        (&report["total"], &report["stopped"], &report["dry_run"]),
        (&json!(4), &json!(false), &json!(false))
    );
    assert_eq!(report["started_at"], json!("2023-11-14T22:30:00Z"));
    assert_eq!(report["ended_at"], json!("2023-11-14T22:30:00Z"));
    for name in ["by key", "by region"] {
        let wrap = record(&bench, name).wrap;
        assert_eq!((&*wrap.kms_name, &*wrap.key_id, &*wrap.region), ("prod", "k9", ""), "{name}");
    }
    assert_eq!([bench.store.bytes("in order"), bench.store.bytes("new")], untouched);
    assert_eq!(open(&index, &page).unwrap(), b"page");
    let elsewhere = bench.restart_with(OTHER);
    elsewhere.reload(Some(&moved())).unwrap();
    let elsewhere = elsewhere.open_index("by key").unwrap();
    assert_eq!((open(&elsewhere, &page).unwrap(), derived(&elsewhere)), (b"page".to_vec(), secret));
    assert_counts(&sync(&bench.engine), json!({"checked": 4, "in_order": 4}));
}

#[test]
fn a_slot_that_was_given_another_provider_leaves_the_former_wrap_to_one_that_names_its_key() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    let second = Provider::new();
    bench.engine.register_provider("second", Arc::clone(&second) as Arc<dyn ExternalCallbacks>).unwrap();
    let changed = yaml("").replace("prod: {provider: 'external:test'", "prod: {provider: 'external:second'");
    let without = changed
        .replace("seedy", "seedy_2")
        .replace("key_id: k1, max_retries: 0, cyb", "key_id: k3, max_retries: 0, cyb");
    bench.engine.reload(Some(&without)).unwrap();
    for options in [DRY, FAST] {
        let report = sync_with(&bench.engine, &options);
        assert_counts(&report, json!({"checked": 1, "failed": 1}));
        assert_eq!(failures(&report), [("a", "CONFIG")]);
        let message = report["failures"][0]["message"].as_str().unwrap();
        assert!(message.contains("external:test"), "{message}");
    }
    // Slot `seedy` names the provider and its key.
    bench.engine.reload(Some(&changed)).unwrap();
    assert_counts(&sync_with(&bench.engine, &DRY), json!({"checked": 1, "would_rewrap": 1}));
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1}));
    let stored = record(&bench, "a");
    assert_eq!((&*stored.wrap.kms_name, &*stored.wrap.provider), ("prod", "external:second"));
    assert_eq!(stored.kind, Kind::Ours);
    assert_eq!((second.wraps.load(Ordering::SeqCst), second.unwraps()), (1, 1));
    bench.engine.evict(None);
    assert_eq!(open(&bench.engine.open_index("a").unwrap(), &page).unwrap(), b"page");
}

#[test]
fn recipients_that_are_missing_are_added_and_those_no_longer_named_are_dropped() {
    let bench = Bench::new(OTHER);
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    let recipients = || -> Vec<(String, String)> {
        let wraps = record(&bench, "a").recipients.into_iter();
        wraps.map(|wrap| (wrap.kms_name, wrap.key_id)).collect()
    };
    let of = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    let both = with_prod("recipients: [other, third]")
        + "    third: {provider: 'external:test', key_id: k3, max_retries: 0}\n";
    let rekeyed = both.replace("key_id: k3", "key_id: k4, former_key_ids: [k3]");
    let one = with_prod("recipients: [third]") + rekeyed.lines().last().unwrap();
    for (config, expected) in [
        (&both, vec![of("other", "k2"), of("third", "k3")]),
        (&rekeyed, vec![of("other", "k2"), of("third", "k4")]),
        (&one, vec![of("third", "k4")]),
        (&yaml(OTHER), vec![]),
    ] {
        bench.engine.reload(Some(config)).unwrap();
        assert_counts(&sync_with(&bench.engine, &DRY), json!({"checked": 1, "would_rewrap": 1}));
        assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1}));
        assert_eq!(recipients(), expected);
        assert_counts(&sync(&bench.engine), json!({"checked": 1, "in_order": 1}));
    }
    assert_eq!(open(&bench.restart().open_index("a").unwrap(), &page).unwrap(), b"page");
}

#[test]
fn a_slot_whose_key_was_lost_gets_another_by_its_recipients() {
    let bench = Bench::new(OTHER);
    bench.engine.reload(Some(&with_prod("recipients: [other]"))).unwrap();
    let index = bench.engine.create("a", "prod").unwrap();
    let page = seal(&index, b"page").unwrap();
    bench.engine.evict(None);
    // Nobody names k1 any more, and only a recipient that is still named may unwrap.
    let lost = |recipients: &str| {
        with_prod(recipients)
            .replace(
                "seedy: {provider: 'external:test', key_id: k1",
                "seedy: {provider: 'external:test', key_id: k5",
            )
            .replace("key_id: k1, max_retries: 0, request", "key_id: k9, max_retries: 0, request")
    };
    bench.engine.reload(Some(&lost("recipients: []"))).unwrap();
    assert_eq!(failures(&sync(&bench.engine)), [("a", "CONFIG")]);
    bench.engine.reload(Some(&lost("recipients: [other]"))).unwrap();
    assert_counts(&sync_with(&bench.engine, &DRY), json!({"checked": 1, "would_rewrap": 1}));
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1}));
    let stored = record(&bench, "a");
    assert_eq!((&*stored.wrap.kms_name, &*stored.wrap.key_id), ("prod", "k9"));
    assert_eq!(stored.recipients.len(), 1);
    assert_eq!(open(&bench.engine.open_index("a").unwrap(), &page).unwrap(), b"page");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let bench = Bench::new(OTHER);
    let names = create(&bench, 5);
    bench.engine.schedule_deletion(&names[0], 24).unwrap();
    drop(bench.engine.create("compatible", "seedy").unwrap());
    drop(bench.engine.create("refused", "other").unwrap());
    bench.clock.advance(2 * DAY);
    let schedules = "rewrap_after: 30d, rotate_data_key_after: 2d";
    let config = with_prod(schedules).replace("other: {", "other: {rotate_kek_after: 1d, ");
    // Data keys can't be held by a compatible slot: that is refused before a KMS is asked.
    let config = config.replace("key_id: k2", "key_id: k3, former_key_ids: [k2], cyborgdb_compatible: true");
    bench.engine.reload(Some(&config)).unwrap();
    let before: Vec<Vec<u8>> = names.iter().map(|name| bench.store.bytes(name)).collect();
    let (calls, puts) = (bench.engine.stats().kms_calls, bench.store.puts.load(Ordering::SeqCst));
    let report = sync_with(&bench.engine, &DRY);
    let expected = json!({
        "checked": 7, "in_order": 1, "would_rewrap": 4, "would_rotate_data_keys": 4, "would_delete": 1, "failed": 1
    });
    assert_counts(&report, expected);
    assert_eq!(report["dry_run"], json!(true));
    assert_eq!(failures(&report), [("refused", "UNSUPPORTED")]);
    assert_eq!(bench.engine.stats().kms_calls, calls, "a KMS was asked");
    assert_eq!(bench.store.puts.load(Ordering::SeqCst), puts);
    let after: Vec<Vec<u8>> = names.iter().map(|name| bench.store.bytes(name)).collect();
    assert_eq!(after, before);
    let expected = json!({
        "checked": 7, "in_order": 1, "rewrapped": 4, "rotated_data_keys": 4, "deleted": 1, "failed": 1
    });
    assert_counts(&sync(&bench.engine), expected);
}

#[test]
fn deletions_are_done_when_they_are_due_and_no_sooner() {
    let bench = Bench::new(OTHER);
    create(&bench, 3);
    let kek = [7; 32];
    drop(bench.engine.create_with_key("brought", "", &kek).unwrap());
    for name in ["i000", "i001", "brought"] {
        bench.engine.schedule_deletion(name, 24).unwrap();
    }
    bench.clock.advance(DAY - 1000);
    assert_counts(&sync(&bench.engine), json!({"checked": 4, "in_order": 1, "skipped": 3}));
    bench.clock.advance(1000);
    bench.engine.cancel_deletion("i001").unwrap();
    // Neither a KMS nor the slot is needed.
    bench.provider.set(Behaviour::Fail(Status::KmsUnavailable));
    bench.engine.reload(Some(&yaml("").replace("    prod:", "    other:"))).unwrap();
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 4, "deleted": 2, "failed": 2}));
    let mut receipts = report["receipts"].as_array().unwrap().clone();
    receipts.sort_by_key(|receipt| receipt["index"].to_string());
    let of = |at: usize| (receipts[at]["index"].clone(), receipts[at]["deleted_at"].clone());
    assert_eq!(
        [of(0), of(1)],
        [(json!("brought"), json!("2023-11-15T22:30:00Z")), (json!("i000"), json!("2023-11-15T22:30:00Z")),]
    );
    assert!(receipts[1]["record_sha256"].as_str().is_some_and(|hash| hash.len() == 44));
    assert_eq!(status(bench.engine.describe("i000")), Status::NotFound);
    assert!(bench.engine.describe("i001").unwrap().contains("disabled"));
}

#[test]
fn what_is_not_for_sync_is_skipped() {
    let bench = Bench::new(OTHER);
    for name in ["disabled", "pending", "disabled in order"] {
        let slot = if name == "disabled in order" { "other" } else { "prod" };
        drop(bench.engine.create(name, slot).unwrap());
    }
    bench.engine.disable("disabled").unwrap();
    bench.engine.disable("disabled in order").unwrap();
    bench.engine.schedule_deletion("pending", 24).unwrap();
    for slot in ["", "bring"] {
        drop(bench.engine.create_with_key(&format!("none {slot}"), slot, &[1; 32]).unwrap());
    }
    bench.engine.reload(Some(&moved().replace("key_id: k9", "rotate_kek_after: 1s, key_id: k9"))).unwrap();
    bench.clock.advance(2000);
    let calls = bench.engine.stats().kms_calls;
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 5, "skipped": 5, "skipped_drifted": 2}));
    assert_eq!(bench.engine.stats().kms_calls, calls);
    // Enabled, it is mended.
    bench.engine.enable("disabled").unwrap();
    assert_counts(
        &sync(&bench.engine),
        json!({"checked": 5, "rotated_keks": 1, "skipped": 4, "skipped_drifted": 1}),
    );
    assert_eq!(record(&bench, "disabled").wrap.key_id, "k9");
}

#[test]
fn each_schedule_is_kept_once_each_time() {
    let day = |bench: &Bench| bench.clock.advance(DAY);
    let in_order = json!({"checked": 1, "in_order": 1});
    for (schedule, done) in [
        ("rewrap_after: 2d", "rewrapped"),
        ("rotate_kek_after: 2d", "rotated_keks"),
        ("rotate_data_key_after: 2d", "rotated_data_keys"),
    ] {
        let bench = Bench::new("");
        bench.engine.reload(Some(&with_prod(schedule))).unwrap();
        let index = bench.engine.create("a", "prod").unwrap();
        let page = seal(&index, b"page").unwrap();
        for round in 1..=2 {
            assert_counts(&sync(&bench.engine), in_order.clone());
            day(&bench);
            assert_counts(&sync(&bench.engine), in_order.clone());
            day(&bench);
            assert_counts(&sync(&bench.engine), json!({"checked": 1, done: 1}));
            let stored = record(&bench, "a");
            let (version, data_key) =
                if done == "rotated_data_keys" { (1, 1 + round) } else { (1 + round, 1) };
            assert_eq!((stored.envelope_version, stored.current_data_key), (version, data_key), "{schedule}");
            assert_eq!(open(&index, &page).unwrap(), b"page");
        }
    }
}

#[test]
fn a_rewrap_is_never_starved_by_other_schedules() {
    let bench = Bench::new("");
    bench.engine.reload(Some(&with_prod("rewrap_after: 3d, rotate_data_key_after: 2d"))).unwrap();
    bench.cold("a");
    bench.clock.advance(2 * DAY);
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1, "rotated_data_keys": 1}));
    bench.clock.advance(2 * DAY);
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1, "rotated_data_keys": 1}));
    // A new KEK is a new wrap.
    let all = "rewrap_after: 1d, rotate_kek_after: 1d, rotate_data_key_after: 1d";
    bench.engine.reload(Some(&with_prod(all))).unwrap();
    bench.clock.advance(2 * DAY);
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rotated_keks": 1, "rotated_data_keys": 1}));
    // Drift and schedule in one.
    bench.engine.reload(Some(&moved().replace("key_id: k9", "rotate_kek_after: 1d, key_id: k9"))).unwrap();
    bench.clock.advance(DAY);
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rotated_keks": 1}));
    assert_eq!(record(&bench, "a").wrap.key_id, "k9");
}

#[test]
fn a_record_of_cyborgdbs_kind_stays_one_or_becomes_ours_as_its_slot_says() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "seedy").unwrap();
    let kek = index.export_kek(0).unwrap().expose().to_vec();
    let seedy = |settings: &str| {
        yaml("").replace("seedy: {provider: 'external:test', key_id: k1, max_retries: 0, cyborgdb_compatible: true", &format!("seedy: {{provider: 'external:test', key_id: k2, former_key_ids: [k1], max_retries: 0, {settings}"))
    };
    bench
        .engine
        .reload(Some(&seedy("cyborgdb_compatible: true, rotate_kek_after: 1d, rotate_data_key_after: 1d")))
        .unwrap();
    bench.clock.advance(DAY);
    // What can be done is, and who has set the schedule hears that the rest can't.
    let report = sync(&bench.engine);
    assert_counts(&report, json!({"checked": 1, "rewrapped": 1, "failed": 1}));
    assert_eq!(failures(&report), [("a", "UNSUPPORTED")]);
    assert_eq!((record(&bench, "a").kind, record(&bench, "a").wrap.key_id.as_str()), (Kind::CyborgDb, "k2"));
    assert_eq!(failures(&sync_with(&bench.engine, &DRY)), [("a", "UNSUPPORTED")]);
    bench.engine.reload(Some(&seedy("cyborgdb_compatible: true, rewrap_after: 1d"))).unwrap();
    bench.clock.advance(DAY);
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1}));
    assert_eq!(record(&bench, "a").kind, Kind::CyborgDb);
    bench.engine.reload(Some(&seedy("rewrap_after: 1d"))).unwrap();
    bench.clock.advance(DAY);
    assert_counts(&sync(&bench.engine), json!({"checked": 1, "rewrapped": 1}));
    assert_eq!(record(&bench, "a").kind, Kind::Ours);
    assert_eq!(index.export_kek(0).unwrap().expose().to_vec(), kek);
}

#[test]
fn every_change_is_in_the_audit_trail_and_nothing_else() {
    let bench = Bench::new("audit: {principal: nobody}\n");
    create(&bench, 3);
    bench.engine.schedule_deletion("i002", 24).unwrap();
    bench.clock.advance(DAY);
    let schedules = "rewrap_after: 1d, rotate_data_key_after: 1d";
    bench.engine.reload(Some(&with_prod(schedules))).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    bench.engine.set_audit_sink(Some(Box::new(move |event| sink.lock().unwrap().push(event.to_owned()))));
    sync_with(&bench.engine, &DRY);
    assert!(events.lock().unwrap().is_empty());
    let scope =
        bench.engine.scope(ScopeOptions { principal: Some("janitor".to_owned()), ..ScopeOptions::default() });
    assert_counts(&sync(&scope), json!({"checked": 3, "rewrapped": 2, "rotated_data_keys": 2, "deleted": 1}));
    let events: Vec<Value> =
        events.lock().unwrap().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let lines = |phase: &str| {
        let mut lines: Vec<String> = events
            .iter()
            .filter(|event| event["phase"] == phase && event["principal"] == "janitor")
            .map(|event| {
                format!("{} {} {}", event["index"], event["operation"], event["outcome"]).replace('"', "")
            })
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(events.len(), 10);
    let done = [
        "i000 rewrap OK",
        "i000 rotate_data_key OK",
        "i001 rewrap OK",
        "i001 rotate_data_key OK",
        "i002 delete OK",
    ];
    assert_eq!(lines("outcome"), done);
    assert_eq!(lines("intent").len(), 5);
}

#[test]
fn a_key_file_is_replaced_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let config = |keys: &str| {
        let folder = folder.path().display();
        format!(
            "storage: {{url: {folder}/store}}\nkms: {{registry: {{prod: {{provider: local, create: true, {}}}}}}}",
            keys.replace("DIR", &folder.to_string())
        )
    };
    let engine = Engine::open_yaml(&config("key_id: DIR/old.key")).unwrap();
    let pages: Vec<(String, Vec<u8>)> = (0..20)
        .map(|number| {
            let name = format!("i/{number}");
            let page = seal(&engine.create(&name, "prod").unwrap(), name.as_bytes()).unwrap();
            (name, page)
        })
        .collect();
    engine.reload(Some(&config("key_id: DIR/new.key, former_key_ids: [DIR/old.key]"))).unwrap();
    assert_counts(&sync(&engine), json!({"checked": 20, "rewrapped": 20}));
    std::fs::remove_file(folder.path().join("old.key")).unwrap();
    let again = Engine::open_yaml(&config("key_id: DIR/new.key")).unwrap();
    assert_counts(&sync(&again), json!({"checked": 20, "in_order": 20}));
    for (name, page) in pages {
        assert_eq!(open(&again.open_index(&name).unwrap(), &page).unwrap(), name.as_bytes());
    }
}
