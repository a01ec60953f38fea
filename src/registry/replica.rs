//! AWS's multi-Region keys: one key under an ARN in each of its regions.

/// Whether both are ARNs of one multi-Region key. All its replicas have the same id, which begins with `mrk-`, and the same
/// material, so that what one wrapped another unwraps.
pub(super) fn are_replicas(one: &str, other: &str) -> bool {
    match (multi_region(one), multi_region(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Partition, account and id of a multi-Region key: `arn:aws:kms:REGION:ACCOUNT:key/mrk-…`.
fn multi_region(key_id: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = key_id.split(':').collect();
    let &["arn", partition, "kms", region, account, resource] = parts.as_slice() else { return None };
    let id = resource.strip_prefix("key/").filter(|id| id.len() > 4 && id.starts_with("mrk-"))?;
    (!partition.is_empty() && !region.is_empty() && !account.is_empty()).then_some((partition, account, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "arn:aws:kms:us-east-1:111122223333:key/mrk-12ab";

    #[test]
    fn only_the_region_may_differ() {
        assert!(are_replicas(HERE, "arn:aws:kms:eu-west-1:111122223333:key/mrk-12ab"));
        for other in [
            "arn:aws:kms:eu-west-1:111122223333:key/mrk-12ac",
            "arn:aws:kms:eu-west-1:999922223333:key/mrk-12ab",
            "arn:aws-cn:kms:eu-west-1:111122223333:key/mrk-12ab",
            "arn:aws:kms:eu-west-1:111122223333:alias/mrk-12ab",
            "arn:aws:kms:eu-west-1:111122223333:key/mrk-12ab:x",
            "arn:aws:s3:eu-west-1:111122223333:key/mrk-12ab",
            "arn:aws:kms::111122223333:key/mrk-12ab",
            "mrk-12ab",
            "",
        ] {
            assert!(!are_replicas(HERE, other), "{other}");
        }
    }

    #[test]
    fn keys_of_one_region_have_no_replicas() {
        let key = |region| format!("arn:aws:kms:{region}:111122223333:key/12ab");
        assert!(!are_replicas(&key("us-east-1"), &key("eu-west-1")));
        let empty = |region| format!("arn:aws:kms:{region}:111122223333:key/mrk-");
        assert!(!are_replicas(&empty("us-east-1"), &empty("eu-west-1")));
    }
}
