//! Names and addresses of hosts.

use super::{Invalid, quoted, text_type};

text_type! {
    /// The name or address of a host, with a port where it is another one than usual.
    Host,
    |text| {
        let (name, port) = match text.rsplit_once(':') {
            // An address of IPv6 has a port only behind its brackets.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        let label = |label: &str| {
            !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let good = name.len() <= 253
            && (name.split('.').all(label) || bare.parse::<std::net::IpAddr>().is_ok())
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if good {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                "invalid-host",
                format!("{} is not a host", quoted(text)),
                "write a name or an address, such as `sip.example.com` or `198.51.100.7:5080`",
            ))
        }
    },
    { "type": "string", "minLength": 1, "maxLength": 259 }
}
