//! Trunks: SIP carriers.

pub(super) mod check;
pub(crate) mod file;
mod render;

pub(crate) use render::trunk_name;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    object::{Fields, Login, Object, some, without_users},
    render::{Parts, RenderContext},
};
use crate::{
    asterisk::BadValue,
    model::{ObjectName, SENSITIVE},
};

/// A SIP carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    /// Where the carrier is reached: a name or an address, perhaps with a port.
    pub host: String,
    /// The addresses and networks its calls come from; none for those of the host.
    #[serde(default)]
    pub identify: Vec<String>,
    /// The user name at the carrier.
    pub username: Option<ObjectName>,
    /// The carrier's digest realm; with it, Asterisk's file holds no plain secret.
    pub realm: Option<ObjectName>,
    /// Whether to register at the carrier.
    #[serde(default)]
    pub register: bool,
    /// Whether its calls are known by the registration alone, because another account is at the same host. Follows from
    /// the other trunks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_registration: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Trunk {
    /// Lists the addresses that its calls come from: those declared, or that of a host given as an
    /// address. Names are never resolved: a resolver that hangs would hang Asterisk's reload.
    pub fn addresses(&self) -> Vec<String> {
        if self.by_registration {
            return Vec::new();
        }
        if !self.identify.is_empty() {
            return self.identify.clone();
        }
        self.address().map(|address| address.to_string()).into_iter().collect()
    }

    /// The host, if it is an address.
    fn address(&self) -> Option<IpAddr> {
        without_port(&self.host).trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

/// The host alone; an IPv6 address has a port only where it stands in brackets.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') || name.ends_with(']') => name,
        _ => host,
    }
}

/// What a plan shows in place of addresses.
const BY_REGISTRATION: &str = "by registration";

impl Object for Trunk {
    fn fields(&self) -> Fields {
        vec![
            ("host", Some(self.host.clone())),
            ("identify", some(if self.by_registration { BY_REGISTRATION.into() } else { self.identify.join(",") })),
            ("username", self.username.as_ref().map(ToString::to_string)),
            // A trunk has both or none of them.
            ("secret", self.username.is_some().then(|| SENSITIVE.to_owned())),
            ("realm", self.realm.as_ref().map(ToString::to_string)),
            ("register", Some(self.register.to_string())),
        ]
    }

    fn tidy(&mut self) {
        self.identify.sort();
        self.identify.dedup();
    }

    fn login(&self) -> Option<Login<'_>> {
        let realm = self.realm.as_ref().map(ObjectName::as_str);
        self.username.as_ref().map(|username| Login { username: username.as_str(), realm })
    }

    fn render<'a>(&'a self, name: &str, cx: &RenderContext<'_>, parts: &mut Parts<'a>) -> Result<(), BadValue> {
        render::render(self, name, cx, parts)
    }
}

without_users!(Trunk);
