//! The HTTPS client of the AWS SDK: one for all slots that go the same way, as each has its own certificates in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Access;
use crate::error::{Result, fail};
use crate::net::shown_address;

/// What a client is made of: proxy and file of certificates.
type Way = (Option<String>, Option<String>);

/// The HTTPS clients of an engine, by the way they go.
#[derive(Debug, Default)]
pub struct HttpClients(Mutex<HashMap<Way, SharedHttpClient>>);

impl HttpClients {
    /// The client for this way, made where there is none yet.
    pub fn get(&self, access: &Access) -> Result<SharedHttpClient> {
        let way = (access.proxy.clone(), access.ca_file.clone());
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way) {
            return Ok(client.clone());
        }
        let client = http_client(access)?;
        clients.insert(way, client.clone());
        Ok(client)
    }
}

/// A client that goes through the proxy that is named, or through the environment's, and trusts the system's root
/// certificates and those of `ca_file`.
pub fn http_client(access: &Access) -> Result<SharedHttpClient> {
    let mut trust = TrustStore::default();
    if let Some(file) = &access.ca_file {
        trust = trust.with_pem_certificate(certificates(file)?);
    }
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let tls = tls.map_err(|error| fail!(Config, "TLS can't be set up: {error}"))?;
    let proxy = match &access.proxy {
        None => ProxyConfig::from_env(),
        Some(proxy) => ProxyConfig::all(proxy).map_err(|_| {
            let shown = shown_address(proxy);
            fail!(Config, "the proxy {shown} is not an address: write it as http://host:port")
        })?,
    };
    Ok(Builder::new().build_with_connector_fn(move |settings, _| {
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone())
            .proxy_config(proxy.clone());
        match settings {
            Some(settings) => connector.connector_settings(settings.clone()).build(),
            None => connector.build(),
        }
    }))
}

/// The file's content, every certificate of which can be used: the SDK would panic on one that can't.
fn certificates(file: &str) -> Result<Vec<u8>> {
    let wrong = |what: &dyn std::fmt::Display| {
        fail!(
            Config,
            "ca_file {file}: {what}; it must be a PEM file of root certificates that this process can read"
        )
    };
    let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (content, what) in [("", "no certificate"), ("x", "no certificate"), (garbage, "PEM file")] {
            std::fs::write(&file, content).unwrap();
            let access = Access { ca_file: Some(file.display().to_string()), ..Access::default() };
            let error = http_client(&access).unwrap_err();
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains(what), "{error}");
        }
        let access = Access { ca_file: Some("/nowhere.pem".to_owned()), ..Access::default() };
        assert!(http_client(&access).unwrap_err().message().contains("/nowhere.pem"));
    }

    #[test]
    fn a_proxy_must_be_an_address_and_is_not_repeated_with_its_password() {
        let access = Access { proxy: Some("http://user:secret@ho st".to_owned()), ..Access::default() };
        let error = http_client(&access).unwrap_err();
        assert!(!error.message().contains("secret"), "{error}");
    }
}
