//! The configuration: what is read, what is refused, and in which words.

mod registry_support;

use std::path::Path;
use std::time::Duration;

use cyborg_kms::error::Status;
use cyborg_kms::registry::{CAN_ALL, CAN_DECRYPT, CAN_ENCRYPT, Config, MAX_BYTES, ProviderKind};
use registry_support::*;

#[test]
fn nothing_is_a_memory_store_and_no_slot() {
    for yaml in ["", "{}", "# only a comment\n", "---\n", "~", "kms:\n", "kms: {registry: }", "\u{feff}{}"] {
        let config = good(yaml);
        assert_eq!(config.storage.url, "memory://", "{yaml}");
        assert!(!config.storage_is_set && config.slots.is_empty() && !config.cyborgdb_compatible);
        assert_eq!(config.storage.options.connect_timeout(), seconds(2));
        assert_eq!(config.storage.options.request_timeout(), seconds(10));
        assert_eq!((config.cache.ttl, config.cache.max_record_age), (seconds(60), seconds(3600)));
        assert_eq!((config.cache.max_entries, config.cache.refresh_ahead), (100_000, 0.8));
        assert!(!config.cache.require_locked_memory && config.cache.stale_if_unavailable.is_zero());
        assert_eq!(config.audit.max_size, 100 << 20);
        assert!(config.audit.fail_on_error && config.audit.path.is_none());
    }
}

#[test]
fn cyborgdbs_own_file_works_unchanged() {
    let config = good(include_str!("data/cyborgdb.yaml"));
    assert_eq!(config.slots.len(), 3);
    let slot = &config.slots["customer-a"];
    assert_eq!(slot.provider, ProviderKind::AwsKms);
    assert_eq!(slot.key_id, "arn:aws:kms:us-east-1:210987654321:key/abcd");
    assert_eq!(slot.external_id.as_deref(), Some("fallback-id"));
    assert_eq!(slot.role_session_name, "cyborgdb-prod");
    assert_eq!(config.slots["plain"].region, "eu-west-1");
    assert_eq!(config.slots["plain"].role_arn, None);
    assert_eq!(config.slots["secrets manager"].provider.as_str(), "aws");
    assert_eq!(config.slots["secrets manager"].role_session_name, "cyborg-kms-secrets-manager");
    assert!(!config.storage_is_set);
}

#[test]
fn every_active_key_is_read() {
    let config = good(include_str!("data/full.yaml"));
    assert_eq!(config.storage.url, "/etc/db/data");
    assert!(config.storage_is_set && config.cyborgdb_compatible);
    assert_eq!(config.storage.options.connect_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(config.storage.options.request_timeout, Some(seconds(20)));
    let dev = &config.slots["dev"];
    assert_eq!((dev.name.as_str(), &dev.provider), ("dev", &ProviderKind::Local));
    assert_eq!((dev.key_id.as_str(), dev.create), ("/etc/db/dev.key", true));
    assert_eq!(dev.former_key_ids, ["/etc/db/old.key", "/older.key"]);
    assert_eq!(dev.capabilities, CAN_ENCRYPT | CAN_DECRYPT);
    assert!(!dev.cyborgdb_compatible);
    assert_eq!((dev.connect_timeout, dev.request_timeout), (seconds(1), seconds(3)));
    assert_eq!((dev.deadline, dev.max_retries), (seconds(9), 0));
    let escrow = &config.slots["escrow"];
    assert_eq!(escrow.provider, ProviderKind::External("vault of ours".into()));
    assert_eq!(escrow.provider.as_str(), "external:vault of ours");
    assert_eq!((escrow.key_id.as_str(), escrow.capabilities), ("1", CAN_ALL));
    assert!(escrow.cyborgdb_compatible);
    assert_eq!((escrow.deadline, escrow.request_timeout, escrow.max_retries), (seconds(15), seconds(5), 3));
    assert_eq!(config.slots["mine"].provider, ProviderKind::None);
    assert_eq!(config.cache.ttl, seconds(300));
    assert_eq!((config.cache.max_entries, config.cache.refresh_ahead), (10, 0.5));
    assert_eq!(config.cache.max_record_age, seconds(1800));
    assert!(config.cache.require_locked_memory);
    let audit = &config.audit;
    assert_eq!(audit.path.as_deref(), Some("/etc/db/log/audit.log"));
    assert_eq!((audit.key_file.as_deref(), audit.fail_on_error), (Some("/etc/db/audit.key"), false));
    assert_eq!((audit.max_size, audit.principal.as_deref()), (1 << 20, Some("eu-west-1")));
}

#[test]
fn json_is_accepted() {
    let config = good(
        r#"{"storage": {"url": "file:///db"}, "kms": {"registry": {"a": {"provider": "local", "key_id": "/k",
        "create": true, "max_retries": 5, "region": null, "former_key_ids": []}}},
        "cache": {"ttl": 0, "refresh_ahead": 0.25, "max_entries": 7}}"#,
    );
    assert_eq!(config.storage.url, "file:///db");
    assert!(config.slots["a"].create && config.slots["a"].max_retries == 5);
    assert!(config.cache.ttl.is_zero() && config.cache.max_entries == 7);
}

#[test]
fn the_whole_example_is_understood() {
    let example = include_str!("data/example.yaml");
    let with = |name: &str| (name == "CUSTOMER_EXTERNAL_ID").then(|| "id-1".to_owned());
    let config = Config::parse(example, None, &with).unwrap();
    assert_eq!(config.slots["prod"].recipients, ["escrow"]);
    assert_eq!(config.slots["prod"].external_id.as_deref(), Some("id-1"));
    assert_eq!(config.slots["prod"].role_session_name, "cyborg-kms-prod");
    assert_eq!(config.slots["escrow"].provider.as_str(), "external:escrow");
}

#[test]
fn unknown_keys_are_named_with_line_and_nearest() {
    refused("cach: {}\n", Status::Config, &["line 1", "\"cach\"", "nearest", "\"cache\""]);
    // Where none is near the nearest would mislead.
    refused("registry: {}\n", Status::Config, &["\"registry\"", "the known keys are", "kms", "storage"]);
    refused(
        "cache:\n  ttl: 1s\n  max_entrys: 3\n",
        Status::Config,
        &["line 3", "in cache", "\"max_entries\""],
    );
    refused("storage:\n\n  uri: /db\n", Status::Config, &["line 3", "in storage", "\"url\""]);
    refused("kms:\n  registery: {}\n", Status::Config, &["line 2", "in kms", "\"registry\""]);
    refused("audit: {pth: x}", Status::Config, &["line 1", "in audit", "\"path\""]);
    let yaml = "kms:\n  registry:\n    a:\n      provider: local\n      keyid: /k\n";
    refused(yaml, Status::Config, &["line 5", "\"keyid\"", "in a slot", "\"key_id\""]);
    refused("service: {}\nServices: {}\n", Status::Config, &["line 2", "\"service\""]);
}

#[test]
fn duplicate_keys_are_refused() {
    refused("cache: {}\nkms: {}\ncache: {}\n", Status::Config, &["line 3", "\"cache\"", "twice"]);
    refused("cache:\n  ttl: 1s\n  \"ttl\": 2s\n", Status::Config, &["line 3", "\"ttl\"", "twice"]);
    let yaml = "kms:\n  registry:\n    a: {provider: none}\n    a: {provider: none}\n";
    refused(yaml, Status::Config, &["line 4", "\"a\"", "twice"]);
    let yaml = "kms:\n  registry:\n    7: {provider: none}\n    \"7\": {provider: none}\n";
    refused(yaml, Status::Config, &["line 4", "kms.registry.7", "twice"]);
}

#[test]
fn broken_yaml_names_line_and_column_and_repeats_nothing() {
    for yaml in [
        format!("cache:\n  ttl: [{SECRET}\n"),
        format!("cache:\n  ttl: \"{SECRET}\n"),
        format!("cache:\n\tttl: {SECRET}\n"),
        format!("cache:\n  ttl: *{SECRET}\n"),
        format!("cache:\n  ttl: 1s\n {SECRET}\n"),
        format!("cache:\n  ttl: {{a: {SECRET}}}\n"),
        format!("cache:\n  - {SECRET}\n"),
        format!("cache:\n  {SECRET}\n"),
        format!("cache:\n  ttl: !!binary {SECRET}\n"),
        format!("kms:\n  registry: {SECRET}\n"),
        format!("kms:\n  registry: {{a: [{SECRET}]}}\n"),
        format!("kms:\n  registry: {{a: {{provider: none, capabilities: {SECRET}}}}}\n"),
        format!("{{}}\n---\n- {SECRET}\n"),
        format!("- {SECRET}\n"),
        SECRET.to_owned(),
        format!("kms:\n  registry: {{~: {SECRET}}}\n"),
    ] {
        refused(&yaml, Status::Config, &["line ", "column "]);
    }
    refused("cache: 5\n", Status::Config, &["line 1, column 8", "expected keys with values"]);
    refused("cache: {ttl: [1s]}\n", Status::Config, &["line 1, column 14", "expected a text"]);
    refused(&slot("provider: none, capabilities: encrypt"), Status::Config, &["line 3", "expected a list"]);
    refused("cache:\n  ttl: 1s\n  {x\n", Status::Config, &["line 3"]);
}

#[test]
fn variables_are_filled_in_after_parsing_in_values_only() {
    let config = good(
        "cache: {ttl: \"${TTL}\", max_entries: '${N:-12}', require_locked_memory: \"${EMPTY:-yes}\"}\n\
         kms: {registry: {\"${REGION}\": {provider: aws, key_id: \"a${REGION}-${lower}-$REGION\",\n\
         region: '${REGION}', former_key_ids: ['${REGION}', '${NESTED}', 'x: ${NO:-{y]}']}}}",
    );
    assert_eq!(config.cache.ttl, seconds(300));
    assert!(config.cache.max_entries == 12 && config.cache.require_locked_memory);
    let slot = &config.slots["${REGION}"];
    assert_eq!((slot.region.as_str(), slot.key_id.as_str()), ("eu-west-1", "aeu-west-1-${lower}-$REGION"));
    assert_eq!(slot.former_key_ids, ["eu-west-1", "${REGION}", "x: {y]"]);
}

#[test]
fn a_missing_variable_is_named_with_key_and_line() {
    let yaml = "kms:\n  registry:\n    a:\n      provider: aws\n      key_id: x\n      region: ${NOT_SET}\n";
    refused(yaml, Status::Config, &["kms.registry.a.region", "line 6", "NOT_SET", "${NOT_SET:-default}"]);
    refused("cache:\n  ttl: ${EMPTY}\n", Status::Config, &["cache.ttl (line 2)", "EMPTY", "empty"]);
    let yaml = slot("provider: none, capabilities: [encrypt, '${NOT_SET}']");
    refused(&yaml, Status::Config, &["kms.registry.s.capabilities[1] (line 3)", "NOT_SET"]);
}

#[test]
fn no_value_is_repeated_in_an_error() {
    let keys = [
        "provider",
        "region",
        "role_arn",
        "external_id",
        "role_session_name",
        "endpoint",
        "proxy",
        "deadline",
        "max_retries",
        "create",
        "cyborgdb_compatible",
        "fallback_after",
        "requests_per_second",
    ];
    for key in keys {
        for value in ["${SECRET} *", "hunter2 *"] {
            let others = if key == "provider" { "" } else { "provider: aws-kms, " };
            let yaml = slot(&format!("{others}key_id: k, {key}: '{value}'"));
            refused(&yaml, Status::Config, &[&format!("kms.registry.s.{key}"), "line 3"]);
        }
    }
    for key in ["ttl", "max_entries", "refresh_ahead", "max_record_age", "require_locked_memory"] {
        refused(&format!("cache:\n  {key}: ${{SECRET}}\n"), Status::Config, &["cache.", key, "line 2"]);
    }
    refused("storage: {url: 'x${SECRET}://'}", Status::Config, &["storage.url"]);
    refused(&slot("provider: 'external:${SECRET}', region: x"), Status::Config, &["an external provider"]);
    let proxy = slot("provider: aws, key_id: k, proxy: 'http://u:${SECRET}@p', external_id: x");
    refused(&proxy, Status::Config, &["external_id"]);
    let shown = format!("{:?}", good(&slot("provider: aws, key_id: k, proxy: 'http://u:${SECRET}@p'")));
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = format!("{:?}", good("storage: {url: 's3://b/${SECRET}', endpoint: 'http://${SECRET}@x'}"));
    assert!(!shown.contains("hunter2") && shown.contains("s3"), "{shown}");
}

#[test]
fn recipients_schedules_and_the_audit_trail() {
    let set = good(&slot(
        "provider: local, key_id: k, recipients: [b], fallback_after: 1s, fallback_on_denied: true, requests_per_second: 0, \
         rewrap_after: 90d, rotate_kek_after: 1h, rotate_data_key_after: ~}\n    b: {provider: local, key_id: k",
    ));
    let slot_set = &set.slots["s"];
    assert_eq!(
        (slot_set.recipients.as_slice(), slot_set.requests_per_second),
        (["b".to_owned()].as_slice(), 0)
    );
    assert!(slot_set.fallback_on_denied && slot_set.fallback_after == Duration::from_secs(1));
    assert_eq!(slot_set.rewrap_after, Duration::from_secs(90 * 24 * 3600));
    assert_eq!(slot_set.rotate_kek_after, Duration::from_secs(3600));
    assert!(slot_set.rotate_data_key_after.is_zero() && set.slots["b"].recipients.is_empty());
    for (recipients, what) in [
        ("provider: none, recipients: [b]", "provider none"),
        ("provider: local, key_id: k, recipients: [b], cyborgdb_compatible: true", "cyborgdb_compatible"),
        ("provider: local, key_id: k, recipients: [s]", "the slot itself"),
        ("provider: local, key_id: k, recipients: [b, b]", "twice"),
        ("provider: local, key_id: k, recipients: [bb]", "nearest is \"b\""),
        ("provider: local, key_id: k, recipients: [ss]", "nearest is \"b\""),
        ("provider: local, key_id: k, recipients: [n]", "provider none"),
    ] {
        let yaml =
            slot(&format!("{recipients}}}\n    b: {{provider: local, key_id: k}}\n    n: {{provider: none"));
        refused(&yaml, Status::Config, &["kms.registry.s.recipients", what]);
    }
    for (key, set, default) in
        [("key_file", "/key", "~"), ("on_error", "log", "fail"), ("max_size", "1MiB", "102400KiB")]
    {
        let parts = [&format!("audit.{key} (line 2)"), "means nothing", "audit.path"];
        refused(&format!("audit:\n  {key}: {set}\n"), Status::Config, &parts.map(|part| part as &str));
        good(&format!("audit:\n  {key}: {default}\n"));
        good(&format!("audit:\n  path: log\n  {key}: {set}\n"));
    }
    refused("audit: {max_size: 5}", Status::Config, &["audit.max_size", "64KiB"]);
    refused("audit: {on_error: ignore}", Status::Config, &["fail or log"]);
    refused(&slot("provider: none, rewrap_after: 90"), Status::Config, &["rewrap_after", "unit"]);
}

#[test]
fn limits_are_kept_at_both_ends() {
    for (key, low, high, below, above) in [
        ("cache.ttl", "0", "24h", "-1s", "25h"),
        ("cache.max_entries", "1", "10000000", "0", "10000001"),
        ("cache.refresh_ahead", "0", "0.99", "-0.1", "1"),
        ("cache.max_record_age", "1ms", "24h", "0", "25h"),
        ("storage.connect_timeout", "1ms", "10m", "0", "11m"),
        ("storage.request_timeout", "1ms", "10m", "0", "11m"),
        ("s.connect_timeout", "1ms", "10m", "0", "11m"),
        ("s.request_timeout", "1ms", "10m", "0", "11m"),
        ("s.deadline", "1ms", "1h", "0", "61m"),
        ("s.max_retries", "0", "100", "-1", "101"),
    ] {
        let yaml = |value: &str| match key.split_once('.') {
            Some(("s", key)) => slot(&format!("provider: none, {key}: {value}")),
            Some((section, key)) => format!("{section}: {{{key}: {value}}}"),
            None => unreachable!(),
        };
        good(&yaml(low));
        good(&yaml(high));
        for value in [below, above, "nan", "''", "12x", "1e99"] {
            refused(&yaml(value), Status::Config, &[key.trim_start_matches("s.")]);
        }
    }
    refused("cache: {ttl: 60}", Status::Config, &["cache.ttl (line 1)", "unit"]);
}

#[test]
fn stores_are_told_apart() {
    for (url, wanted) in [
        ("memory://", "memory://"),
        ("/var/lib/db", "/var/lib/db"),
        ("file:///var/lib/db", "file:///var/lib/db"),
        ("data/here", "/etc/db/data/here"),
        ("s3://bucket/prefix?region=x", "s3://bucket/prefix?region=x"),
        ("gs://bucket", "gs://bucket"),
        ("az://container/prefix", "az://container/prefix"),
    ] {
        assert_eq!(good(&format!("storage: {{url: '{url}'}}")).storage.url, wanted);
    }
    for (url, part) in [
        ("", "is empty"),
        ("${NO:-}", "is empty"),
        ("memory://x", "memory://"),
        ("file://var/lib", "file:///var/lib/db"),
        ("s3://", "no bucket"),
        ("gs:///prefix", "no bucket"),
        ("S3://bucket", "s3://"),
        ("gcs://bucket", "nearest known is gs://"),
    ] {
        refused(&format!("storage: {{url: '{url}'}}"), Status::Config, &["storage.url", part]);
    }
    for set in [
        "region: x",
        "endpoint: 'http://x'",
        "profile: x",
        "role_arn: x",
        "account: x",
        "allow_http: true",
        "external_id: x",
        "credentials_file: x",
    ] {
        let key = format!("storage.{}", set.split(':').next().unwrap());
        for url in ["memory://", "/db", "file:///db"] {
            refused(&format!("storage: {{url: '{url}', {set}}}"), Status::Config, &[&key, "means nothing"]);
        }
    }
    let config = good("storage: {url: 's3://b', region: r, endpoint: 'http://x', allow_http: true}");
    assert_eq!(config.storage.options.region.as_deref(), Some("r"));
    assert_eq!(config.storage.options.allow_http, Some(true));
    let config = good("storage: {url: 'gs://b', credentials_file: c}");
    assert_eq!(config.storage.options.credentials_file.as_deref(), Some("/etc/db/c"));
    for (url, set) in [
        ("s3://b", "account: x"),
        ("s3://b", "credentials_file: x"),
        ("gs://b", "region: x"),
        ("gs://b", "role_arn: 'arn:aws:iam::1:role/x'"),
        ("az://b", "profile: x"),
        ("az://b", "credentials_file: x"),
    ] {
        let part = format!("a store at {}://", &url[..2]);
        refused(&format!("storage: {{url: '{url}', {set}}}"), Status::Config, &["means nothing", &part]);
    }
    refused("storage: {url: 's3://b', region: 'a b'}", Status::Config, &["storage.region"]);
    refused("storage: {url: 's3://b', external_id: abc}", Status::Config, &["without role_arn"]);
    refused("storage: {url: 's3://b', endpoint: 'x:9000'}", Status::Config, &["storage.endpoint"]);
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db.yaml");
    std::fs::write(
        &file,
        "storage: {url: data}\nkms: {registry: {d: {provider: local, key_id: keys/d.key}}}\n",
    )
    .unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(Path::new(&config.storage.url), folder.path().join("data"));
    assert_eq!(Path::new(&config.slots["d"].key_id), folder.path().join("keys/d.key"));
    let here = std::env::current_dir().unwrap();
    for base in [None, Some(Path::new(""))] {
        let config = Config::parse(&slot("provider: local, key_id: d.key"), base, &env).unwrap();
        assert_eq!(Path::new(&config.slots["s"].key_id), here.join("d.key"));
    }
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, bytes: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let error = Config::load_with(&path, &env).unwrap_err();
        assert_eq!(error.status(), Status::Config);
        assert!(error.message().contains(name), "{error}");
        error.message().to_owned()
    };
    assert!(load("missing", None).contains("existing file"));
    assert!(load("", None).contains("readable file"));
    assert!(load("latin1", Some(b"\xfc")).contains("UTF-8"));
    assert!(load("large", Some(&vec![b'#'; MAX_BYTES + 1])).contains("larger"));
    assert!(load("typo", Some(b"cache: {tll: 1s}")).contains("line 1"));
    assert_eq!(parse(&"#".repeat(MAX_BYTES + 1)).unwrap_err().status(), Status::Config);
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("service:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("  a{level}: &a{level} [{refs}]\n"));
    }
    refused(&laughs, Status::Config, &["aliases"]);
    let item = "x".repeat(4000);
    let list = vec![item; 250].join(", ");
    let refs = vec!["*l"; 200].join(", ");
    refused(&format!("service: [&l [{list}], {refs}]"), Status::Config, &["aliases"]);
    for open in ["[", "{a: ", "- "] {
        refused(&format!("service: {}", open.repeat(50_000)), Status::Config, &[]);
        refused(&format!("service:\n  {}", open.repeat(50_000)), Status::Config, &[]);
    }
    refused(&format!("cache: {{ttl: {}}}", "x".repeat(5000)), Status::Config, &["4096"]);
    let big = |_: &str| Some("y".repeat(3000));
    let error = Config::parse("cache: {ttl: '${A}${A}'}", None, &big).unwrap_err();
    assert!(error.message().contains("cache.ttl (line 1): is longer than 4096"), "{error}");
}

#[test]
fn aliases_and_merges_in_reason_work() {
    let config = good(
        "kms:\n  registry:\n    a: &a {provider: aws, key_id: k, region: r}\n    b: *a\n    c:\n      <<: *a\n      region: s\n",
    );
    assert_eq!(config.slots["b"].region, "r");
    assert_eq!((config.slots["c"].region.as_str(), config.slots["c"].key_id.as_str()), ("s", "k"));
}
