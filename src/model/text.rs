//! Words of the file: tenant, e-mail, display name, names of objects, codecs. Each is text that was
//! checked.

use super::{
    Code, Invalid, UserKey, first_unprintable, invisible_hint, is_direction_mark, is_unseen, nearest, quoted, visible,
};

/// Defines a newtype over a checked string: parse, show, serialise, JSON schema.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl ::std::str::FromStr for $name {
            type Err = $crate::model::Invalid;
            fn from_str(text: &str) -> Result<Self, $crate::model::Invalid> {
                let check: fn(&str) -> Result<String, $crate::model::Invalid> = $check;
                check(text).map(Self)
            }
        }
        impl TryFrom<String> for $name {
            type Error = $crate::model::Invalid;
            fn try_from(text: String) -> Result<Self, $crate::model::Invalid> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use text_type;

text_type! {
    /// A tenant's slug: lower-case letters, digits and single hyphens, 1 to 28 characters.
    ///
    /// It names the include folders and prefixes the dialplan contexts. With a number behind it, it
    /// names endpoints, whose names Asterisk's listings cut at 38 bytes.
    Tenant,
    |text| {
        let words = text.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        if words && text.len() <= 28 && text.starts_with(|c: char| c.is_ascii_lowercase()) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidTenant,
                format!("{} is not a tenant slug", quoted(text)),
                "use lower-case letters, digits and single hyphens, starting with a letter, at most 28 \
                 characters, such as `synergycall`",
            ))
        }
    },
    { "type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "maxLength": 28 }
}

text_type! {
    /// An e-mail address as it was written; compare by [`Email::key`].
    ///
    /// The accepted form is the HTML standard's "valid e-mail address", ASCII only.
    Email,
    |text| {
        let local = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
        let label = |part: &str| {
            !part.is_empty()
                && part.len() <= 63
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        match text.split_once('@') {
            Some((name, domain))
                if text.len() <= 254
                    && (1..=64).contains(&name.len())
                    && name.bytes().all(local)
                    && domain.split('.').all(label) =>
            {
                Ok(text.to_owned())
            }
            _ => Err(Invalid::new(
                Code::InvalidEmail,
                format!("{} is not an e-mail address", quoted(text)),
                &email_hint(text),
            )),
        }
    },
    { "type": "string", "format": "email", "maxLength": 254 }
}

/// Finds the way out for an address that is not ASCII: its domain has an ASCII form, its name has none.
fn email_hint(text: &str) -> String {
    if let Some(hint) = invisible_hint(text) {
        return hint;
    }
    let usual = "write it as `name@example.com`";
    let Some((name, domain)) = text.split_once('@').filter(|_| !text.is_ascii()) else { return usual.to_owned() };
    if name.is_ascii() {
        let domain = quoted(domain);
        format!("write the domain {domain} in its ASCII form, which begins with `xn--` (`idn2` prints it)")
    } else {
        "only ASCII letters are possible before the `@`: declare an ASCII alias of this person".to_owned()
    }
}

impl Email {
    /// Returns the form by which addresses are compared: lower case.
    pub fn key(&self) -> UserKey {
        UserKey::of(&self.0)
    }
}

/// The most bytes of a display name that Asterisk keeps (it cuts in the middle of a character).
pub(crate) const NAME_BYTES: usize = 79;

/// The most characters a declared name may have; beyond [`NAME_BYTES`] it is cut when rendered.
const NAME_CHARS: usize = 255;

text_type! {
    /// A display name: one line of text, all of whose characters a reader can see.
    DisplayName,
    |text| {
        // Programs that names are copied from put marks of text direction around them.
        let text = text.trim_matches(|c: char| c.is_whitespace() || is_direction_mark(c));
        check_name(text)?;
        Ok(text.to_owned())
    },
    { "type": "string", "minLength": 1, "maxLength": 255 }
}

/// Refuses what no name may be; blanks around it are none of its business.
fn check_name(text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new(Code::InvalidName, "the name is empty", "write the name that the called person sees"));
    }
    if let Some(bad) = first_unprintable(text) {
        return Err(Invalid::new(
            Code::InvalidName,
            format!(
                "the name holds the {} character U+{:04X}",
                if bad.is_control() { "control" } else { "invisible" },
                u32::from(bad)
            ),
            "keep the name on one line, without control, text-direction and other invisible characters",
        ));
    }
    if text.chars().count() > NAME_CHARS {
        return Err(Invalid::new(
            Code::InvalidName,
            format!("the name is {} characters long", text.chars().count()),
            "phones show about 20 characters; at most 255 are accepted",
        ));
    }
    Ok(())
}

impl DisplayName {
    /// Takes a name as a program sent it: what stands around it counts, too, other than in a file,
    /// where a line break may end it.
    pub(crate) fn as_sent(text: &str) -> Result<Self, Invalid> {
        check_name(text)?;
        text.parse()
    }

    /// Takes a recorded name. An earlier version recorded characters that are refused today: they are left
    /// out, so that the next apply records the name without them.
    ///
    /// # Errors
    /// If nothing visible is left.
    pub(crate) fn recorded(text: &str) -> Result<Self, Invalid> {
        text.parse().or_else(|_| visible(text).filter_map(|(c, seen)| seen.then_some(c)).collect::<String>().parse())
    }

    /// Returns the part of the name that reaches phones: at most 79 bytes, cut between characters.
    pub fn shown(&self) -> &str {
        if self.0.len() <= NAME_BYTES {
            return &self.0;
        }
        // A joiner whose other half was cut off joins nothing.
        self.0[..self.0.floor_char_boundary(NAME_BYTES)].trim_end_matches(is_unseen)
    }
}

text_type! {
    /// The name of an object in the operator's own configuration: a context, a transport, a realm.
    ///
    /// Letters, digits and `_ . + -`, at most 70 bytes: the section names that Asterisk's
    /// configuration reader takes without surprises.
    ObjectName,
    |text| {
        if (1..=70).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b))
        {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidObjectName,
                format!("{} cannot name an object in Asterisk's configuration", quoted(text)),
                "use letters, digits and `_ . + -`, at most 70 characters",
            ))
        }
    },
    { "type": "string", "pattern": "^[A-Za-z0-9_.+-]{1,70}$" }
}

text_type! {
    /// A codec by Asterisk's name, such as `opus`.
    Codec,
    |text| {
        if CODECS.contains(&text) {
            return Ok(text.to_owned());
        }
        // The names of RTP, under which phones list them.
        let near = match text.to_ascii_lowercase().as_str() {
            "pcma" => Some("alaw"),
            "pcmu" => Some("ulaw"),
            lower => nearest(lower, CODECS.iter().copied()),
        };
        Err(Invalid::new(
            Code::UnknownCodec,
            format!("{} is not a codec Asterisk 22 knows", quoted(text)),
            &near.map_or_else(|| format!("one of: {}", CODECS.join(", ")), |near| format!("did you mean `{near}`?")),
        ))
    },
    { "type": "string", "enum": [
        "alaw", "ulaw", "g722", "opus", "gsm", "g726", "g729", "ilbc", "speex", "speex16", "speex32",
        "slin", "slin16", "h264", "h263", "h263p", "vp8", "vp9"
    ] }
}

impl ObjectName {
    /// The digest realm of an Asterisk whose `default_realm` was never set.
    pub(super) fn default_realm() -> Self {
        Self("asterisk".to_owned())
    }
}

/// The codecs that `allow` takes on Asterisk 22 (`core show codecs`) and phones speak.
const CODECS: &[&str] = &[
    "alaw", "ulaw", "g722", "opus", "gsm", "g726", "g729", "ilbc", "speex", "speex16", "speex32", "slin", "slin16",
    "h264", "h263", "h263p", "vp8", "vp9",
];
