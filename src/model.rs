//! The words every stage shares: extension, e-mail, tenant, display name, secret, settings.
//!
//! Each type is parsed once, at the edge, and carries its proof from then on. Nothing here reads
//! a file, a clock or the environment.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive, path::Path, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A value that was refused, with the reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Stable code of the rule that was broken, such as `invalid-email`.
    pub code: &'static str,
    /// What is wrong, with the offending value quoted.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Invalid {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { code, message: message.into(), hint }
    }

    /// Takes back what the alternate form of `Display` wrote; other text becomes `invalid-value`.
    pub(crate) fn decode(text: &str) -> Self {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        if let [code, message, hint] = parts[..]
            && let Some(code) = CODES.iter().find(|known| **known == code)
        {
            return Self::new(code, message, hint);
        }
        Self::new("invalid-value", text, "")
    }
}

/// Stands between the parts of an [`Invalid`] on its way through serde, whose errors are text.
const SEPARATOR: char = '\u{1f}';

/// The codes of all refusals, so that they survive the way through serde.
const CODES: &[&str] = &[
    "invalid-extension",
    "invalid-range",
    "backwards-range",
    "invalid-tenant",
    "invalid-email",
    "invalid-name",
    "invalid-object-name",
    "unknown-codec",
    "invalid-hold",
    "invalid-source",
    "invalid-number",
    "invalid-prefix",
    "invalid-hours",
    "invalid-date",
    "invalid-ring",
    "invalid-sip",
    "invalid-target",
    "invalid-time",
    "invalid-host",
    "unknown-timezone",
];

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let hint = self.hint.as_deref().unwrap_or_default();
            write!(f, "{}{SEPARATOR}{}{SEPARATOR}{hint}", self.code, self.message)
        } else {
            f.write_str(&self.message)
        }
    }
}

/// Quotes a value for a message: control characters escaped, never longer than 60 characters.
pub(crate) fn quoted(value: &str) -> String {
    let end = value.char_indices().nth(60).map_or(value.len(), |(at, _)| at);
    let mut shown = printable(&value[..end]);
    if end < value.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Escapes what a terminal or a log would act on, in text that others may have written.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Writes a path for a message or report: a file's name may hold newlines and escapes.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// An internal number: 1 to 8 digits, no leading zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extension(u32);

impl Extension {
    /// The largest number there is.
    pub const MAX: u32 = 99_999_999;

    /// Returns the number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Extension {
    type Error = Invalid;

    fn try_from(number: u32) -> Result<Self, Invalid> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Invalid::new(
                "invalid-extension",
                format!("{number} is not an extension"),
                "an extension is a whole number from 1 to 99999999",
            ))
        }
    }
}

impl FromStr for Extension {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain =
            !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|_| plain).map(Self).ok_or_else(|| {
            Invalid::new(
                "invalid-extension",
                format!("{} is not an extension", quoted(text)),
                "write plain digits without quotes, sign, dot or leading zero, such as `1010`",
            )
        })
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl JsonSchema for Extension {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extension".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MAX })
    }
}

/// An inclusive range of extensions, written `1000-1999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtensionRange {
    first: Extension,
    last: Extension,
}

impl ExtensionRange {
    /// The range used where the file names none: 1000-1999.
    pub const DEFAULT: Self = Self { first: Extension(1000), last: Extension(1999) };

    /// Returns the lowest number.
    pub fn first(self) -> Extension {
        self.first
    }

    /// Returns the highest number.
    pub fn last(self) -> Extension {
        self.last
    }

    /// Tells whether a number lies in the range.
    pub fn contains(self, extension: Extension) -> bool {
        (self.first..=self.last).contains(&extension)
    }

    /// Counts the numbers in the range.
    pub fn size(self) -> u32 {
        self.last.0 - self.first.0 + 1
    }

    /// Returns the plain numbers of the range.
    pub fn numbers(self) -> RangeInclusive<u32> {
        self.first.0..=self.last.0
    }
}

impl FromStr for ExtensionRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |message: String| {
            Invalid::new("invalid-range", message, "write the lowest and the highest number, such as `1000-1999`")
        };
        let (first, last) = text.split_once('-').ok_or_else(|| bad(format!("{} is not a range", quoted(text))))?;
        let end =
            |part: &str| part.trim().parse::<Extension>().map_err(|_| bad(format!("{} is not a range", quoted(text))));
        let (first, last) = (end(first)?, end(last)?);
        if first > last {
            return Err(Invalid::new(
                "backwards-range",
                format!("the range {} runs backwards", quoted(text)),
                &format!("write `{last}-{first}`"),
            ));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for ExtensionRange {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ExtensionRange> for String {
    fn from(range: ExtensionRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for ExtensionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Defines a newtype over a checked string: parse, show, serialise, JSON schema.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                let check: fn(&str) -> Result<String, Invalid> = $check;
                check(text).map(Self)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
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
                "invalid-tenant",
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
                "invalid-email",
                format!("{} is not an e-mail address", quoted(text)),
                "write it as `name@example.com`",
            )),
        }
    },
    { "type": "string", "format": "email", "maxLength": 254 }
}

impl Email {
    /// Returns the form by which addresses are compared: lower case.
    pub fn key(&self) -> EmailKey {
        EmailKey(self.0.to_ascii_lowercase())
    }
}

/// The identity of a user within a tenant: the e-mail address in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailKey(String);

impl EmailKey {
    /// Takes an address that is recorded, or stands in a file of ours, as it is compared.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    /// Returns the lower-case address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The most bytes of a display name that Asterisk keeps (it cuts in the middle of a character).
pub const NAME_BYTES: usize = 79;

/// The most characters a declared name may have; beyond [`NAME_BYTES`] it is cut when rendered.
const NAME_CHARS: usize = 255;

text_type! {
    /// A display name: one line of text without control or direction-override characters.
    DisplayName,
    |text| {
        let text = text.trim();
        check_name(text)?;
        Ok(text.to_owned())
    },
    { "type": "string", "minLength": 1, "maxLength": 255 }
}

/// Refuses what no name may be; blanks around it are none of its business.
fn check_name(text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new("invalid-name", "the name is empty", "write the name the callee shall see"));
    }
    if let Some(bad) = text.chars().find(|c| is_unprintable(*c)) {
        return Err(Invalid::new(
            "invalid-name",
            format!("the name holds the control character U+{:04X}", u32::from(bad)),
            "keep the name on one line, without control or text-direction characters",
        ));
    }
    if text.chars().count() > NAME_CHARS {
        return Err(Invalid::new(
            "invalid-name",
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

    /// Returns the part of the name that reaches phones: at most 79 bytes, cut between characters.
    pub fn shown(&self) -> &str {
        &self.0[..self.0.floor_char_boundary(NAME_BYTES)]
    }
}

/// Tells whether a character must not stand in a name or value: C0, DEL, C1, line and paragraph
/// separators, and the bidirectional controls that make a line read as something else.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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
                "invalid-object-name",
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
        let near = nearest(text, CODECS.iter().copied());
        Err(Invalid::new(
            "unknown-codec",
            format!("{} is not a codec Asterisk 22 knows", quoted(text)),
            &near.map_or_else(|| format!("one of: {}", CODECS.join(", ")), |near| format!("did you mean `{near}`?")),
        ))
    },
    { "type": "string", "enum": [
        "alaw", "ulaw", "g722", "opus", "gsm", "g726", "g729", "ilbc", "speex", "speex16", "speex32",
        "slin", "slin16", "h264", "h263", "h263p", "vp8", "vp9"
    ] }
}

/// The codecs that `allow` takes on Asterisk 22 (`core show codecs`) and phones speak.
const CODECS: &[&str] = &[
    "alaw", "ulaw", "g722", "opus", "gsm", "g726", "g729", "ilbc", "speex", "speex16", "speex32", "slin", "slin16",
    "h264", "h263", "h263p", "vp8", "vp9",
];

/// Finds the candidate a misspelt word was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// What stands wherever a secret would.
pub const SENSITIVE: &str = "(sensitive)";

/// Words in Asterisk's configuration, in lower case, behind which a secret stands.
pub const TELLING: [&str; 5] = ["password", "secret", "md5_cred", "digest", "token"];

/// A SIP secret: `Debug`, `Display` and `Serialize` print `(sensitive)`; memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret as a phone would have to type it: 1 to 128 printable ASCII characters.
    ///
    /// # Errors
    /// When it is empty, too long or holds anything else; the value is never quoted.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(Invalid::new(
                "invalid-secret",
                "the value is not usable as a SIP secret",
                "a secret has 1 to 128 printable ASCII characters without blanks; 20 random ones are good",
            ))
        }
    }

    /// Returns the plain text, for the one place that seals, digests or hands it out.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SENSITIVE)
    }
}

/// How endpoint, AOR and auth are named after the extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointNames {
    /// The extension alone: `1001`.
    #[default]
    Extension,
    /// The tenant's slug before it, where tenants share one Asterisk: `acme-1001`.
    TenantExtension,
}

impl EndpointNames {
    /// Returns what stands before the extension.
    pub fn prefix(self, tenant: &Tenant) -> String {
        match self {
            Self::Extension => String::new(),
            Self::TenantExtension => format!("{tenant}-"),
        }
    }
}

/// The profile every phone starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneProfile {
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// How many devices may register at once (`max_contacts`), 1 to 100.
    pub devices: u8,
    /// The operator's transport; Asterisk chooses where there is none.
    pub transport: Option<ObjectName>,
    /// The digest realm; must equal Asterisk's `default_realm`.
    pub realm: ObjectName,
}

/// The keys of the profile that one user overrides; recorded beside the user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneOverride {
    /// See [`PhoneProfile::codecs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codecs: Option<Vec<Codec>>,
    /// See [`PhoneProfile::devices`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u8>,
    /// See [`PhoneProfile::transport`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<ObjectName>,
    /// See [`PhoneProfile::realm`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<ObjectName>,
}

/// How many changes of one kind an apply may make without being told twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RailLimit {
    /// The absolute limit.
    pub max: u32,
    /// The limit as a share of the file-managed users, 0 to 100.
    pub percent: u8,
}

impl Default for RailLimit {
    fn default() -> Self {
        Self { max: 5, percent: 20 }
    }
}

/// What a tenant's users have in common, as recorded: everything rendering and allocation need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where numbers are allocated from.
    pub range: ExtensionRange,
    /// Numbers that are never allocated by themselves.
    pub reserved: BTreeSet<Extension>,
    /// Days a freed number is kept from somebody else.
    pub hold_days: u32,
    /// How endpoints are named.
    pub endpoint_names: EndpointNames,
    /// The profile of every phone.
    pub phones: PhoneProfile,
    /// The operator's own contexts, tried after ours.
    pub include: Vec<ObjectName>,
}
