//! What a value of the configuration must look like, wherever it stands: in a slot, in `storage`, in a store's URL.
//! Each gives what is wrong, as it goes on behind the key's name.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The range of every time-out.
pub(crate) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// The default of every `connect_timeout`.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A region of a cloud.
pub(crate) fn region(region: &str) -> Result<(), &'static str> {
    let is_region = region.len() <= 64 && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_region.then_some(()).ok_or("is not a region: letters, digits and '-', at most 64, such as us-east-1")
}

/// The ARN of a role to assume.
pub(crate) fn role(arn: &str) -> Result<(), &'static str> {
    let is_role = arn.starts_with("arn:") && arn.contains(":role/") && arn.len() <= 2048;
    is_role.then_some(()).ok_or("is not the ARN of a role, such as arn:aws:iam::123456789012:role/name")
}

/// What a role's trust policy asks for.
pub(crate) fn external_id(id: &str, has_role: bool) -> Result<(), &'static str> {
    if !has_role {
        return Err("means nothing without role_arn: add role_arn, or remove it");
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    let is_right = (2..=1224).contains(&id.len()) && id.bytes().all(allowed);
    is_right.then_some(()).ok_or("must have 2 to 1224 letters, digits or _+=,.@:/-, as AWS asks")
}

/// An address of a service over HTTP.
pub(crate) fn address(address: &str) -> Result<(), &'static str> {
    let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    // RFC 3986's characters: others make requests that can't be sent, which the SDK's errors repeat.
    let of_address = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let is_address =
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && host.chars().all(of_address));
    is_address.then_some(()).ok_or("is not an address: write it as https://host:port")
}
