//! TLS for the listener: certificate and key from PEM files, TLS 1.3 unless told otherwise.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};

/// The lowest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TlsVersion {
    /// TLS 1.2.
    #[value(name = "1.2")]
    V12,
    /// TLS 1.3.
    #[value(name = "1.3")]
    V13,
}

/// Reads certificate and key.
///
/// # Errors
/// When a file cannot be read, holds neither, or they do not belong together.
pub(crate) fn config(certificate: &Path, key: &Path, lowest: TlsVersion) -> Result<Arc<ServerConfig>> {
    let shown = |path: &Path| format!("cannot read `{}`", path.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| shown(certificate))?;
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| shown(key))?;
    let versions = match lowest {
        TlsVersion::V12 => &[&TLS12, &TLS13][..],
        TlsVersion::V13 => &[&TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| format!("`{}` and `{}` do not go together", certificate.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
