//! What users have in common, and what one phone has differently.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Codec, Country, Document, Extension, ExtensionRanges, ObjectName, OperatorsBox, Tenant, emergency_numbers,
};

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

/// What `apply` does with a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Makes Asterisk run what is declared.
    #[default]
    Apply,
    /// Nothing: plans and states are shown, and Asterisk is left alone.
    Observe,
}

impl Mode {
    /// Returns the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Observe => "observe",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_apply(&self) -> bool {
        *self == Self::Apply
    }
}

/// The profile every phone starts from. Absent keys have the defaults of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhoneProfile {
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// How many devices may register at once (`max_contacts`), 1 to 15: all of them ring in one dial string, which
    /// Asterisk cuts at 4,091 bytes.
    pub devices: u8,
    /// The operator's transport; Asterisk chooses where there is none.
    pub transport: Option<ObjectName>,
    /// The digest realm; must equal Asterisk's `default_realm`.
    pub realm: ObjectName,
}

impl Default for PhoneProfile {
    /// The profile of a file that names none.
    fn default() -> Self {
        Self {
            codecs: ["opus", "g722", "ulaw", "alaw"].iter().filter_map(|name| name.parse().ok()).collect(),
            devices: 1,
            transport: None,
            realm: ObjectName::default_realm(),
        }
    }
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
    /// The operator's own context that the phone dials in, instead of the generated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ObjectName>,
    /// The user name that the phone authenticates with, if it is not the name of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<ObjectName>,
    /// The operator's own voicemail box whose messages the phone shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<OperatorsBox>,
}

impl PhoneOverride {
    /// Shares it. Most phones have nothing differently, and all of these have the same place in memory.
    pub fn shared(self) -> Arc<Self> {
        static NOTHING: LazyLock<Arc<PhoneOverride>> = LazyLock::new(Arc::default);
        if self == Self::default() { Arc::clone(&NOTHING) } else { Arc::new(self) }
    }

    /// Returns the user name that the phone authenticates with; `name` is that of its endpoint.
    pub fn login_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.login.as_ref().map_or(name, ObjectName::as_str)
    }
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

/// What a tenant's users have in common, as recorded: everything rendering and allocation need. Absent keys have
/// the defaults of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What `apply` does.
    #[serde(skip_serializing_if = "Mode::is_apply")]
    pub mode: Mode,
    /// Where numbers are allocated from, in their order.
    pub range: ExtensionRanges,
    /// The country whose emergency numbers are left to the operator's contexts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
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

impl Document for Settings {}

impl Settings {
    /// Returns the emergency numbers of the tenant's country.
    pub(crate) fn emergency_numbers(&self) -> BTreeSet<Extension> {
        emergency_numbers(self.country.as_ref())
    }

    /// Returns the numbers that are only given by a pin: reserved ones and emergency numbers, in and
    /// outside the ranges. Those that no user has are in no pattern of the dialplan.
    pub(crate) fn pinned_only(&self) -> BTreeSet<Extension> {
        let mut numbers = self.emergency_numbers();
        numbers.extend(&self.reserved);
        numbers
    }
}
