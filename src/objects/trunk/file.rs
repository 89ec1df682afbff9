//! The keys of a trunk.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{At, Code, Host, Invalid, ObjectName, SecretSource, quoted, text_type};

/// A SIP carrier.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trunk {
    /// Where the carrier is reached.
    pub(crate) host: At<Host>,
    /// The addresses its calls come from, single or as networks. Default: the host.
    #[serde(default)]
    pub(crate) identify: Option<At<Vec<At<Network>>>>,
    /// The user name at the carrier.
    #[serde(default)]
    pub(crate) username: Option<At<ObjectName>>,
    /// Where the secret at the carrier comes from.
    #[serde(default)]
    pub(crate) secret: Option<At<SecretSource>>,
    /// The carrier's digest realm; with it, the file holds no plain secret.
    #[serde(default)]
    pub(crate) realm: Option<At<ObjectName>>,
    /// Whether to register at the carrier. Default: false.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(crate) register: Option<At<bool>>,
}

text_type! {
    /// An address, or a network such as `203.0.113.0/28`.
    Network,
    |text| {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let most = match address.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => Some(32),
            // Asterisk makes an IPv4 address of it, which is another one than what the read-back looks for.
            Ok(std::net::IpAddr::V6(six)) if six.to_ipv4_mapped().is_some() => None,
            Ok(std::net::IpAddr::V6(_)) => Some(128),
            Err(_) => None,
        };
        let whole = !text.contains('/') || bits.parse::<u8>().ok().zip(most).is_some_and(|(bits, most)| bits <= most);
        if most.is_some() && whole {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidHost,
                format!("{} is not an address or a network", quoted(text)),
                "write it as `203.0.113.7` or `203.0.113.0/28`",
            ))
        }
    },
    { "type": "string", "minLength": 2, "maxLength": 43 }
}
