//! Where an object store is and how it is reached: from the URL, its query, and the settings beside it.

use object_store::path::Path;
use percent_encoding::percent_decode_str;
use url::Url;

use super::Cloud;
use crate::error::{Error, Result, fail};
use crate::registry::{nearest, rules, units};
use crate::store::{StoreOptions, keys_of};

const TIMEOUTS: [&str; 2] = ["connect_timeout", "request_timeout"];

/// A checked address.
#[derive(Clone)]
pub(super) struct Address {
    pub cloud: Cloud,
    /// Azure calls it a container.
    pub bucket: String,
    /// What stands before `_catalog/`: "", or segments, each with a slash behind it.
    pub prefix: String,
    pub options: StoreOptions,
}

/// Bucket and prefix only: the rest may hold what is secret.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}/{}", self.cloud.scheme(), self.bucket, self.prefix.trim_end_matches('/'))
    }
}

impl Address {
    /// Checks a URL and the settings that stand beside it.
    pub(super) fn parse(cloud: Cloud, url: &str, options: &StoreOptions) -> Result<Address> {
        let wrong = |what: String| fail!(Config, "the store's URL {what}");
        let example = format!("write it as {}://bucket/prefix?key=value", cloud.scheme());
        if url.contains(char::is_control) {
            return Err(wrong("has a control character: remove it".to_owned()));
        }
        let parsed = Url::parse(url).map_err(|error| wrong(format!("is none ({error}): {example}")))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong(
                "has a user or a password: credentials come from elsewhere, remove it".to_owned(),
            ));
        }
        if parsed.port().is_some() {
            return Err(wrong(
                "has a port: give the server's address by endpoint=https://host:port".to_owned(),
            ));
        }
        if parsed.fragment().is_some() {
            return Err(wrong("has a #: write it as %23 where it belongs to the prefix".to_owned()));
        }
        let bucket = parsed.host_str().unwrap_or_default().to_owned();
        if !is_bucket(&bucket) {
            return Err(wrong(format!(
                "has no bucket, or one that is not 3 to 222 letters, digits, '.', '-', '_': {example}"
            )));
        }
        let prefix = prefix(url, &parsed).map_err(wrong)?;
        let mut options = options.clone();
        for (key, value) in query(cloud, &parsed)? {
            set(&mut options, &key, &value)?;
        }
        check(cloud, &mut options)?;
        Ok(Address { cloud, bucket, prefix, options })
    }
}

impl Address {
    /// Whether a host is the store's, and not one that gives out tokens.
    pub(super) fn serves(&self, host: &str) -> bool {
        let endpoint = self.options.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
        match (&endpoint, self.cloud) {
            // The AWS SDK has clients of its own to ask for credentials.
            (_, Cloud::S3) => true,
            (Some(endpoint), _) => endpoint.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host)),
            (None, Cloud::Google) => host == "storage.googleapis.com",
            (None, Cloud::Azure) => host.ends_with(".blob.core.windows.net"),
        }
    }
}

fn is_bucket(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (3..=222).contains(&name.len()) && name.bytes().all(allowed)
}

/// The prefix, decoded, with a slash behind each segment. What is wrong goes on behind "the store's URL".
fn prefix(url: &str, parsed: &Url) -> std::result::Result<String, String> {
    // The parser would have followed them.
    let path =
        url.split_once("://").map_or("", |(_, rest)| rest).split(['?', '#']).next().unwrap_or_default();
    let decode = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
    let segment_is_dots = |segment| matches!(decode(segment).as_deref(), Ok("." | ".."));
    if path.split('/').any(segment_is_dots) {
        return Err(
            "has a segment . or .. in its prefix, which object stores don't have: remove it".to_owned()
        );
    }
    let decoded =
        decode(parsed.path()).map_err(|_| "has a prefix that is not UTF-8: encode it anew".to_owned())?;
    let trimmed = decoded.strip_prefix('/').unwrap_or(&decoded).trim_end_matches('/');
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    match Path::parse(trimmed) {
        Ok(path) if path.as_ref() == trimmed && trimmed.len() <= 512 => Ok(format!("{trimmed}/")),
        Ok(_) => Err("has a prefix that begins with a slash or has more than 512 bytes: mend it".to_owned()),
        Err(_) => Err("has an empty segment or a control character in its prefix: remove it".to_owned()),
    }
}

/// The keys of the query, each once and known.
fn query(cloud: Cloud, parsed: &Url) -> Result<Vec<(String, String)>> {
    let known: Vec<&str> = keys_of(cloud.scheme()).iter().chain(&TIMEOUTS).copied().collect();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, value) in parsed.query_pairs() {
        if !known.contains(&&*key) {
            return Err(unknown(cloud, &key, &known));
        }
        if value.is_empty() {
            return Err(wrong(&key, "is empty: give a value, or remove it"));
        }
        if pairs.iter().any(|(earlier, _)| *earlier == key) {
            return Err(wrong(&key, "stands there twice: remove one"));
        }
        pairs.push((key.into_owned(), value.into_owned()));
    }
    Ok(pairs)
}

fn unknown(cloud: Cloud, key: &str, known: &[&str]) -> Error {
    let scheme = cloud.scheme();
    let elsewhere = ["s3", "gs", "az"].iter().find(|scheme| keys_of(scheme).contains(&key));
    let what = match elsewhere {
        Some(other) => format!("means nothing for {scheme}://, only for {other}://: remove it"),
        None => format!("is unknown; the nearest known key is \"{}\"", nearest(key, known)),
    };
    let key: String = key.chars().take(64).collect();
    fail!(Config, "the key {key:?} of the store's URL {what}")
}

fn wrong(key: &str, what: impl std::fmt::Display) -> Error {
    fail!(Config, "the key {key:?} of the store {what}")
}

/// Takes over a key of the query, unless the settings have it.
fn set(options: &mut StoreOptions, key: &str, value: &str) -> Result<()> {
    let twice = || wrong(key, "stands in its URL and in the configuration: remove one");
    let text = match key {
        "connect_timeout" | "request_timeout" => {
            let duration = units::duration(value).filter(|duration| rules::TIMEOUT.contains(duration));
            let duration =
                duration.ok_or_else(|| wrong(key, "is no duration from 1ms to 10m, such as 500ms or 10s"))?;
            let place = match key {
                "connect_timeout" => &mut options.connect_timeout,
                _ => &mut options.request_timeout,
            };
            return place.replace(duration).map_or(Ok(()), |_| Err(twice()));
        }
        "allow_http" => {
            let allowed = value.parse().map_err(|_| wrong(key, "must be true or false"))?;
            return options.allow_http.replace(allowed).map_or(Ok(()), |_| Err(twice()));
        }
        "region" => &mut options.region,
        "endpoint" => &mut options.endpoint,
        "profile" => &mut options.profile,
        "role_arn" => &mut options.role_arn,
        "external_id" => &mut options.external_id,
        "account" => &mut options.account,
        _ => {
            let path = std::path::absolute(value)
                .map_err(|error| wrong(key, format_args!("{error}; give an absolute path")))?;
            let path = path.into_os_string().into_string();
            let path = path.map_err(|_| wrong(key, "lies in a folder whose name is not UTF-8: move it"))?;
            return options.credentials_file.replace(path).map_or(Ok(()), |_| Err(twice()));
        }
    };
    text.replace(value.to_owned()).map_or(Ok(()), |_| Err(twice()))
}

/// What the configuration has checked already where it stood there.
fn check(cloud: Cloud, options: &mut StoreOptions) -> Result<()> {
    if let Some(region) = &options.region {
        rules::region(region).map_err(|what| wrong("region", what))?;
    }
    if let Some(role) = &options.role_arn {
        rules::role(role).map_err(|what| wrong("role_arn", what))?;
    }
    if let Some(id) = &options.external_id {
        rules::external_id(id, options.role_arn.is_some()).map_err(|what| wrong("external_id", what))?;
    }
    if let Some(endpoint) = &options.endpoint {
        options.endpoint = Some(check_endpoint(endpoint, options.allow_http.unwrap_or(false))?);
    }
    if options.credentials_file.is_some() && options.endpoint.as_deref().is_some_and(is_without_tls) {
        let advice = "use https://, or remove it: an emulator asks for no credentials";
        return Err(wrong(
            "credentials_file",
            format_args!("would be used on a connection without TLS: {advice}"),
        ));
    }
    if cloud == Cloud::Azure {
        options.account = Some(account(options.account.take())?);
    }
    Ok(())
}

/// The endpoint without a slash at its end.
fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<String> {
    rules::address(endpoint).map_err(|what| wrong("endpoint", what))?;
    let parsed = Url::parse(endpoint)
        .map_err(|error| wrong("endpoint", format_args!("is no URL ({error}): mend it")))?;
    let has_more = parsed.query().is_some() || parsed.fragment().is_some();
    if has_more || !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong(
            "endpoint",
            "has a user, a password, a query or a #: give scheme, host, port and path alone",
        ));
    }
    if is_without_tls(parsed.as_str()) && !allow_http {
        let advice = "use https://, or say allow_http: true where nobody else can listen";
        return Err(wrong("endpoint", format_args!("is without TLS, and allow_http is false: {advice}")));
    }
    Ok(endpoint.trim_end_matches('/').to_owned())
}

/// Whether everybody on the way can listen.
pub(super) fn is_without_tls(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

/// Azure's account, which every address and signature there needs.
fn account(given: Option<String>) -> Result<String> {
    let from_environment =
        || std::env::var("AZURE_STORAGE_ACCOUNT_NAME").ok().filter(|name| !name.is_empty());
    let Some(account) = given.or_else(from_environment) else {
        return Err(wrong(
            "account",
            "is missing: give the storage account's name, or set AZURE_STORAGE_ACCOUNT_NAME",
        ));
    };
    let is_account =
        account.len() <= 24 && account.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !is_account || account.len() < 3 {
        return Err(wrong(
            "account",
            "is not the name of a storage account: 3 to 24 small letters and digits",
        ));
    }
    Ok(account)
}

#[cfg(test)]
mod tests;
