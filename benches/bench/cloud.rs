//! AWS KMS and S3 on canned servers: ours against the SDK, `object_store` and boto3 alone, in the same run. Ours finds
//! its credentials as it always does: `scripts/bench.sh` puts some into the environment.

use std::ffi::CString;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::time::Duration;

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::primitives::Blob as Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path};

use crate::c_api::{Blob, Engine, Store, text};
use crate::canned::Canned;
use crate::measure::{Pair, rate, side_by_side};
use crate::report::{Asked, Report};

/// How long one figure of several callers is measured, each time.
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;

pub fn run(report: &mut Report) {
    let server = Canned::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    unwraps(report, &server, &runtime);
    cold(report, &server);
    objects(report, &server, &runtime);
}

fn engine(server: &Canned, ttl: &str) -> Engine {
    Engine::open(&format!(
        "{{cache: {{ttl: {ttl}, max_entries: 10}}, kms: {{registry: {{prod: {{provider: aws-kms, key_id: alias/bench, \
         region: us-east-1, endpoint: '{}'}}}}}}}}",
        server.url
    ))
}

/// What goes through the KMS: the check of a slot, which is a wrap and an unwrap and nothing else, and the opening of an
/// index that is not cached. Its record is in memory, so this is one unwrap, and what is read, derived and checked with it.
fn unwraps(report: &mut Report, server: &Canned, runtime: &tokio::runtime::Runtime) {
    let engine = engine(server, "0");
    let names: Vec<CString> = (0..64).map(|number| text(&format!("index {number}"))).collect();
    for name in &names {
        engine.create_index(name, c"prod");
    }
    let client = sdk(server);
    let (client, names, engine) = (&client, &names, &engine);
    let encrypt = || {
        let request = client
            .encrypt()
            .key_id("alias/bench")
            .plaintext(Bytes::new(vec![0; 32]))
            .encryption_context("cyborg_kms:index", "index 0");
        runtime.block_on(request.send()).expect("an answer");
    };
    let decrypt = || {
        let request = client
            .decrypt()
            .key_id("alias/bench")
            .ciphertext_blob(Bytes::new(vec![0; 32]))
            .encryption_context("cyborg_kms:index", "index 0");
        runtime.block_on(request.send()).expect("an answer");
    };
    for callers in [1, 8, 64] {
        let pair = by_turns(
            callers,
            |_| {
                || {
                    encrypt();
                    decrypt();
                }
            },
            |_| || engine.check(c"prod"),
        );
        let work = format!("wrap and unwrap by AWS KMS (engine_check), {callers} callers: the SDK alone");
        report.time(&work, pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(1.1));
        let pair = by_turns(callers, |_| decrypt, |number| move || drop(engine.open_index(&names[number])));
        let work = format!("open an index that is not cached, {callers} callers: the SDK's unwrap alone");
        report.time(&work, pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(1.1));
        // What is asked of the peer is for 1 and 8.
        if let Some(times) =
            [(1, 5.0), (8, 15.0)].iter().find(|(of, _)| *of == callers).map(|(_, times)| times)
        {
            let boto3 = 1e9 / boto3(server, callers);
            let work = format!("open an index that is not cached, {callers} callers: boto3's unwrap alone");
            report.time(&work, boto3, pair.ours, pair.ours / boto3, Asked::TimesLimit(1.0 / times));
        }
    }
}

fn sdk(server: &Canned) -> aws_sdk_kms::Client {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .build_https();
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
        .endpoint_url(&server.url)
        .retry_config(RetryConfig::disabled())
        .http_client(https);
    aws_sdk_kms::Client::from_conf(config.build())
}

/// The time of one call of so many callers together, limit and ours by turns.
fn by_turns<L: FnMut(), O: FnMut()>(
    callers: usize,
    limit: impl Fn(usize) -> L + Sync,
    ours: impl Fn(usize) -> O + Sync,
) -> Pair {
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| (1e9 / rate(callers, ROUND, &limit), 1e9 / rate(callers, ROUND, &ours)))
        .collect();
    Pair::of(&rounds)
}

/// Calls a second.
fn boto3(server: &Canned, callers: usize) -> f64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("build/venv/bin/python"))
        .arg(root.join("benches/boto3_unwrap.py"))
        .args([&server.url, &callers.to_string(), "2"])
        .output()
        .expect("boto3 (make setup)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a figure")
}

/// 3,000 callers want one index that is not cached.
fn cold(report: &mut Report, server: &Canned) {
    const CALLERS: usize = 3000;
    let engine = engine(server, "1h");
    engine.create_index(c"cold", c"prod");
    engine.evict();
    let before = engine.kms_calls();
    let start = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let open = || {
                start.wait();
                drop(engine.open_index(c"cold"));
            };
            std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, open).expect("a thread");
        }
    });
    report.count("calls to AWS KMS for 3,000 callers of a cold index", engine.kms_calls() - before, 1);
}

fn objects(report: &mut Report, server: &Canned, runtime: &tokio::runtime::Runtime) {
    let store = Store::open_url(&format!(
        "s3://bucket/ours?region=us-east-1&endpoint={}&allow_http=true",
        server.url
    ));
    let limit = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_region("us-east-1")
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .with_endpoint(&server.url)
        .with_allow_http(true)
        .build()
        .expect("a store");
    let blob = Blob::sample();
    store.create(c"there", &blob);
    let there = path::Path::parse("ours/_catalog/config/there.kms.cat").expect("a path");
    let get = |at: &path::Path| runtime.block_on(async { limit.get(at).await?.bytes().await });
    let pair = side_by_side(|| drop(get(&there).expect("it is there")), || drop(store.get(c"there")));
    report.time(
        "get a record from S3: object_store alone",
        pair.limit,
        pair.ours,
        pair.ratio,
        Asked::TimesLimit(1.1),
    );

    let record = get(&there).expect("it is there");
    let (mut of_limit, mut of_ours) = (0, 0);
    let pair = side_by_side(
        || {
            of_limit += 1;
            let at = path::Path::parse(format!("limit/{of_limit}")).expect("a path");
            // A strict insert looks first, as ours does, and its answer is believed.
            assert!(get(&at).is_err());
            put_new(&limit, runtime, &at, record.clone());
        },
        || {
            of_ours += 1;
            store.create(&text(&format!("new {of_ours}")), &blob);
        },
    );
    let work = "create a record on S3: object_store's get and put alone";
    report.time(work, pair.limit, pair.ours, pair.ratio, Asked::TimesLimit(1.1));
}

fn put_new(store: &AmazonS3, runtime: &tokio::runtime::Runtime, at: &path::Path, bytes: bytes::Bytes) {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    runtime.block_on(store.put_opts(at, bytes.into(), options)).expect("a new object");
}
