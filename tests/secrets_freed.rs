//! Nothing secret is left in memory that is freed: an allocator looks for the keys in each block before it goes.
//! What the arena keeps is not the allocator's; `src/crypto/arena.rs` tests that, `tests/memory.py` the whole process.
#![allow(unsafe_code)] // a global allocator, and calls of the C API

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use base64ct::{Base64, Encoding};
use cyborg_kms::blob::Record;
use cyborg_kms::crypto::derive::{SubKey, sub_key};
use cyborg_kms::crypto::page::{Buffers, OVERHEAD};
use cyborg_kms::crypto::secret::Arena;
use cyborg_kms::crypto::wrap;
use cyborg_kms::engine::{Engine, OpenOptions, Rotation};
use cyborg_kms::error::Status;
use cyborg_kms::ffi;
use cyborg_kms::index::{Index, Input};
use cyborg_kms::name::IndexName;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::reply::Reply;

/// Eight bytes each of what must not be found, masked: looking for them must leave none on the stack.
static NEEDLES: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];
const MASK: u64 = 0x5a5a_a5a5_3c3c_c3c3;
static COUNT: AtomicUsize = AtomicUsize::new(0);
static FOUND: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
/// Whether any of them ends with this byte: spares the look at nearly every place.
static LAST_BYTES: [AtomicBool; 256] = [const { AtomicBool::new(false) }; 256];
/// Whether the first find says where it was freed.
static TELLS: AtomicBool = AtomicBool::new(false);

/// From now on these bytes, or any eight of them at a multiple of eight, are secret.
fn secret(bytes: &[u8]) {
    remember(bytes);
    burn_stack();
}

#[inline(never)]
fn remember(bytes: &[u8]) {
    for part in bytes.chunks_exact(8) {
        let at = COUNT.load(SeqCst);
        NEEDLES[at].store(u64::from_ne_bytes(part.try_into().unwrap()) ^ MASK, SeqCst);
        LAST_BYTES[usize::from(part[7])].store(true, SeqCst);
        COUNT.store(at + 1, SeqCst);
    }
}

/// Wipes what this test itself left on the stack: moved values carry it to the heap in their gaps.
#[inline(never)]
fn burn_stack() {
    zeroize::Zeroize::zeroize(&mut [0u64; 4096]);
}

struct Watch;

impl Watch {
    fn look(block: *const u8, len: usize) {
        let needles = if std::thread::panicking() { &[] } else { &NEEDLES[..COUNT.load(SeqCst)] };
        FREED.fetch_add(1, SeqCst);
        let mut window = 0u64;
        for at in 0..len {
            // SAFETY: within the block. Volatile: what it holds may never have been written.
            let byte = unsafe { block.add(at).read_volatile() };
            window = window >> 8 | u64::from(byte) << 56;
            if at >= 7
                && LAST_BYTES[usize::from(byte)].load(Relaxed)
                && let Some(which) = needles.iter().position(|needle| needle.load(Relaxed) == window ^ MASK)
            {
                FOUND.fetch_add(1, SeqCst);
                if TELLS.swap(false, SeqCst) {
                    COUNT.store(0, SeqCst); // making the backtrace frees a lot
                    eprintln!("part {which} of the secrets, at {at} of a block of {len} bytes, freed here:");
                    eprintln!("{}", std::backtrace::Backtrace::force_capture());
                }
            }
        }
    }
}

// SAFETY: the system's allocator; `realloc` is the trait's own, which frees the old block by `dealloc`.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Watch::look(block, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static WATCH: Watch = Watch;

#[track_caller]
fn nothing_found(after: &str) {
    assert_eq!(FOUND.load(SeqCst), 0, "a secret was freed unwiped: {after}");
}

// SHA-256 of a word each: like no other bytes of the process.
const KEK: [u8; 32] = *b"\xb7\x94\x38\x5f\x2d\x1e\xf7\xab\x4d\x92\x73\xd1\x90\x63\x81\xb4\x4f\x2f\x6f\x25\x88\xa3\xef\xb9\x6a\x49\x18\x83\x31\x98\x47\x53";
const WRONG_KEK: [u8; 32] = *b"\x88\x10\xad\x58\x1e\x59\xf2\xbc\x39\x28\xb2\x61\x70\x7a\x71\x30\x8f\x7e\x13\x9e\xb0\x48\x20\x36\x6d\xc4\xd5\xc1\x8d\x98\x02\x25";
const NEW_KEK: [u8; 32] = *b"\x1b\x70\xb8\x64\xd6\x27\x9a\x9e\x27\xc5\x40\x5d\x31\xea\x0f\x4b\x94\x6a\x83\xbd\x53\xc6\xee\xd2\x74\x0a\xa5\x95\x11\xfe\x3c\x08";
const WRAP_KEY: [u8; 32] = *b"\xf0\xa2\x89\x92\x3e\xd6\x34\xac\xec\x74\x89\x41\xa7\xfa\xb6\xa0\x57\xe5\xd4\xa5\xcb\x29\xe5\xe2\xb6\x13\x6d\x63\x98\x97\xc7\x4a";
const WRAP_KEY_HEX: &[u8] = b"f0a289923ed634acec748941a7fab6a057e5d4a5cb29e5e2b6136d639897c74a";
const WRAP_KEY_BASE64: &[u8] = b"8KKJkj7WNKzsdIlBp/q2oFfl1KXLKeXithNtY5iXx0o=";
const PAGE: [u8; 96] =
    *b"f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a3946ca64ff78d93ca61090a437cbb6b3";

/// A "KMS" that flips bits, without a heap.
struct Flip;

impl ExternalCallbacks for Flip {
    fn wrap(&self, _: &str, _: &[u8], plaintext: &[u8], reply: Reply) {
        let bytes: [u8; 32] = std::array::from_fn(|at| plaintext[at] ^ 0x5a);
        reply.bytes(&bytes, 0);
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.wrap(key_id, aad, wrapped, reply);
    }
}

fn key_file(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    secret(content);
}

/// The key file in its three forms, a KMS, and none.
fn engine(folder: &Path, ttl: &str) -> Engine {
    let root = folder.display();
    let engine = Engine::open_yaml(&format!(
        "storage: {{url: {root}/db}}\ncache: {{ttl: {ttl}}}\nkms:\n  registry:\n    \
         raw: {{provider: local, key_id: {root}/raw}}\n    hex: {{provider: local, key_id: {root}/hex}}\n    \
         base64: {{provider: local, key_id: {root}/base64}}\n    made: {{provider: local, key_id: {root}/made, create: true}}\n    \
         compatible: {{provider: local, key_id: {root}/raw, cyborgdb_compatible: true}}\n    \
         flip: {{provider: \"external:flip\", key_id: any}}\n"
    ))
    .unwrap();
    engine.register_provider("flip", Arc::new(Flip)).unwrap();
    engine
}

/// The sub-keys and data keys of an index are secret from now on.
fn its_keys_are_secret(folder: &Path, index: &str, kek: &[u8; 32]) {
    let arena = Arena::new(false);
    let path =
        folder.join(format!("db/_catalog/config/{}.kms.cat", IndexName::new(index).unwrap().encoded()));
    let record = Record::decode(&fs::read(path).unwrap()).unwrap();
    let kek = arena.key_from(kek).unwrap();
    for which in [SubKey::Wrap, SubKey::Check, SubKey::Record] {
        secret(sub_key(&arena, &kek, which).unwrap().expose());
    }
    let under = sub_key(&arena, &kek, SubKey::Wrap).unwrap();
    for entry in &record.data_keys {
        let aad = wrap::data_key_aad(entry.id, index);
        secret(wrap::unwrap_key(&arena, under.expose(), &aad, &entry.wrapped).unwrap().expose());
    }
}

/// Every use of an open index.
fn use_index(index: &Index) {
    assert_eq!(index.export_kek(0).unwrap().expose().len(), 32);
    let mut sealed = [0; PAGE.len() + OVERHEAD];
    let mut opened = [0; PAGE.len()];
    let long_aad = [1; 2000];
    for aad in [&b""[..], b"aad", &long_aad] {
        match index.encrypt(aad, &Input::Separate(&PAGE), &mut sealed) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.status(), Status::Unsupported, "{error}");
                return;
            }
        }
        index.decrypt(aad, &sealed, &mut opened).unwrap();
        assert_eq!(opened, PAGE);
        assert!(index.decrypt(b"wrong", &sealed, &mut opened).is_err());
        index.decrypt_in_place(aad, &mut sealed, true).unwrap();
    }
    let (mut overhead, mut output) = ([0; OVERHEAD], [0; PAGE.len()]);
    index
        .encrypt_detached(b"", Buffers::Separate { input: &PAGE, output: &mut output }, &mut overhead)
        .unwrap();
    index.decrypt_detached(b"", Buffers::InPlace(&mut output), &overhead).unwrap();

    let mut derived = [0; 64];
    index.derive_key("label", b"context", &mut derived).unwrap();
    secret(&derived);
    index.derive_key("label", b"context", &mut derived).unwrap();
    let (key, wrapped) = index.generate_data_key().unwrap();
    secret(key.expose());
    assert!(index.unwrap_data_key(&wrapped).unwrap().ct_eq(&key));
}

#[test]
fn nothing_secret_is_freed_unwiped() {
    // The allocator does see: one secret, freed as it is, in a block that a longer one replaces, and wiped.
    const CANARY: [u8; 16] = *b"a canary, found.";
    secret(&CANARY);
    drop(CANARY.to_vec());
    assert_eq!(FOUND.swap(0, SeqCst), 2);
    let mut growing = CANARY.to_vec();
    growing.reserve_exact(10_000);
    assert_eq!(FOUND.swap(0, SeqCst), 2);
    growing.fill(0);
    drop(growing);
    nothing_found("the canary was wiped");
    TELLS.store(true, SeqCst);

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for bytes in [&KEK[..], &WRONG_KEK, &NEW_KEK, &WRAP_KEY, &PAGE] {
        secret(bytes);
    }
    key_file(&folder.join("raw"), &WRAP_KEY);
    key_file(&folder.join("hex"), WRAP_KEY_HEX);
    key_file(&folder.join("base64"), WRAP_KEY_BASE64);
    nothing_found("the key files were written");

    for (slot, ttl) in
        [("raw", "1h"), ("hex", "1h"), ("base64", "0s"), ("compatible", "1h"), ("flip", "1h"), ("", "1h")]
    {
        index_of(folder, slot, ttl);
        nothing_found(&format!("an index of slot {slot:?}, ttl {ttl}"));
    }
    made_by_the_library(folder);
    nothing_found("keys of the library's making");
    rotated(folder);
    nothing_found("rotations");
    failures(folder);
    nothing_found("what failed");
    c_api(folder);
    nothing_found("the C API");
    assert!(FREED.load(SeqCst) > 1000);
}

fn index_of(folder: &Path, slot: &str, ttl: &str) {
    let name = &format!("index of {slot}");
    let engine = engine(folder, ttl);
    let index = engine.create_with_key(name, slot, &KEK).unwrap();
    its_keys_are_secret(folder, name, &KEK);
    use_index(&index);
    let options = OpenOptions { kek: slot.is_empty().then_some(&KEK[..]), ..OpenOptions::default() };
    let again = engine.open_index_with(name, &options).unwrap();
    engine.evict(None);
    use_index(&again);
    again.refresh().unwrap();
    use_index(&index);
    engine.reload(Some("kms: {registry: {}}")).unwrap();
    drop((engine, index));
    use_index(&again);
}

/// Nobody knows these keys before they are used; then they are looked for as well.
fn made_by_the_library(folder: &Path) {
    let first = engine(folder, "1h");
    let index = first.create("made", "made").unwrap();
    let mut kek = [0; 32];
    kek.copy_from_slice(index.export_kek(0).unwrap().expose());
    secret(&kek);
    its_keys_are_secret(folder, "made", &kek);
    let mut text = [0; 44];
    fs::File::open(folder.join("made")).unwrap().read_exact(&mut text).unwrap();
    secret(&text);
    let mut key = [0; 32];
    Base64::decode(&text[..], &mut key).unwrap();
    secret(&key);
    drop((first, index));
    let second = engine(folder, "1h");
    use_index(&second.open_index("made").unwrap());
    second.check(Some("made")).unwrap();
}

/// Every key that a rotation unwraps, makes or moves under another is known before it happens, or looked for afterwards.
fn rotated(folder: &Path) {
    let engine = engine(folder, "1h");
    let name = "rotated";
    let rotate = |rotation, to: &str, old: Option<&[u8]>, new: Option<&[u8]>| {
        engine.rotate_with_key(name, rotation, Some(to), old, new).unwrap();
    };
    let index = engine.create_with_key(name, "raw", &KEK).unwrap();
    its_keys_are_secret(folder, name, &KEK);
    rotate(Rotation::DataKey, "raw", None, None);
    its_keys_are_secret(folder, name, &KEK);
    rotate(Rotation::Rewrap, "flip", None, None);
    use_index(&index);
    rotate(Rotation::Kek, "base64", None, Some(&NEW_KEK));
    its_keys_are_secret(folder, name, &NEW_KEK);
    use_index(&index);
    assert_eq!(index.export_kek(1).unwrap().expose(), &KEK);
    let wrong = engine.rotate_with_key(name, Rotation::Rewrap, Some(""), None, Some(&WRONG_KEK));
    assert_eq!(wrong.unwrap_err().status(), Status::AuthenticationFailed);
    rotate(Rotation::Rewrap, "", None, Some(&NEW_KEK));
    let given = OpenOptions { kek: Some(&NEW_KEK), ..OpenOptions::default() };
    let given = engine.open_index_with(name, &given).unwrap();
    engine.retire_kek(name, 1).unwrap();
    use_index(&given);
    engine.disable(name).unwrap();
    assert_eq!(given.export_kek(0).unwrap_err().status(), Status::KeyDisabled);
    engine.delete(name).unwrap();
}

fn failures(folder: &Path) {
    let engine = engine(folder, "1h");
    let open = |name: &str, kek: &[u8]| {
        let options = OpenOptions { kek: Some(kek), ..OpenOptions::default() };
        engine.open_index_with(name, &options).unwrap_err().status()
    };
    assert_eq!(open("index of ", &WRONG_KEK), Status::AuthenticationFailed);
    assert_eq!(open("index of ", &KEK[..31]), Status::InvalidArgument);
    assert_eq!(open("index of raw", &KEK), Status::InvalidArgument);
    assert_eq!(open("nobody", &KEK), Status::NotFound);
    let create =
        |name: &str, slot: &str, kek: &[u8]| engine.create_with_key(name, slot, kek).unwrap_err().status();
    assert_eq!(create("index of raw", "raw", &KEK), Status::AlreadyExists);
    assert_eq!(create("new", "nowhere", &KEK), Status::Config);
    assert_eq!(create("new", "raw", &KEK[..31]), Status::InvalidArgument);
    // Another index's record, and a damaged one.
    let config = folder.join("db/_catalog/config");
    fs::copy(config.join("index%20of%20flip.kms.cat"), config.join("moved.kms.cat")).unwrap();
    assert_eq!(engine.open_index("moved").unwrap_err().status(), Status::Corrupt);
    let record = fs::read(config.join("index%20of%20raw.kms.cat")).unwrap();
    for at in (0..record.len()).step_by(41) {
        let mut damaged = record.clone();
        damaged[at] ^= 0x10;
        fs::write(config.join("index%20of%20raw.kms.cat"), &damaged).unwrap();
        engine.evict(None);
        let _ = engine.open_index("index of raw");
    }
    fs::write(config.join("index%20of%20raw.kms.cat"), &record).unwrap();
    // A key file with rubbish behind the key.
    let path = folder.join("hex");
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"!").unwrap();
    engine.evict(None);
    assert_eq!(engine.open_index("index of hex").unwrap_err().status(), Status::Config);
}

/// As a C program does it.
fn c_api(folder: &Path) {
    let yaml = format!(
        "storage: {{url: {0}/c}}\nkms: {{registry: {{raw: {{provider: local, key_id: {0}/raw}}}}}}\n\0",
        folder.display()
    );
    let (mut engine, mut index, mut wrapped, mut error) = (null_mut(), null_mut(), null_mut(), null_mut());
    let (mut key, mut again, mut kek) = ([0; 32], [0; 32], [0; 32]);
    let status = |status: u32| assert_eq!(status, 0);
    // SAFETY: live handles, pointers to values that outlive the calls, NUL-terminated texts.
    unsafe {
        status(ffi::cyborg_kms_engine_open_yaml(yaml.as_ptr().cast(), &raw mut engine, &raw mut error));
        status(ffi::cyborg_kms_index_create_with_key(
            engine,
            c"c".as_ptr(),
            c"raw".as_ptr(),
            KEK.as_ptr(),
            32,
            &raw mut index,
            &raw mut error,
        ));
        status(ffi::cyborg_kms_index_export_kek(index, 0, kek.as_mut_ptr(), 32, &raw mut error));
        assert_eq!(kek, KEK);
        status(ffi::cyborg_kms_index_generate_data_key(
            index,
            key.as_mut_ptr(),
            32,
            &raw mut wrapped,
            &raw mut error,
        ));
        secret(&key);
        let (at, len) = (ffi::cyborg_kms_buffer_data(wrapped), ffi::cyborg_kms_buffer_len(wrapped));
        status(ffi::cyborg_kms_index_unwrap_data_key(index, at, len, again.as_mut_ptr(), 32, &raw mut error));
        assert_eq!(key, again);
        status(ffi::cyborg_kms_index_derive_key(
            index,
            c"label".as_ptr(),
            null(),
            0,
            key.as_mut_ptr(),
            32,
            &raw mut error,
        ));
        secret(&key);
        // A buffer is wiped when it is freed, whatever is in it. Not the nonce: the index goes on counting from it.
        secret(&std::slice::from_raw_parts(at, len)[32..64]);
        ffi::cyborg_kms_buffer_free(wrapped);
        ffi::cyborg_kms_index_free(index);
        ffi::cyborg_kms_engine_free(engine);
    }
}
