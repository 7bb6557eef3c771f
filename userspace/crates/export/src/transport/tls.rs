//! Whom to trust, and who this is.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::settings::Settings;

/// The configuration of TLS; for a backend without it, one that trusts nobody.
pub(super) fn config(settings: &Settings) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().context("cannot set up TLS")?;
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> = match &settings.certificate {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None if settings.to.scheme_str() == Some("https") => builder
            .with_native_roots()
            .context("cannot find the system's certificates; OTEL_EXPORTER_OTLP_CERTIFICATE names a file with one")?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    let Some((certificate, key)) = &settings.client else {
        return Ok(builder.with_no_client_auth());
    };
    let shown = key.display();
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("no private key in {shown}"))?;
    builder
        .with_client_auth_cert(certificates(certificate)?, key)
        .with_context(|| format!("{shown} does not go with {}", certificate.display()))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).with_context(|| format!("{} cannot be used", path.display()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, rustls::pki_types::pem::Error> { CertificateDer::pem_file_iter(path)?.collect() };
    let certificates = read().with_context(|| format!("no certificate can be read from {}", path.display()))?;
    if certificates.is_empty() {
        bail!("there is no certificate in {}", path.display());
    }
    Ok(certificates)
}
