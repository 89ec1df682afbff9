//! The URL under which the provider reaches this server: what it signed, and what it is told to call.
//!
//! The URL comes from `--public-url`, otherwise from the forwarding headers of a trusted proxy, otherwise
//! from the listener. Headers of other clients are ignored.

use std::{net::IpAddr, str::FromStr};

use axum::http::{HeaderMap, header::HOST};
use ipnet::IpNet;

/// A public URL, in the parts that senders write differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    scheme: String,
    /// User and password before the host, with the `@`.
    user: String,
    host: String,
    port: Option<u16>,
    /// The path that a proxy takes away, without a slash at its end.
    prefix: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "write it as `https://host`, perhaps with a port and a path".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !["http", "https"].contains(&scheme) || rest.contains(['?', '#', ' ']) {
            return Err(bad());
        }
        Self::new(scheme, authority, prefix).ok_or_else(bad)
    }
}

impl Address {
    fn new(scheme: &str, authority: &str, prefix: &str) -> Option<Self> {
        let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (host, None),
        };
        let prefix = prefix.trim_end_matches('/');
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || !plain(authority) || !plain(prefix) {
            return None;
        }
        let [scheme, user, host, prefix] = [scheme, user, host, prefix].map(str::to_owned);
        Some(Self { scheme, user, host, port, prefix })
    }

    /// Finds the URL of a request from its own headers and those of the proxy before us.
    pub(super) fn of(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet], scheme: &str) -> Option<Self> {
        let peer = peer.map(|peer| peer.to_canonical());
        let proxy = peer.is_some_and(|peer| trusted.iter().any(|network| network.contains(&peer)));
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if !proxy {
            return Self::new(scheme, host?, "");
        }
        let forwarded = Forwarded::of(headers);
        let prefix = forwarded.prefix.filter(|prefix| prefix.starts_with('/')).unwrap_or_default();
        let scheme = forwarded.proto.filter(|proto| ["http", "https"].contains(proto)).unwrap_or(scheme);
        let mut address = Self::new(scheme, forwarded.host.or(host)?, prefix)?;
        address.port = address.port.or_else(|| forwarded.port?.parse().ok());
        Some(address)
    }

    /// Writes the URL before the path.
    pub(super) fn base(&self) -> String {
        self.written(self.port.filter(|port| *port != self.default_port()), "")
    }

    /// Writes the URLs of a request that its sender may have signed: with the port and without it.
    pub(super) fn urls(&self, path_and_query: &str) -> [String; 2] {
        [None, Some(self.port.unwrap_or(self.default_port()))].map(|port| self.written(port, path_and_query))
    }

    /// Leaves out user and password, for people.
    pub(super) fn without_user(&self) -> Self {
        Self { user: String::new(), ..self.clone() }
    }

    fn written(&self, port: Option<u16>, path_and_query: &str) -> String {
        let Self { scheme, user, host, prefix, .. } = self;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        [scheme, "://", user, host, &port, prefix, path_and_query].concat()
    }

    fn default_port(&self) -> u16 {
        if self.scheme == "https" { 443 } else { 80 }
    }
}

/// What a proxy says; of a chain of them, what the first one saw.
#[derive(Default)]
struct Forwarded<'a> {
    proto: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
    prefix: Option<&'a str>,
}

impl<'a> Forwarded<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let first = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            value.split(',').next().map(str::trim).filter(|value| !value.is_empty())
        };
        let mut forwarded = Self {
            proto: first("x-forwarded-proto"),
            host: first("x-forwarded-host"),
            port: first("x-forwarded-port"),
            prefix: first("x-forwarded-prefix"),
        };
        for pair in first("forwarded").unwrap_or_default().split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = Some(value.trim().trim_matches('"'));
            match name.trim().to_ascii_lowercase().as_str() {
                "proto" => forwarded.proto = value,
                "host" => forwarded.host = value,
                _ => {}
            }
        }
        forwarded
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn urls(headers: &[(&str, &str)], peer: &str) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()));
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let address = Address::of(&headers.collect(), peer.parse().ok(), &trusted, "http");
        address.map(|address| format!("{} {}", address.base(), address.urls("/x?a=%41")[1])).unwrap_or_default()
    }

    #[test]
    fn only_a_trusted_proxy_says_under_which_url_it_was_reached() {
        let host = ("host", "inside:8000");
        let claim = [host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "pbx.example")];
        for stranger in ["192.0.2.1", "11.0.0.1", "::2", ""] {
            assert_eq!(urls(&claim, stranger), "http://inside:8000 http://inside:8000/x?a=%41", "{stranger}");
        }
        for proxy in ["10.1.2.3", "::ffff:10.1.2.3", "::1"] {
            assert_eq!(urls(&claim, proxy), "https://pbx.example https://pbx.example:443/x?a=%41", "{proxy}");
        }
        for (more, expected) in [
            (&[("x-forwarded-proto", "https, http")][..], "https://inside:8000 https://inside:8000/x?a=%41"),
            (
                &[("x-forwarded-host", "pbx.example"), ("x-forwarded-port", "8443"), ("x-forwarded-prefix", "/voice/")],
                "http://pbx.example:8443/voice http://pbx.example:8443/voice/x?a=%41",
            ),
            (
                &[("forwarded", "for=1.2.3.4;Proto=https;host=\"a.example:444\", for=5.6.7.8;host=b")],
                "https://a.example:444 https://a.example:444/x?a=%41",
            ),
            (&[("x-forwarded-proto", "gopher")], "http://inside:8000 http://inside:8000/x?a=%41"),
        ] {
            assert_eq!(urls(&[&[host], more].concat(), "10.0.0.1"), expected, "{more:?}");
        }
        assert_eq!(urls(&[], "10.0.0.1"), "", "no host at all");
    }

    #[test]
    fn a_public_url_has_its_parts() {
        for (text, base, urls) in [
            ("https://a.example", "https://a.example", ["https://a.example/x", "https://a.example:443/x"]),
            ("https://a.example:443/p/", "https://a.example/p", ["https://a.example/p/x", "https://a.example:443/p/x"]),
            ("http://u:p@[::1]:81", "http://u:p@[::1]:81", ["http://u:p@[::1]/x", "http://u:p@[::1]:81/x"]),
            ("http://[::1]", "http://[::1]", ["http://[::1]/x", "http://[::1]:80/x"]),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.base().as_str(), address.urls("/x")), (base, urls.map(str::to_owned)), "{text}");
        }
        for bad in
            ["a.example", "ftp://a.example", "https://", "https://a/?x", "https://a:x", "https://a b", "https://a#x"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
