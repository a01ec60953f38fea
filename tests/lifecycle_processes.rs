//! Several processes that rotate, disable, seal and open one index at once: no page, no key and no rotation is lost.

mod store_support;

use std::path::{Path, PathBuf};
use std::process::Child;

use cyborg_kms::blob::Record;
use cyborg_kms::engine::{Engine, Rotation};
use cyborg_kms::error::{Result, Status};
use cyborg_kms::index::{Index, Input};
use store_support::{again, at, get, meet, role, start_and_meet};

const STEPS: usize = 40;
const ROTATIONS: [Rotation; 3] = [Rotation::Rewrap, Rotation::Kek, Rotation::DataKey];

/// Two slots; half of the processes cache keys, the others ask each time.
fn engine(root: &Path, number: usize) -> Engine {
    let ttl = if number.is_multiple_of(2) { "60s" } else { "0s" };
    let root = root.display();
    Engine::open_yaml(&format!(
        "storage: {{url: {root}}}\ncache: {{ttl: {ttl}}}\nkms:\n  registry:\n    \
           one: {{provider: local, key_id: {root}/one.key, create: true}}\n    \
           two: {{provider: local, key_id: {root}/two.key, create: true}}\n"
    ))
    .unwrap()
}

fn seal(index: &Index, page: &[u8]) -> Result<Vec<u8>> {
    let mut sealed = vec![0; page.len() + 48];
    index.encrypt(b"aad", &Input::Separate(page), &mut sealed).map(|_| sealed)
}

fn open(index: &Index, sealed: &[u8]) -> Result<Vec<u8>> {
    let mut page = vec![0; sealed.len() - 48];
    index.decrypt(b"aad", sealed, &mut page).map(|_| page)
}

/// For an unknown data key the record is read again, once a second: others rotate more often here.
fn open_new(index: &Index, sealed: &[u8]) -> Result<Vec<u8>> {
    match open(index, sealed) {
        Err(error) if error.status() == Status::Corrupt => index.refresh().and_then(|()| open(index, sealed)),
        outcome => outcome,
    }
}

fn derived(index: &Index) -> Result<Vec<u8>> {
    let mut out = vec![0; 32];
    index.derive_key("label", b"", &mut out).map(|()| out)
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Whether it worked, or was refused for what others do at the same time.
#[track_caller]
fn went<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            assert!([Status::Conflict, Status::KeyDisabled].contains(&error.status()), "{error:?}");
            assert!(!error.is_outcome_unknown(), "{error:?}");
            None
        }
    }
}

/// One of the processes: prints what it rotated, and what it found under former versions.
fn live(root: &Path, number: usize) {
    let engine = engine(root, number);
    let index = engine.open_index("a").unwrap();
    let secret = derived(&index).unwrap();
    meet();
    for step in 0..STEPS {
        let choice = number * 7 + step;
        let rotation = ROTATIONS[choice % 3];
        let to = if step % 2 == 0 { "one" } else { "two" };
        let to = (rotation != Rotation::DataKey).then_some(to);
        if went(engine.rotate("a", rotation, to)).is_some() {
            println!("\nrotated {rotation:?}");
        }
        if step % 8 == number % 8 {
            went(engine.disable("a"));
            went(engine.enable("a"));
        }
        let text = format!("page {step} of {number}");
        if let Some(sealed) = went(seal(&index, text.as_bytes())) {
            std::fs::write(root.join("pages").join(&text), &sealed).unwrap();
        }
        for file in std::fs::read_dir(root.join("pages")).unwrap().step_by(5) {
            let file = file.unwrap();
            let sealed = std::fs::read(file.path()).unwrap();
            // Another process may be in the middle of writing it.
            if sealed.len() >= 48 {
                went(open_new(&index, &sealed)).inspect(|page| {
                    assert_eq!(page, file.file_name().as_encoded_bytes());
                });
            }
        }
        went(derived(&index)).inspect(|derived| assert_eq!(derived, &secret));
        let former = index.version().saturating_sub(1);
        if former > 0
            && let Some(kek) = went(index.export_kek(former))
        {
            println!("\nkek {former} {}", hex(kek.expose()));
        }
    }
}

fn together(test: &str, processes: usize) {
    if let Some((_, arguments)) = role() {
        return live(Path::new(&arguments[0]), arguments[1].parse().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let root: PathBuf = folder.path().to_owned();
    std::fs::create_dir(root.join("pages")).unwrap();
    let first = engine(&root, 0);
    let secret = derived(&first.create("a", "one").unwrap()).unwrap();
    let path = root.to_str().unwrap();
    let mut children: Vec<Child> = (0..processes)
        .map(|number| start_and_meet(again(&[], test, "process", &[path, &number.to_string()])).0)
        .collect();
    for child in &mut children {
        drop(child.stdin.take());
    }
    let mut said = String::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "a process failed: {}", String::from_utf8_lossy(&output.stdout));
        said += &String::from_utf8(output.stdout).unwrap();
    }
    let count = |what: &str| said.lines().filter(|line| *line == format!("rotated {what}")).count() as u64;
    let (rewraps, keks, data_keys) = (count("Rewrap"), count("Kek"), count("DataKey"));
    assert!(rewraps > 0 && keks > 0 && data_keys > 0, "{rewraps} {keks} {data_keys}");
    let stored = Record::decode(&get(&*at(&root), "a").unwrap()).unwrap();
    // Each rotation that was said to be done is there, once.
    assert_eq!(stored.epoch, 1 + rewraps + keks + data_keys);
    assert_eq!(u64::from(stored.envelope_version), 1 + rewraps + keks);
    assert_eq!(u64::from(stored.current_data_key), 1 + data_keys);

    let engine = engine(&root, 0);
    engine.enable("a").unwrap();
    let index = engine.open_index("a").unwrap();
    assert_eq!(derived(&index).unwrap(), secret);
    let mut pages = 0;
    for file in std::fs::read_dir(root.join("pages")).unwrap() {
        let file = file.unwrap();
        let page = open(&index, &std::fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(page, file.file_name().as_encoded_bytes());
        pages += 1;
    }
    assert!(pages > STEPS, "only {pages} pages");
    let mut exported = 0;
    for line in said.lines().filter_map(|line| line.strip_prefix("kek ")) {
        let (version, kek) = line.split_once(' ').unwrap();
        assert_eq!(hex(index.export_kek(version.parse().unwrap()).unwrap().expose()), kek, "{version}");
        exported += 1;
    }
    assert!(exported > 0);
}

#[test]
fn two_processes_at_once() {
    together("two_processes_at_once", 2);
}

#[test]
fn eight_processes_at_once() {
    together("eight_processes_at_once", 8);
}
