//! What leaves the cache: by its size, by an eviction, by a ttl of nothing.

mod engine_support;

use std::sync::atomic::{AtomicBool, Ordering};

use cyborg_kms::engine::Rotation;
use cyborg_kms::error::Status;
use cyborg_kms::name::IndexName;
use engine_support::{Behaviour, Bench, open, seal, status, until};

#[test]
fn with_a_ttl_of_nothing_each_opening_asks() {
    let bench = Bench::new("cache: {ttl: 0}\n");
    let index = bench.engine.create("a", "prod").unwrap();
    let unwraps = bench.provider.unwraps();
    for opened in 1..4 {
        bench.engine.open_index("a").unwrap();
        assert_eq!(bench.provider.unwraps() - unwraps, opened);
    }
    seal(&index, b"a page does not, for a second").unwrap();
    assert_eq!(bench.provider.unwraps() - unwraps, 3);
    assert_eq!(bench.engine.stats().cache_entries, 0);
}

#[test]
fn a_reload_to_a_ttl_of_nothing_holds_for_what_is_cached() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    seal(&index, b"page").unwrap();
    bench.engine.reload(Some(&engine_support::yaml("cache: {ttl: 0}\n"))).unwrap();
    let unwraps = bench.provider.unwraps();
    bench.engine.open_index("a").unwrap();
    bench.engine.open_index("a").unwrap();
    assert_eq!(bench.provider.unwraps() - unwraps, 2);
    seal(&index, b"the open handle goes on").unwrap();
}

#[test]
fn an_eviction_reaches_handles_that_share_nothing() {
    let uncached = Bench::new("cache: {ttl: 0}\n");
    let own = uncached.engine.create("a", "prod").unwrap();
    let brought = Bench::new("");
    let given = brought.engine.create_with_key("a", "", &[1; 32]).unwrap();
    let name = IndexName::new("a").unwrap();
    for (bench, index) in [(&uncached, &own), (&brought, &given)] {
        for which in [Some(&name), None] {
            let sealed = seal(index, b"page").unwrap();
            bench.engine.evict(which);
            bench.store.fail_gets(Some(Status::Storage));
            assert_eq!(status(open(index, &sealed)), Status::Storage, "the keys from before are used");
            bench.store.fail_gets(None);
            assert_eq!(open(index, &sealed).unwrap(), b"page");
        }
        bench.engine.evict(Some(&IndexName::new("b").unwrap()));
        bench.store.fail_gets(Some(Status::Storage));
        seal(index, b"another index's eviction").unwrap();
        bench.store.fail_gets(None);
    }
}

#[test]
fn a_handle_from_before_a_ttl_of_nothing_feels_what_is_done_to_its_index() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    bench.engine.reload(Some(&engine_support::yaml("cache: {ttl: 0}\n"))).unwrap();
    let sealed = seal(&index, b"page").unwrap();
    bench.engine.disable("a").unwrap();
    assert_eq!(status(open(&index, &sealed)), Status::KeyDisabled);
    bench.engine.enable("a").unwrap();
    assert_eq!(open(&index, &sealed).unwrap(), b"page");
    bench.engine.rotate("a", Rotation::DataKey, None).unwrap();
    assert_eq!(index.data_key_id(), 2);
    bench.engine.evict(Some(index.name()));
    bench.store.fail_gets(Some(Status::Storage));
    assert_eq!(status(open(&index, &sealed)), Status::Storage);
}

#[test]
fn a_ttl_below_a_second_is_kept() {
    let bench = Bench::new("cache: {ttl: 100ms}\n");
    let index = bench.engine.create("a", "prod").unwrap();
    let unwraps = bench.provider.unwraps();
    bench.clock.advance(100);
    seal(&index, b"page").unwrap();
    assert_eq!(bench.provider.unwraps() - unwraps, 1);
}

#[test]
fn an_evicted_index_is_never_loaded_from_an_old_record() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    bench.store.fail_gets(Some(Status::Storage));
    bench.engine.evict(Some(index.name()));
    assert_eq!(status(seal(&index, b"x")), Status::Storage);
}

#[test]
fn the_cache_keeps_to_its_size_and_handles_keep_their_keys() {
    let bench = Bench::new("cache: {max_entries: 10}\n");
    let held: Vec<_> = (0..5).map(|i| bench.engine.create(&format!("held{i}"), "prod").unwrap()).collect();
    for i in 0..100 {
        bench.engine.create(&format!("i{i}"), "prod").unwrap();
        assert!(bench.engine.stats().cache_entries <= 10);
    }
    let unwraps = bench.provider.unwraps();
    for index in &held {
        seal(index, b"page").unwrap();
        // The same entry, which an eviction by name finds too.
        bench.engine.open_index(index.name().as_str()).unwrap();
    }
    assert_eq!(bench.provider.unwraps(), unwraps);
    bench.engine.evict(Some(held[0].name()));
    seal(&held[0], b"page").unwrap();
    assert_eq!(bench.provider.unwraps(), unwraps + 1);
    // More handles than entries: none is harmed, and it shrinks when they go.
    let many: Vec<_> = (0..30).map(|i| bench.engine.open_index(&format!("i{i}")).unwrap()).collect();
    let unwraps = bench.provider.unwraps();
    many.iter().for_each(|index| drop(seal(index, b"page").unwrap()));
    assert_eq!(bench.provider.unwraps(), unwraps);
    drop((many, held));
    bench.engine.open_index("i50").unwrap();
    assert!(bench.engine.stats().cache_entries <= 10);
}

#[test]
fn a_smaller_limit_is_reached_with_the_next_opening() {
    let bench = Bench::new("");
    for i in 0..50 {
        bench.engine.create(&format!("i{i}"), "prod").unwrap();
    }
    bench.engine.reload(Some(&engine_support::yaml("cache: {max_entries: 3}\n"))).unwrap();
    bench.engine.create("one more", "prod").unwrap();
    assert!(bench.engine.stats().cache_entries <= 3);
}

#[test]
fn a_load_under_way_does_not_survive_an_eviction() {
    let bench = Bench::new("");
    bench.cold("a");
    let old = bench.store.bytes("a");
    bench.provider.next(Behaviour::Hang);
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| bench.engine.open_index("a").unwrap());
        until("it asks", || bench.provider.waiting.load(Ordering::SeqCst) == 1);
        // The index is made anew meanwhile, as by another process.
        let name = IndexName::new("a").unwrap();
        cyborg_kms::blob::delete(&*bench.engine.store(), &cyborg_kms::call::Call::unbounded(), &name)
            .unwrap();
        let sealed = seal(&bench.restart().create("a", "prod").unwrap(), b"new").unwrap();
        assert_ne!(bench.store.bytes("a"), old);
        bench.engine.evict(Some(&name));
        bench.provider.release();
        let index = opener.join().unwrap();
        assert_eq!(open(&index, &sealed).unwrap(), b"new");
    });
}

#[test]
fn evicting_without_end_lets_the_others_go_on() {
    let bench = Bench::new("");
    let index = bench.engine.create("a", "prod").unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                bench.engine.evict(None);
            }
        });
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let sealed = seal(&index, b"page").unwrap();
                        assert_eq!(open(&index, &sealed).unwrap(), b"page");
                        bench.engine.open_index("a").unwrap();
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        ended.store(true, Ordering::Relaxed);
    });
}

#[test]
fn openings_are_hits_or_misses() {
    let bench = Bench::new("");
    bench.cold("a");
    let before = bench.engine.stats();
    let index = bench.engine.open_index("a").unwrap();
    bench.engine.open_index("a").unwrap();
    index.refresh().unwrap();
    let after = bench.engine.stats();
    assert_eq!(after.cache_hits - before.cache_hits, 1);
    assert_eq!(after.cache_misses - before.cache_misses, 1);
}
