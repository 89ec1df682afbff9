//! Connecting to PostgreSQL by URL: TLS, failover pairs, and a name to show that hides passwords.

use std::{sync::Arc, time::Duration};

use postgres::{Client, Config, config::Host};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DirectoryError;

/// A parsed connection URL.
#[derive(Debug, Clone)]
pub struct Url {
    config: Config,
    verify: Verify,
}

/// How the server's certificate is checked where TLS is spoken, by libpq's `sslmode`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verify {
    /// `prefer` and `require`: encrypted, but to whom is not checked.
    Nobody,
    /// `verify-ca` and `verify-full`: by the machine's certificates or those in `sslrootcert`.
    Server(Option<String>),
}

impl Url {
    /// Parses a libpq URL or keyword string. `sslmode=verify-full`, `verify-ca` (checked like
    /// `verify-full`) and `sslrootcert` are understood besides what the driver knows.
    ///
    /// # Errors
    /// When it is not a connection URL; the text is never quoted, it may hold a password.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        let (text, mode) = take_option(text, "sslmode");
        let (mut text, root) = take_option(&text, "sslrootcert");
        let verify = match mode.as_deref() {
            Some("verify-full" | "verify-ca") => Verify::Server(root.filter(|path| path != "system")),
            Some("require") if root.is_some() => Verify::Server(root),
            _ => Verify::Nobody,
        };
        let driver_mode = mode.as_deref().map(|mode| if mode.starts_with("verify-") { "require" } else { mode });
        if let Some(mode) = driver_mode {
            let joint = match (text.contains("://"), text.contains('?')) {
                (true, true) => "&",
                (true, false) => "?",
                (false, _) => " ",
            };
            text = format!("{text}{joint}sslmode={mode}");
        }
        let mut config: Config = text.parse().map_err(DirectoryError::BadUrl)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        // A server that vanished without a word is given up, however much there is left to say to it.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        // The same where there is nothing to say, and an answer is waited for.
        config
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        config.application_name("reconcile");
        Ok(Self { config, verify })
    }

    /// Describes a cluster of our own behind a socket in a folder.
    pub(super) fn socket(folder: &std::path::Path, user: &str) -> Self {
        let mut config = Config::new();
        config.host_path(folder).user(user).dbname("postgres").application_name("reconcile");
        Self { config, verify: Verify::Nobody }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody answers, lets us in, or can be trusted.
    pub fn connect(&self) -> Result<Client, DirectoryError> {
        let tls = self.tls()?;
        self.config.connect(tls).map_err(|source| DirectoryError::Connect { url: self.show(), source })
    }

    /// Writes the URL without its password.
    pub fn show(&self) -> String {
        // One port may stand for all hosts.
        let ports = self.config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).filter(|port| **port != 5432);
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| match (host, port(index)) {
                (Host::Tcp(name), Some(port)) => format!("{name}:{port}"),
                (Host::Tcp(name), None) => name.clone(),
                (Host::Unix(path), _) => path.display().to_string(),
            })
            .collect();
        let user = self.config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        format!("postgres://{user}{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }

    fn tls(&self) -> Result<MakeRustlsConnect, DirectoryError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| DirectoryError::Tls(error.to_string()))?;
        let config = match &self.verify {
            Verify::Nobody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
                .with_no_client_auth(),
            Verify::Server(root) => builder.with_root_certificates(roots(root.as_deref())?).with_no_client_auth(),
        };
        Ok(MakeRustlsConnect::new(config))
    }
}

/// Takes `name=value` out of a URL's query or a keyword string.
fn take_option(text: &str, name: &str) -> (String, Option<String>) {
    let is_url = text.contains("://");
    let (head, options, joint) = match text.split_once('?') {
        Some((head, query)) if is_url => (head, query, '&'),
        _ if is_url => return (text.to_owned(), None),
        _ => ("", text, ' '),
    };
    let mut value = None;
    let kept: Vec<&str> = options
        .split(joint)
        .filter(|part| match part.split_once('=') {
            Some((key, found)) if key == name => {
                value = Some(found.replace("%2F", "/"));
                false
            }
            _ => true,
        })
        .collect();
    let kept = kept.join(&joint.to_string());
    let text = match (is_url, kept.is_empty()) {
        (true, true) => head.to_owned(),
        (true, false) => format!("{head}?{kept}"),
        (false, _) => kept,
    };
    (text, value)
}

fn roots(file: Option<&str>) -> Result<RootCertStore, DirectoryError> {
    let failed = |error: String| DirectoryError::Tls(error);
    let certificates = match file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(format!("cannot read certificates from `{path}`: {error}")))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(failed("no certificate to trust was found".to_owned()));
    }
    Ok(store)
}

/// Accepts every certificate: libpq's `prefer` and `require` encrypt without asking who is there.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_url_has_no_password() {
        let url = Url::parse("postgres://pbx:canary@db1,db2:6432/pbx?target_session_attrs=read-write").unwrap();
        assert_eq!(url.show(), "postgres://pbx@db1,db2:6432/pbx");
        assert!(!format!("{:?}", Url::parse("postgres://pbx:canary@db/%zz").err()).contains("canary"));
    }

    #[test]
    fn sslmode_is_honoured_as_by_libpq() {
        let verify = |text: &str| Url::parse(text).unwrap().verify;
        assert_eq!(verify("postgres://db/pbx"), Verify::Nobody);
        assert_eq!(verify("postgres://db/pbx?sslmode=require"), Verify::Nobody);
        assert_eq!(verify("postgres://db/pbx?sslmode=verify-full"), Verify::Server(None));
        assert_eq!(
            verify("host=db dbname=pbx sslmode=verify-ca sslrootcert=/ca.pem"),
            Verify::Server(Some("/ca.pem".into()))
        );
        assert!(Url::parse("postgres://db/pbx?sslmode=bogus").is_err());
    }
}
