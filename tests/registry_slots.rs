//! The slots of a configuration: what each provider needs, and what means nothing to it.

mod registry_support;

use cyborg_kms::error::Status;
use cyborg_kms::registry::ProviderKind;
use registry_support::*;

#[test]
fn each_provider_asks_for_its_keys() {
    for provider in
        ["local", "aws", "aws-kms", "gcp-kms", "azure-key-vault", "vault", "vault-kv", "pkcs11", "kmip"]
    {
        for key_id in ["", ", key_id: ''", ", key_id: ~"] {
            let yaml = slot(&format!("provider: {provider}{key_id}"));
            refused(&yaml, Status::Config, &["kms.registry.s (line 3)", provider, "key_id"]);
        }
        let config = good(&slot(&format!("provider: {provider}, key_id: /k")));
        assert_eq!(config.slots["s"].provider.as_str(), provider);
        assert_eq!(provider.parse::<ProviderKind>().unwrap(), config.slots["s"].provider);
    }
    good(&slot("provider: none"));
    good(&slot("provider: 'external:x'"));
    refused(&slot(""), Status::Config, &["kms.registry.s (line 3)", "provider"]);
    refused("kms: {registry: {s: }}", Status::Config, &["kms.registry.s", "provider"]);
    refused(&slot("provider: 'external:'"), Status::Config, &["external:NAME"]);
    refused(&slot("provider: awskms"), Status::Config, &["kms.registry.s.provider", "\"aws-kms\""]);
    refused(&slot("provider: AWS"), Status::Config, &["unknown provider"]);
}

#[test]
fn keys_that_mean_nothing_for_a_provider_are_refused() {
    for provider in ["none", "local, key_id: /k", "'external:x'"] {
        for key in [
            "region",
            "role_arn",
            "external_id",
            "role_session_name",
            "endpoint",
            "profile",
            "proxy",
            "ca_file",
        ] {
            let path = format!("kms.registry.s.{key}");
            let yaml = slot(&format!("provider: {provider}, {key}: xx"));
            refused(&yaml, Status::Config, &[&path, "means nothing"]);
            good(&slot(&format!("provider: {provider}, {key}: ''")));
        }
    }
    refused(&slot("provider: none, key_id: x"), Status::Config, &["key_id", "means nothing"]);
    refused(
        &slot("provider: none, former_key_ids: [x]"),
        Status::Config,
        &["former_key_ids", "means nothing"],
    );
    refused(&slot("provider: aws, key_id: x, create: true"), Status::Config, &["create", "means nothing"]);
    good(&slot("provider: aws, key_id: x, create: false"));
}

#[test]
fn roles_and_addresses_are_checked_in_every_build() {
    let aws = |rest: &str| slot(&format!("provider: aws-kms, key_id: k, {rest}"));
    let role = "role_arn: 'arn:aws:iam::210987654321:role/customer'";
    let config = good(&aws(&format!(
        "{role}, external_id: 'a:b/c', role_session_name: me@x, endpoint: 'http://127.0.0.1:1', profile: p, \
         proxy: 'https://p:3128', ca_file: ca.pem"
    )));
    let slot = &config.slots["s"];
    assert_eq!(slot.ca_file.as_deref(), Some("/etc/db/ca.pem"));
    assert_eq!((slot.role_session_name.as_str(), slot.profile.as_deref()), ("me@x", Some("p")));
    refused(&aws("external_id: abc"), Status::Config, &["kms.registry.s.external_id", "without role_arn"]);
    refused(&aws("role_arn: customer"), Status::Config, &["role_arn", "arn:aws:iam"]);
    refused(&aws(&format!("{role}, external_id: x")), Status::Config, &["external_id", "2 to 1224"]);
    refused(&aws("role_session_name: 'a b'"), Status::Config, &["role_session_name"]);
    refused(&aws(&format!("role_session_name: {}", "x".repeat(65))), Status::Config, &["role_session_name"]);
    refused(&aws("endpoint: 127.0.0.1"), Status::Config, &["endpoint", "https://"]);
    refused(&aws("region: 'us east'"), Status::Config, &["region"]);
    let long = format!("kms: {{registry: {{{}: {{provider: aws, key_id: k}}}}}}", "ü".repeat(70));
    let config = good(&long);
    assert_eq!(config.slots.values().next().unwrap().role_session_name.len(), 64);
}

#[test]
fn capabilities_become_a_mask() {
    let mask =
        |list: &str| good(&slot(&format!("provider: none, capabilities: {list}"))).slots["s"].capabilities;
    assert_eq!(mask("[encrypt]"), 1);
    assert_eq!(mask("[decrypt, decrypt]"), 2);
    assert_eq!(mask("[derive]"), 4);
    assert_eq!(mask("[export]"), 8);
    assert_eq!(mask("~"), 15);
    refused(&slot("provider: none, capabilities: []"), Status::Config, &["capabilities", "empty"]);
    refused(
        &slot("provider: none, capabilities: [encript]"),
        Status::Config,
        &["capabilities", "\"encrypt\""],
    );
}

#[test]
fn slot_names_are_checked() {
    let named = |name: &str| format!("kms: {{registry: {{? \"{name}\" : {{provider: none}}}}}}");
    assert!(good(&named("a b/ü")).slots.contains_key("a b/ü"));
    assert!(good(&named(&"x".repeat(1024))).slots.len() == 1);
    refused(&named(""), Status::Config, &["1 to 1024"]);
    refused(&named("a\\0b"), Status::Config, &["NUL"]);
    refused(&named(&"x".repeat(1025)), Status::Config, &["1 to 1024"]);
    refused(&slot("provider: aws, key_id: \"a\\0b\""), Status::Config, &["key_id", "NUL"]);
}
