//! TLS for the listener: certificate and key from PEM files, TLS 1.3 unless told otherwise. Files that
//! were renewed are taken over by the server that runs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

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

/// How often the files are looked at.
const GLANCE: Duration = Duration::from_secs(5);

/// Where certificate and key are found, and what is spoken.
#[derive(Debug)]
pub(crate) struct Files {
    /// The certificate, with the chain behind it.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    pub(crate) lowest: TlsVersion,
}

/// The configuration in use, which is replaced while the server runs; clones are replaced together.
#[derive(Clone)]
pub(super) struct Current(Arc<RwLock<Arc<ServerConfig>>>);

impl Current {
    pub(super) fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    /// Returns the configuration for the next connection.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// What tells that a file was written anew.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Files {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// When a file cannot be read, holds neither, or they do not belong together.
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>> {
        config(&self.certificate, &self.key, self.lowest)
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        })
    }

    /// Takes renewed files over, for as long as the server runs. While the two do not go together, as
    /// between the writing of one and the other, the former ones stay.
    pub(super) async fn keep_up(self, present: Current) {
        let (mut taken, mut refused) = (self.stamp(), None);
        loop {
            tokio::time::sleep(GLANCE).await;
            let stamp = self.stamp();
            if stamp == taken {
                continue;
            }
            match self.config() {
                Ok(config) => {
                    present.replace(config);
                    (taken, refused) = (stamp, None);
                    tracing::info!("the renewed certificate is used from now on");
                }
                Err(error) if refused != Some(stamp) => {
                    refused = Some(stamp);
                    tracing::warn!("the former certificate stays in use: {error:#}");
                }
                Err(_) => {}
            }
        }
    }
}

fn config(certificate: &Path, key: &Path, lowest: TlsVersion) -> Result<Arc<ServerConfig>> {
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
