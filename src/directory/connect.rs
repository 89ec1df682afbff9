//! Connecting to PostgreSQL by URL: TLS, failover pairs, and a name to show that hides passwords.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use postgres::{
    Client, Config,
    config::{Host, SslMode},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    DirectoryError, options,
    passfile::{Passfile, Server},
};

/// A parsed connection URL.
#[derive(Debug, Clone)]
pub struct Url {
    config: Config,
    verify: Verify,
    /// `passfile` of the URL.
    passfile: Option<PathBuf>,
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
    /// `verify-full`), `sslrootcert` and `passfile` are understood besides what the driver knows.
    ///
    /// # Errors
    /// When it is not a connection URL; the text is never quoted, it may hold a password.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        let options::Taken { rest, values } =
            options::take(text, &["sslmode", "sslrootcert", "passfile"]).ok_or(DirectoryError::NoUrl)?;
        let mut values = values.into_iter().map(|value| value.filter(|value| !value.is_empty()));
        let mut next = || values.next().flatten();
        let (mode, root, passfile) = (next(), next(), next().map(PathBuf::from));
        let verify = match mode.as_deref() {
            Some("verify-full" | "verify-ca") => Verify::Server(root.filter(|path| path != "system")),
            Some("require") if root.is_some() => Verify::Server(root),
            _ => Verify::Nobody,
        };
        let mut config: Config = rest.parse().map_err(DirectoryError::BadUrl)?;
        match mode.as_deref() {
            None => {}
            Some("disable") => drop(config.ssl_mode(SslMode::Disable)),
            Some("allow" | "prefer") => drop(config.ssl_mode(SslMode::Prefer)),
            Some("require" | "verify-ca" | "verify-full") => drop(config.ssl_mode(SslMode::Require)),
            Some(_) => return Err(DirectoryError::BadSslMode),
        }
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
        Ok(Self { config, verify, passfile })
    }

    /// Adds the password as libpq finds it, if the URL has none: `PGPASSWORD`, else the password file that the URL
    /// names, else the given one.
    ///
    /// # Errors
    /// Says in words why a password file is not used. As in libpq, the server may do without a password.
    pub fn add_password(&mut self, password: Option<&str>, passfile: Option<&Path>) -> Result<(), String> {
        if self.config.get_password().is_some() {
            return Ok(());
        }
        if let Some(password) = password {
            self.config.password(password);
            return Ok(());
        }
        let Some(path) = self.passfile.as_deref().or(passfile) else { return Ok(()) };
        let Some(file) = Passfile::read(path)? else { return Ok(()) };
        let user = self.config.get_user().unwrap_or_default();
        let ports = self.config.get_ports();
        let mut found = None;
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let host = match host {
                Host::Tcp(name) => name.as_str(),
                Host::Unix(path) => Some(path)
                    .filter(|path| !is_usual_folder(path))
                    .map_or(Some("localhost"), |path| path.to_str())
                    .unwrap_or_default(),
            };
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            let database = self.config.get_dbname().unwrap_or(user);
            let Some(password) = file.password(Server { host, port, database, user }) else { continue };
            if found.as_ref().is_some_and(|found| *found != password) {
                return Err(format!(
                    "the password file `{}` is not used: it has different passwords for the servers of DATABASE_URL",
                    path.display()
                ));
            }
            found = Some(password);
        }
        if let Some(password) = found {
            self.config.password(&*password);
        }
        Ok(())
    }

    /// Describes a cluster of our own behind a socket in a folder.
    pub(super) fn socket(folder: &std::path::Path, user: &str) -> Self {
        let mut config = Config::new();
        config.host_path(folder).user(user).dbname("postgres").application_name("reconcile");
        Self { config, verify: Verify::Nobody, passfile: None }
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

/// The folders in which servers keep their socket unless they are told otherwise.
fn is_usual_folder(path: &Path) -> bool {
    ["/var/run/postgresql", "/run/postgresql", "/tmp"].iter().any(|usual| path == Path::new(usual))
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
        assert_eq!(
            verify("postgres://db/pbx?sslmode=verify%2Dfull&sslrootcert=%2Fmy%20ca%2Fa+b%2525.pem"),
            Verify::Server(Some("/my ca/a+b%25.pem".into()))
        );
    }

    #[test]
    fn the_password_comes_from_where_libpq_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        let password = |url: &str, given: Option<&str>| {
            let mut url = Url::parse(url).unwrap();
            let added = url.add_password(given, Some(&path));
            added.map(|()| url.config.get_password().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
        };
        let found = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(password("postgres://u@db/pbx", None), Ok(None), "there is no file");
        write("db:5432:pbx:u:of-the-file\nlocalhost:*:*:*:of-the-socket\nother:*:*:*:else\n", 0o600);
        assert_eq!(password("postgres://u:own@db/pbx", Some("given")), found("own"));
        assert_eq!(password("postgres://u@db/pbx", Some("given")), found("given"));
        assert_eq!(password("postgres://u@db/pbx", None), found("of-the-file"));
        assert_eq!(password("postgres://u@gone,db/pbx", None), found("of-the-file"));
        assert_eq!(password("postgres://u@/pbx?host=/tmp", None), found("of-the-socket"));
        assert_eq!(password("postgres://u@db:5433/pbx", None), Ok(None));
        assert!(password("postgres://u@db,other/pbx", None).unwrap_err().contains("different passwords"));
        write("db:5432:pbx:u:of-the-file\n", 0o640);
        let refused = password("postgres://u@db/pbx", None).unwrap_err();
        assert!(refused.contains("chmod 0600") && !refused.contains("of-the-file"), "{refused}");
        assert_eq!(
            password(&format!("postgres://u@db/pbx?passfile={}", folder.path().join("none").display()), None),
            Ok(None)
        );
    }
}
