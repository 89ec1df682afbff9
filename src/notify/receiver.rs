//! Who receives notifications, and how one is sent.

use std::{fmt, io, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use ureq::{
    Agent,
    http::Uri,
    tls::{Certificate, RootCerts, TlsConfig},
};
use zeroize::Zeroizing;

use crate::model::hex;

/// How long a notification may take in all, from the look-up of the name to the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How this machine is called.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The header of the signature: `sha256=` and the HMAC-SHA256 of the body in hex.
const SIGNATURE: &str = "x-reconcile-signature";

/// An HTTPS address to which notifications are posted.
pub struct Receiver {
    uri: Uri,
    key: Option<Zeroizing<String>>,
}

/// Names the host alone: the path of such a URL is often a secret.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.name()).finish()
    }
}

/// Why a receiver did not take a notification, or cannot be one. Never quotes its URL.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// It is no URL.
    #[error("it is not a URL")]
    NoUrl,
    /// It would send what is wrong with the phones in the clear.
    #[error("it does not begin with `https://`")]
    NotEncrypted,
    /// What stands before the `@` would not be sent.
    #[error("it holds a user name or a password")]
    Credentials,
    /// It answered with something else than success.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It did not answer in time.
    #[error("it did not answer within {} seconds", DEADLINE.as_secs())]
    Silent,
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
}

impl Receiver {
    /// Reads a URL. It begins with `https://`, or with `http://` if it leads to this machine. `key` signs what is sent.
    ///
    /// # Errors
    /// If it is no such URL.
    pub fn new(url: &str, key: Option<Zeroizing<String>>) -> Result<Self, ReceiverError> {
        let uri: Uri = url.trim().parse().map_err(|_| ReceiverError::NoUrl)?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(ReceiverError::NoUrl)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(ReceiverError::Credentials);
        }
        let is_here = LOCAL.contains(&host);
        match uri.scheme_str() {
            Some("https") => Ok(Self { uri, key }),
            Some("http") if is_here => Ok(Self { uri, key }),
            _ => Err(ReceiverError::NotEncrypted),
        }
    }

    /// Tells it apart from others, without showing its URL.
    pub(super) fn id(&self) -> String {
        hex(&Sha256::digest(self.uri.to_string()))
    }

    /// Returns the host's name.
    pub fn name(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// Posts a body. Follows no redirect, and reads nothing but the status.
    pub(super) fn post(&self, body: &str) -> Result<(), ReceiverError> {
        let mut request = agent(LOCAL.contains(&self.name())).post(&self.uri).content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header(SIGNATURE, signature(key, body));
        }
        let answer = request.send(body).map_err(|error| match error {
            ureq::Error::Timeout(_) => ReceiverError::Silent,
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => ReceiverError::Silent,
            error => ReceiverError::Unreachable(error.to_string()),
        })?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(ReceiverError::Status(status.as_u16())) }
    }
}

/// Makes a client that trusts whom the system trusts. A proxy of the environment is not asked for what is on this machine.
fn agent(is_here: bool) -> Agent {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<Certificate<'static>> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
    let config = Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("reconcile/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls);
    let config = if is_here { config.proxy(None) } else { config };
    config.build().into()
}

/// Signs a body, in the form of the header.
fn signature(key: &str, body: &str) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
    format!("sha256={}", hex(&mac.chain_update(body).finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_reached_encrypted_or_on_this_machine() {
        let reason = |url: &str| {
            Receiver::new(url, None).map(|receiver| receiver.name().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(reason("https://hooks.example/services/T0/secret"), Ok("hooks.example".to_owned()));
        assert_eq!(reason("http://127.0.0.1:9000/"), Ok("127.0.0.1".to_owned()));
        assert_eq!(reason("http://[::1]:9000/"), Ok("[::1]".to_owned()));
        for clear in ["http://hooks.example/", "http://127.0.0.1.example/", "ftp://hooks.example/"] {
            assert_eq!(reason(clear), Err("it does not begin with `https://`".to_owned()), "{clear}");
        }
        for none in ["", "hooks", "https://", "https:///x", "https://a b/"] {
            assert!(reason(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_receiver_shows_no_path() {
        let receiver =
            Receiver::new("https://hooks.example/services/secret", Some(Zeroizing::new("key".into()))).unwrap();
        assert_eq!(format!("{receiver:?}"), r#"Receiver("hooks.example")"#);
    }

    /// The example of RFC 4231, test case 2.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", "what do ya want for nothing?"), expected);
    }
}
