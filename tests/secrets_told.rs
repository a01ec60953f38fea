//! No key in what the library tells: log lines of every level, errors, `Debug` output.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64ct::{Base64, Encoding};
use cyborg_kms::engine::{Engine, OpenOptions, Rotation};
use cyborg_kms::error::{Error, Status};
use cyborg_kms::log;
use cyborg_kms::provider::ExternalCallbacks;
use cyborg_kms::registry::Config;
use cyborg_kms::reply::Reply;

const KEK: [u8; 32] = [
    0x8d, 0x96, 0x9e, 0xef, 0x6e, 0xca, 0xd3, 0xc2, 0x9a, 0x3a, 0x62, 0x92, 0x80, 0xe6, 0x86, 0xcf, 0x0c,
    0x3f, 0x5d, 0x5a, 0x86, 0xaf, 0xf3, 0xca, 0x12, 0x02, 0x0c, 0x92, 0x3a, 0xdc, 0x6c, 0x92,
];
const OTHER_KEK: [u8; 32] = [
    0x51, 0xe2, 0x73, 0xc4, 0x95, 0xa6, 0x37, 0xb8, 0xd9, 0x4a, 0xfb, 0x1c, 0x6d, 0x8e, 0x2f, 0xf0, 0x13,
    0x24, 0xe5, 0xc6, 0xa7, 0x98, 0xb9, 0x7a, 0x5b, 0xdc, 0x3d, 0xfe, 0x1f, 0x80, 0x41, 0xd2,
];
/// A key that is text, as a careless operator may have it.
const WRAP_KEY: [u8; 32] = *b"zQ7fTt0xVw93JkLm2NpRs5UvXy8AbCdE";

/// Fails each other time, and from the thousandth on.
struct Moody(Mutex<u32>);

impl ExternalCallbacks for Moody {
    fn wrap(&self, _: &str, _: &[u8], plaintext: &[u8], reply: Reply) {
        let mut calls = self.0.lock().unwrap();
        *calls += 1;
        if *calls % 2 == 1 || *calls > 1000 {
            return reply.error(Error::new(Status::KmsUnavailable, "the moody KMS is away"));
        }
        reply.bytes(&plaintext.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>(), 0);
    }

    fn unwrap(&self, key_id: &str, aad: &[u8], wrapped: &[u8], reply: Reply) {
        self.wrap(key_id, aad, wrapped, reply);
    }
}

/// Six bytes of the key in any way that someone may write them.
fn forms(key: &[u8]) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for part in key.chunks_exact(6) {
        let hex = base16ct::lower::encode_string(part);
        forms.push(hex.to_uppercase());
        forms.push(hex);
        forms.push(format!("{part:?}").trim_matches(['[', ']']).to_owned());
        forms.push(format!("{part:x?}").trim_matches(['[', ']']).to_owned());
        forms.extend(String::from_utf8(part.to_vec()));
        forms.push(Base64::encode_string(part));
    }
    forms
}

fn slots(folder: &Path) -> String {
    let root = folder.display();
    format!(
        "storage: {{url: {root}/db}}\nkms:\n  registry:\n    own: {{provider: local, key_id: {root}/key}}\n    \
         moody: {{provider: \"external:moody\", key_id: any, max_retries: 1}}\n"
    )
}

/// Every change of an index, and what it says.
fn lifecycle(engine: &Engine, name: &str, slot: &str, tell: &dyn Fn(&dyn std::fmt::Debug)) {
    let old = slot.is_empty().then_some(&KEK[..]);
    for (rotation, old, new) in [
        (Rotation::DataKey, old, None),
        (Rotation::Kek, Some(&WRAP_KEY[..]), Some(&OTHER_KEK[..])),
        (Rotation::Kek, old, Some(&OTHER_KEK[..])),
        (Rotation::Kek, old, Some(&OTHER_KEK[..])),
        (Rotation::Rewrap, None, Some(&OTHER_KEK[..])),
        (Rotation::Kek, Some(&KEK[..31]), None),
    ] {
        tell(&engine.rotate_with_key(name, rotation, None, old, new));
    }
    tell(&engine.rotate_with_key(name, Rotation::Rewrap, Some(""), None, Some(&WRAP_KEY)));
    tell(&(engine.retire_data_key(name, 1), engine.retire_kek(name, 1)));
    tell(&engine.describe(name).unwrap());
    tell(&(engine.disable(name), engine.open_index(name), engine.enable(name)));
    tell(&(engine.schedule_deletion(name, 24), engine.cancel_deletion(name), engine.enable(name)));
    assert!(engine.describe(name).unwrap().contains("\"version\":2"), "it was rotated");
    if slot != "own" {
        tell(&engine.delete(name).unwrap());
    }
}

#[test]
fn no_key_is_told() {
    let told = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&told);
    let to = Box::new(move |level, target: &str, message: &str, fields: &str| {
        writeln!(sink.lock().unwrap(), "{level:?} {target} {message} {fields}").unwrap();
    });
    log::set_sink(log::Level::Trace as u32, Some(to));
    let tell = |what: &dyn std::fmt::Debug| writeln!(told.lock().unwrap(), "{what:?}\n{what:#?}").unwrap();

    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, WRAP_KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let yaml = slots(folder.path());
    tell(&Config::parse(&yaml, None, &|_| None));
    let engine = Engine::open_yaml(&yaml).unwrap();
    let moody = Arc::new(Moody(Mutex::new(0)));
    engine.register_provider("moody", Arc::clone(&moody) as Arc<dyn ExternalCallbacks>).unwrap();
    let mut secrets = vec![KEK.to_vec(), WRAP_KEY.to_vec()];
    for slot in ["own", "moody", ""] {
        let name = format!("index {slot}");
        let index = engine.create_with_key(&name, slot, &KEK).unwrap();
        tell(&index);
        let options = OpenOptions { kek: slot.is_empty().then_some(&KEK[..]), ..OpenOptions::default() };
        tell(&engine.open_index_with(&name, &options));
        tell(&engine.open_index_with(&name, &OpenOptions { kek: Some(&WRAP_KEY), ..OpenOptions::default() }));
        let (key, wrapped) = index.generate_data_key().unwrap();
        secrets.push(key.expose().to_vec());
        tell(&(&key, index.export_kek(0), index.unwrap_data_key(&wrapped), index.unwrap_data_key(&[2; 80])));
        tell(&index.derive_key("label", b"", &mut []));
        tell(&index);
        tell(&engine.check(None));
        engine.evict(None);
        lifecycle(&engine, &name, slot, &tell);
        secrets.push(OTHER_KEK.to_vec());
    }
    *moody.0.lock().unwrap() = 1000;
    tell(&engine.check(Some("moody")).expect_err("a KMS that is away"));
    // A file with the key and something that makes it wrong; then one that others may read.
    fs::write(&key, [&WRAP_KEY[..], b"??"].concat()).unwrap();
    tell(&engine.open_index("index own").expect_err("a wrong key file"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    tell(&engine.open_index("index own").expect_err("a key file that others can read"));
    // A key where a path, a name or a number is due.
    for careless in
        ["own: {provider: local, key_id: SECRET}", "SECRET: {provider: x}", "own: {provider: SECRET}"]
    {
        let text = careless.replace("SECRET", "${SECRET}");
        let yaml = format!("kms: {{registry: {{{text}}}}}");
        let value = std::str::from_utf8(&WRAP_KEY).unwrap();
        tell(&Config::parse(&yaml, None, &|_| Some(value.to_owned())).map(|_| ()));
    }
    tell(&engine);
    drop(engine);
    log::set_sink(0, None);

    let told = told.lock().unwrap();
    assert!(told.lines().any(|line| line.starts_with("Debug ")), "nothing was logged:\n{told}");
    assert!(told.contains("the moody KMS is away") && told.contains("others"), "{told}");
    for form in secrets.iter().flat_map(|key| forms(key)) {
        let line = told.lines().find(|line| line.contains(&form));
        assert!(line.is_none(), "{form} is a key's, and told in: {line:?}");
    }
    // The search finds: each form of a key that is told.
    assert!(forms(&WRAP_KEY).iter().any(|form| format!("{:?}", WRAP_KEY).contains(form)));
}
