use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use ziggurat_core::{Error, ErrorKind};

/// TLS with the certificates that the system trusts. Without any, only plain HTTP works.
pub(super) fn config() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("the system trusts no certificates, so no https address can be called");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "TLS cannot be set up").with_source(error)
        })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
