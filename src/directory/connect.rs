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
use crate::model::nearest;

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
        if options::is_url(text) && !is_one_way_to_read(text) {
            return Err(DirectoryError::AmbiguousUrl);
        }
        let no_url = || {
            let scheme = text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['=', ' ']));
            if scheme && !options::is_url(text) { DirectoryError::OtherScheme } else { DirectoryError::NoUrl }
        };
        let options::SplitOptions { rest, values } =
            options::take(text, &["sslmode", "sslrootcert", "passfile"]).ok_or_else(no_url)?;
        let mut values = values.into_iter().map(|value| value.filter(|value| !value.is_empty()));
        let mut next = || values.next().flatten();
        let (mode, root, passfile) = (next(), next(), next().map(PathBuf::from));
        let verify = match mode.as_deref() {
            Some("verify-full" | "verify-ca") => Verify::Server(root.filter(|path| path != "system")),
            Some("require") if root.is_some() => Verify::Server(root),
            _ => Verify::Nobody,
        };
        let mut config: Config = rest.parse().map_err(|error| DirectoryError::BadUrl(why_refused(&error)))?;
        if !is_unambiguous(&config) {
            return Err(DirectoryError::AmbiguousUrl);
        }
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
    pub(crate) fn add_password(&mut self, password: Option<&str>, passfile: Option<&Path>) -> Result<(), String> {
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
    /// When no server answers, accepts the login, or can be trusted.
    pub fn connect(&self) -> Result<Client, DirectoryError> {
        let tls = self.tls()?;
        self.config.connect(tls).map_err(|source| DirectoryError::Connect { url: self.show(), source })
    }

    /// Writes the URL without its password and options. If a part holds more than letters, digits, `.`, `-` and `_`,
    /// only the scheme is shown: the part might be a piece of a password that was not percent-encoded.
    pub fn show(&self) -> String {
        let hosts = self.config.get_hosts();
        let hosts = hosts.iter().filter_map(|host| if let Host::Tcp(name) = host { Some(name.as_str()) } else { None });
        let shown =
            hosts.filter(|host| !is_address(host)).chain(self.config.get_user()).chain(self.config.get_dbname());
        let plain = |c: char| c.is_alphanumeric() || ".-_".contains(c);
        if !shown.flat_map(str::chars).all(plain) {
            return "postgres://".to_owned();
        }
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

    /// Tells whether a server of the URL is on another machine and nothing checks its certificate.
    pub(crate) fn is_unchecked(&self) -> bool {
        let is_local = |host: &Host| match host {
            Host::Tcp(name) => {
                name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            Host::Unix(_) => true,
        };
        self.verify == Verify::Nobody && !self.config.get_hosts().iter().all(is_local)
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

/// Returns whether a URL has one `@` at most, with nothing before it that ends user and password. The driver and libpq
/// differ in how they read other URLs, and both can take a part of a password for the host.
fn is_one_way_to_read(url: &str) -> bool {
    let Some((scheme_and_user, rest)) = url.split_once('@') else { return true };
    let user = scheme_and_user.split_once("://").map_or(scheme_and_user, |(_, user)| user);
    !user.contains(['/', '?', '#']) && !rest.contains('@')
}

/// Returns whether user, hosts and database hold no character that separates the parts of a URL. A URL that is encoded
/// as a whole, or whose password is not, has its password there, and the server's messages quote them.
fn is_unambiguous(config: &Config) -> bool {
    let user = config.get_user().is_none_or(|user| !user.contains([':', '/', '?', '#']));
    let database = config.get_dbname().is_none_or(|name| !name.contains([':', '@', '/', '?', '#']));
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => is_address(name) || !name.contains([':', '@', '/', '?', '#', '=', ' ']),
        Host::Unix(_) => true,
    });
    user && database && hosts
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

/// The options of a connection that the driver or this program knows.
const OPTIONS: [&str; 21] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Says which part the driver does not take. What it quotes may be a piece of the password, so that only names that are
/// known are repeated.
fn why_refused(error: &postgres::Error) -> String {
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if let Some(unknown) = said.strip_prefix("unknown option ") {
        let near = nearest(unknown.trim_matches('`'), OPTIONS.into_iter());
        let near = near.map(|near| format!(", perhaps meant as `{near}`")).unwrap_or_default();
        return format!("it has an unknown option{near}");
    }
    let known = OPTIONS.into_iter().find(|name| said == format!("invalid value for option `{name}`"));
    known.map_or_else(|| "a part of it is malformed".to_owned(), |name| format!("its `{name}` is malformed"))
}

/// The folders in which servers keep their socket by default.
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
    fn a_url_that_may_hold_its_password_in_another_part_is_rejected() {
        for url in [
            "postgres://pbx:p@ss#w/rd@127.0.0.1:23592/pbx",
            "postgres://pbx:geheim@wort@db/pbx",
            "postgres://pbx%3Ageheim@db/pbx",
            "postgres://pbx%3Ageheim%40db%2Fpbx",
            "postgres://db/pbx?user=pbx&password=geheim@wort",
            "postgres://127.0.0.1:1/pbx?user=pbx&password=geheim@wort",
            "postgres://pbx:a/bcde@db/pbx",
            "host=db user=pbx:geheim",
        ] {
            let error = Url::parse(url).unwrap_err();
            assert!(matches!(error, DirectoryError::AmbiguousUrl), "{url}: {error}");
        }
        assert!(matches!(Url::parse("mysql://db/pbx"), Err(DirectoryError::OtherScheme)));
        let shown = |url: &str| Url::parse(url).unwrap().show();
        assert_eq!(shown("postgres://pbx:a:b%@db/pbx"), "postgres://pbx@db/pbx");
        assert_eq!(shown("postgres://pbx%40azure:x@db/pbx"), "postgres://");
        assert_eq!(shown("postgres://pbx@[::1]/pbx"), "postgres://pbx@::1/pbx");
    }

    #[test]
    fn an_option_that_is_misspelt_or_malformed_is_named() {
        let said = |url: &str| Url::parse(url).unwrap_err().to_string();
        let head = "the database URL cannot be understood: ";
        assert_eq!(
            said("postgres://db/pbx?sslmod=disable"),
            format!("{head}it has an unknown option, perhaps meant as `sslmode`")
        );
        assert_eq!(said("postgres://db/pbx?password=a&geheimnis=b"), format!("{head}it has an unknown option"));
        assert_eq!(said("postgres://db:x/pbx"), format!("{head}its `port` is malformed"));
    }

    proptest::proptest! {
        /// Whatever the password and however it is written down, no four characters of it are shown.
        #[test]
        fn no_piece_of_a_password_is_shown(password in "[vwxyz5-9@#/?:%=&' +\\\\]{4,24}") {
            let coded: String = password.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).map(char::from).collect();
            let quoted = password.replace('\\', r"\\").replace('\'', r"\'");
            for text in [
                format!("postgres://pbx:{password}@127.0.0.1:1/pbx"),
                format!("postgres://pbx:{coded}@127.0.0.1:1/pbx"),
                format!("postgres://pbx%3A{coded}@127.0.0.1:1/pbx"),
                format!("postgres://pbx%3A{coded}%40db%2Fpbx"),
                format!("postgres://127.0.0.1:1/pbx?user=pbx&password={password}"),
                format!("postgres://127.0.0.1:1/pbx?password={password}&user=pbx"),
                format!("host=127.0.0.1 user=pbx password={password} dbname=pbx"),
                format!("host=127.0.0.1 user=pbx password='{password}' dbname=pbx"),
                format!("host=127.0.0.1 user=pbx password='{quoted}' dbname=pbx"),
                format!("mysql://pbx:{password}@db/pbx"),
                password.clone(),
            ] {
                let said = match Url::parse(&text) {
                    Ok(url) => format!("{} {url:?}", url.show()),
                    Err(error) => format!("{error} {error:?}"),
                };
                // What a URL without a host begins with is our own text.
                let said = said.replace("postgres:///", "");
                let characters: Vec<char> = password.chars().collect();
                for piece in characters.windows(4).map(String::from_iter) {
                    proptest::prop_assert!(!said.contains(&piece), "{text}: {said}");
                }
            }
        }
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
    fn a_server_elsewhere_whose_certificate_is_not_checked_is_told() {
        let is_unchecked = |url: &str| Url::parse(url).unwrap().is_unchecked();
        for url in ["postgres://db/pbx", "postgres://db/pbx?sslmode=require", "postgres://localhost,db/pbx"] {
            assert!(is_unchecked(url), "{url}");
        }
        for url in ["postgres://db/pbx?sslmode=verify-full", "postgres://127.0.0.1/pbx", "postgres:///pbx?host=/tmp"] {
            assert!(!is_unchecked(url), "{url}");
        }
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
