//! Records on disk, against the raw system calls that the same promise needs.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::c_api::{Blob, Store, text};
use crate::measure::{Pair, rate, side_by_side};
use crate::report::{Asked, Report};

const MANY: usize = 100_000;
const SUFFIX: &str = ".kms.cat";

/// With one record in the folder.
pub fn run_with_one_record(report: &mut Report) {
    run(report, 1, "1 record");
}

/// With so many that listing them would show.
pub fn run_with_many_records(report: &mut Report) {
    run(report, MANY, "100,000 records");
}

/// A store on a real disk (the build folder's: a temporary folder may be memory), and beside it a folder of
/// the same size for the raw calls.
struct Place {
    store: Store,
    ours: PathBuf,
    raw: PathBuf,
    record: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Place {
    fn with(records: usize) -> Place {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let store = Store::open(&folder.path().join("db"));
        store.create(&text("0"), &Blob::sample());
        let ours = folder.path().join("db/_catalog/config");
        let raw = folder.path().join("raw");
        fs::create_dir(&raw).expect("a folder");
        let record = fs::read(ours.join(format!("0{SUFFIX}"))).expect("the record just made");
        for number in 0..records {
            let file = format!("{number}{SUFFIX}");
            fs::write(ours.join(&file), &record).expect("room for the records");
            fs::write(raw.join(&file), &record).expect("room for the records");
        }
        // The records' own writing must not be what is measured next.
        settle(&raw);
        Place { store, ours, raw, record, _folder: folder }
    }
}

/// Waits until what was written to this file system is on disk.
fn settle(folder: &Path) {
    let folder = File::open(folder).expect("the folder");
    folder.sync_all().expect("a file system that can sync");
}

fn run(report: &mut Report, records: usize, with: &str) {
    let place = Place::with(records);
    get(report, &place, with);
    create(report, &place, with);
    push(report, &place, with);
}

fn get(report: &mut Report, place: &Place, with: &str) {
    let (name, path) = (text("0"), place.raw.join(format!("0{SUFFIX}")));
    let pair = side_by_side(
        || {
            let mut record = [0; 4096];
            let file = File::open(&path).expect("the record");
            black_box(file.read_at(&mut record, 0).expect("a readable file"));
        },
        || drop(black_box(place.store.get(&name))),
    );
    let work = format!("get, {with}");
    report.time(&work, pair.limit, pair.ours, pair.ratio, Asked::Nanoseconds(4000.0));
}

/// New names, whichever thread asks.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A temporary file with the record, on disk.
fn raw_write(folder: &Path, record: &[u8]) -> PathBuf {
    let path = folder.join(format!("tmp-{}", fresh()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
    file.write_all(record).expect("room");
    file.sync_data().expect("a disk that syncs");
    path
}

fn sync_folder(folder: &Path) {
    File::open(folder).expect("the folder").sync_all().expect("a disk that syncs");
}

/// Write, fdatasync, link, unlink, fsync of the folder.
fn raw_create(place: &Place) {
    let path = raw_write(&place.raw, &place.record);
    fs::hard_link(&path, place.raw.join(format!("new-{}", fresh()))).expect("a new name");
    fs::remove_file(&path).expect("the temporary file");
    sync_folder(&place.raw);
}

/// Write, fdatasync, rename, fsync of the folder.
fn raw_push(place: &Place, number: usize) {
    let path = raw_write(&place.raw, &place.record);
    fs::rename(path, place.raw.join(format!("mine-{number}"))).expect("the old name");
    sync_folder(&place.raw);
}

/// Removes what a round made, so that each round begins alike.
fn clean(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name");
        if name.starts_with("new-") {
            fs::remove_file(&path).expect("the round's record");
        }
    }
}

fn create(report: &mut Report, place: &Place, with: &str) {
    let ours = |_| {
        let blob = Blob::sample();
        move || place.store.create(&text(&format!("new-{}", fresh())), &blob)
    };
    for threads in [1, 8] {
        let pair = rounds(place, threads, &|_| || raw_create(place), &ours);
        durable(report, &format!("create, {with}"), threads, &pair);
    }
}

fn push(report: &mut Report, place: &Place, with: &str) {
    let ours = |number: usize| {
        let (name, blob, mut turn) = (mine(number), Blob::sample(), 0_u8);
        move || {
            // A push of what is there already would have nothing to do.
            turn = turn.wrapping_add(1);
            blob.set_wrapped_kek(&[turn; 60]);
            place.store.push(&name, &blob);
        }
    };
    for threads in [1, 8] {
        let pair = rounds(place, threads, &|number| move || raw_push(place, number), &ours);
        durable(report, &format!("push, {with}"), threads, &pair);
    }
}

/// Each thread pushes a record of its own.
fn mine(number: usize) -> CString {
    text(&format!("mine-{number}"))
}

/// The time for one call of so many threads together.
fn rounds<L: FnMut(), O: FnMut()>(
    place: &Place,
    threads: usize,
    limit: &(impl Fn(usize) -> L + Sync),
    ours: &(impl Fn(usize) -> O + Sync),
) -> Pair {
    const ROUND: Duration = Duration::from_millis(50);
    const ROUNDS: usize = 33;
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let limit = 1e9 / rate(threads, ROUND, limit);
            clean(&place.raw);
            let ours = 1e9 / rate(threads, ROUND, ours);
            clean(&place.ours);
            (limit, ours)
        })
        .collect();
    Pair::of(&rounds)
}

fn durable(report: &mut Report, work: &str, threads: usize, pair: &Pair) {
    // Eight threads: 0.9 of the raw calls' rate.
    let (work, most) =
        if threads == 1 { (work.to_owned(), 1.1) } else { (format!("{work}, {threads} threads"), 1.0 / 0.9) };
    report.time(&work, pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(most));
}
