use std::time::Duration;

use super::*;
use crate::error::Status;

fn cloud(url: &str) -> Cloud {
    Cloud::of(url.split_once("://").unwrap().0).unwrap()
}

fn good(url: &str) -> Address {
    Address::parse(cloud(url), url, &StoreOptions::default()).unwrap()
}

#[track_caller]
fn refused(url: &str, options: &StoreOptions, words: &[&str]) {
    let error = Address::parse(cloud(url), url, options).unwrap_err();
    assert_eq!(error.status(), Status::Config, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{word:?} is missing in: {error}");
    }
    assert!(!error.message().contains("secret"), "{error}");
}

#[test]
fn bucket_and_prefix() {
    for (url, bucket, prefix) in [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my_bucket.A-1/a/b", "my_bucket.A-1", "a/b/"),
        ("gs://bucket/a/", "bucket", "a/"),
        ("s3://bucket/a%20b/%C3%BC%25", "bucket", "a b/ü%/"),
        ("s3://bucket/a+b?region=r", "bucket", "a+b/"),
    ] {
        let address = good(url);
        assert_eq!((&*address.bucket, &*address.prefix), (bucket, prefix), "{url}");
    }
    assert_eq!(good("s3://bucket/a/b?region=r").to_string(), "s3://bucket/a/b");
    assert_eq!(good("s3://bucket").to_string(), "s3://bucket/");
}

#[test]
fn the_query_has_the_keys_of_the_configuration() {
    let role = "arn:aws:iam::123456789012:role/x";
    let address = good(&format!(
        "s3://bucket/p?region=eu-west-1&endpoint=http://127.0.0.1:9000/&allow_http=true&profile=p&role_arn={role}\
         &external_id=a%2Bb&connect_timeout=500ms&request_timeout=3s"
    ));
    let options = address.options;
    assert_eq!(options.region.as_deref(), Some("eu-west-1"));
    assert_eq!(options.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(options.allow_http, Some(true));
    assert_eq!(options.profile.as_deref(), Some("p"));
    assert_eq!(options.role_arn.as_deref(), Some(role));
    assert_eq!(options.external_id.as_deref(), Some("a+b"));
    assert_eq!(options.connect_timeout(), Duration::from_millis(500));
    assert_eq!(options.request_timeout(), Duration::from_secs(3));
    let here = std::env::current_dir().unwrap().join("c.json");
    let file = good("gs://bucket?credentials_file=c.json").options.credentials_file;
    assert_eq!(file.as_deref(), here.to_str());
    assert_eq!(good("az://container?account=abc").options.account.as_deref(), Some("abc"));
}

#[test]
fn what_is_no_address_is_refused() {
    let none = StoreOptions::default();
    for (url, words) in [
        ("s3://", &["has no bucket", "s3://bucket/prefix"][..]),
        ("s3:///prefix", &["has no bucket"]),
        ("s3://b", &["has no bucket"]),
        ("s3://bücket", &["has no bucket"]),
        ("s3://bucket:9000/p", &["has a port", "endpoint="]),
        ("s3://key:secret@bucket/p", &["has a user or a password"]),
        ("s3://bucket/a#b", &["%23"]),
        ("s3://bucket/a/../b", &["segment . or .."]),
        ("s3://bucket/a/%2e%2e/b", &["segment . or .."]),
        ("s3://bucket/a//b", &["an empty segment"]),
        ("s3://bucket//b", &["begins with a slash"]),
        ("s3://bucket/a%0Ab", &["control character"]),
        ("s3://bucket/a\nb", &["control character"]),
        ("s3://bucket/%FF", &["not UTF-8"]),
    ] {
        refused(url, &none, words);
    }
    refused(&format!("s3://bucket/{}", "x".repeat(513)), &none, &["512 bytes"]);
}

#[test]
fn what_is_no_setting_is_refused() {
    let none = StoreOptions::default();
    for (url, words) in [
        ("s3://bucket?regoin=x", &["\"regoin\"", "nearest", "\"region\""][..]),
        ("s3://bucket?url=x", &["\"url\" of the store's URL is unknown"]),
        ("s3://bucket?account=x", &["\"account\"", "means nothing for s3://, only for az://"]),
        ("gs://bucket?region=x", &["means nothing for gs://, only for s3://"]),
        ("az://bucket?account=abc&credentials_file=x", &["only for gs://"]),
        ("s3://bucket?region=a&region=b", &["\"region\"", "twice"]),
        ("s3://bucket?region=", &["\"region\"", "is empty"]),
        ("s3://bucket?region=a%20b", &["\"region\"", "us-east-1"]),
        ("s3://bucket?allow_http=secret", &["\"allow_http\"", "true or false"]),
        ("s3://bucket?request_timeout=10", &["\"request_timeout\"", "no duration"]),
        ("s3://bucket?connect_timeout=11m", &["\"connect_timeout\"", "1ms to 10m"]),
        ("s3://bucket?role_arn=secret", &["\"role_arn\"", "arn:aws:iam"]),
        ("s3://bucket?external_id=secret", &["\"external_id\"", "without role_arn"]),
        ("s3://bucket?endpoint=secret:9000", &["\"endpoint\"", "https://host:port"]),
        ("s3://bucket?endpoint=https://a:secret@h", &["\"endpoint\"", "a password"]),
        ("s3://bucket?endpoint=http://h:9000", &["without TLS", "allow_http: true"]),
        ("s3://bucket?endpoint=http://h&allow_http=false", &["without TLS"]),
        (
            "gs://bucket?endpoint=http://h&allow_http=true&credentials_file=c",
            &["\"credentials_file\"", "without TLS"],
        ),
        ("az://container?account=secret-account", &["\"account\"", "3 to 24"]),
    ] {
        refused(url, &none, words);
    }
}

#[test]
fn a_setting_stands_in_one_place() {
    let text = |value: &str| Some(value.to_owned());
    let seconds = Some(Duration::from_secs(1));
    for (key, options) in [
        ("region=x", StoreOptions { region: text("x"), ..StoreOptions::default() }),
        ("endpoint=https://x", StoreOptions { endpoint: text("https://x"), ..StoreOptions::default() }),
        ("allow_http=false", StoreOptions { allow_http: Some(false), ..StoreOptions::default() }),
        ("request_timeout=1s", StoreOptions { request_timeout: seconds, ..StoreOptions::default() }),
        ("connect_timeout=1s", StoreOptions { connect_timeout: seconds, ..StoreOptions::default() }),
    ] {
        let name = key.split_once('=').unwrap().0;
        refused(&format!("s3://bucket?{key}"), &options, &[name, "in its URL and in the configuration"]);
    }
    let options = StoreOptions { region: text("x"), ..StoreOptions::default() };
    let address = Address::parse(Cloud::S3, "s3://bucket?profile=p", &options).unwrap();
    assert_eq!(address.options.region.as_deref(), Some("x"));
}

#[test]
fn nothing_secret_is_shown() {
    let address = good("s3://bucket/p?profile=secret&region=r");
    assert_eq!(format!("{address:?}"), "s3://bucket/p");
}
