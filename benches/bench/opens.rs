//! Opening indexes: one whose KEK is cached, and one that 64 threads want at once.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cyborg_kms::ffi;

use crate::c_api::{Engine, text};
use crate::measure::{Pair, scaling, side_by_side};
use crate::report::{Asked, Report};

/// How many indexes the cache holds while one is opened.
const CACHED: usize = 1000;

/// How long the slow KMS takes for an answer: no thread may be late for a call that is under way.
const SLOW: Duration = Duration::from_millis(20);

pub fn run(report: &mut Report) {
    cached(report);
    cold(report);
}

/// The least that a cache can do: look the name up, load what it names, allocate a handle, read a clock.
struct Least {
    indexes: HashMap<CString, ArcSwap<[u8; 32]>, foldhash::fast::RandomState>,
}

impl Least {
    fn open(&self, name: &CString) -> Box<(u8, Instant)> {
        let index = self.indexes.get(name).expect("it is there").load();
        black_box(Box::new((index[0], Instant::now())))
    }
}

fn cached(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(&format!(
        "{{cache: {{ttl: 1h}}, kms: {{registry: {{dev: {{provider: local, key_id: {}, create: true}}}}}}}}",
        folder.path().join("dev.key").display()
    ));
    let names: Vec<CString> = (0..CACHED).map(|number| text(&format!("index {number}"))).collect();
    for name in &names {
        engine.create_index(name, c"dev");
    }
    let key = Arc::new([1; 32]);
    let least =
        Least { indexes: names.iter().map(|name| (name.clone(), ArcSwap::new(key.clone()))).collect() };

    let (mut limit_turn, mut turn) = (names.iter().cycle(), names.iter().cycle());
    let pair = side_by_side(
        || drop(least.open(limit_turn.next().expect("a cycle"))),
        || drop(engine.open_index(turn.next().expect("a cycle"))),
    );
    report.time("open a cached index, free it", pair.limit, pair.ours, pair.ratio, Asked::Nanoseconds(150.0));

    let (least, engine) = (&least, &engine);
    let (limit, ours) = scaling(
        |number| {
            let mut turn = names.iter().cycle().skip(number * 7);
            move || drop(least.open(turn.next().expect("a cycle")))
        },
        |number| {
            let mut turn = names.iter().cycle().skip(number * 7);
            move || drop(engine.open_index(turn.next().expect("a cycle")))
        },
    );
    report.scaling("open a cached index, two threads", limit, ours, 1.8);

    // Two threads that want the same index share what counts its users.
    let (limit, ours) =
        scaling(|_| || drop(least.open(&names[0])), |_| || drop(engine.open_index(&names[0])));
    report.scaling("open the same cached index, two threads", limit, ours, 1.8);
}

/// A KMS that takes its time; what it wraps is only turned around.
extern "C" fn slow(
    _key_id: *const c_char,
    _aad: *const u8,
    _aad_len: usize,
    data: *const u8,
    len: usize,
    reply: *mut ffi::cyborg_kms_reply,
    _user_data: *mut c_void,
) {
    std::thread::sleep(SLOW);
    // SAFETY: the library gives `len` bytes for the time of the call.
    #[allow(unsafe_code)]
    let turned: Vec<u8> = unsafe { std::slice::from_raw_parts(data, len) }.iter().rev().copied().collect();
    // SAFETY: the reply is answered once.
    #[allow(unsafe_code)]
    unsafe {
        ffi::cyborg_kms_reply_bytes(reply, turned.as_ptr(), turned.len(), 0);
    }
}

/// The same as a provider.
pub fn slow_kms() -> ffi::cyborg_kms_provider_callbacks {
    ffi::cyborg_kms_provider_callbacks {
        struct_size: size_of::<ffi::cyborg_kms_provider_callbacks>(),
        wrap: Some(slow),
        unwrap: Some(slow),
        destroy: None,
    }
}

fn cold(report: &mut Report) {
    const THREADS: usize = 64;
    const ROUNDS: usize = 15;
    let engine = Engine::open("{kms: {registry: {far: {provider: 'external:far', key_id: '1'}}}}");
    engine.register("far", &slow_kms());
    let name = text("cold");
    engine.create_index(&name, c"far");

    let mut most_calls = 0;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        engine.evict();
        let alone = Instant::now();
        drop(engine.open_index(&name));
        let alone = alone.elapsed().as_nanos() as f64;

        engine.evict();
        let before = engine.kms_calls();
        let start = Barrier::new(THREADS + 1);
        let together = std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    drop(engine.open_index(&name));
                });
            }
            start.wait();
            Instant::now()
        });
        rounds.push((alone, together.elapsed().as_nanos() as f64));
        most_calls = most_calls.max(engine.kms_calls() - before);
    }
    report.count("a cold index, 64 threads: calls to the KMS", most_calls, 1);
    let pair = Pair::of(&rounds);
    // Sixty-four threads have to be woken on two cores: half as long again is fair, twice would be a second call.
    let work = "a cold index, 64 threads, against one";
    report.time(work, pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(1.5));
}
