//! Words of the program, and values of types that were checked: each may be in any argument.

use super::{super::Name, Expr};
use crate::model::{BoxNumber, E164, Extension, ExtensionName, MenuKey, ObjectName, Prefix, Prompt, Tenant};

/// Words of the program itself.
impl From<&'static str> for Expr {
    fn from(text: &'static str) -> Self {
        Self::plain(text)
    }
}

impl From<&Name> for Expr {
    fn from(name: &Name) -> Self {
        Self::plain(name.to_string())
    }
}

impl From<&Tenant> for Expr {
    fn from(tenant: &Tenant) -> Self {
        Self::plain(tenant.as_str())
    }
}

impl From<&E164> for Expr {
    fn from(number: &E164) -> Self {
        Self::plain(number.as_str())
    }
}

/// It has letters, digits and `_ . + -` only.
impl From<&ObjectName> for Expr {
    fn from(name: &ObjectName) -> Self {
        Self::plain(name.as_str())
    }
}

/// It has letters, digits and `_ . + - * #` only.
impl From<&ExtensionName> for Expr {
    fn from(name: &ExtensionName) -> Self {
        Self::plain(name.as_str())
    }
}

/// It has letters, digits and `_ - /` only.
impl From<&Prompt> for Expr {
    fn from(prompt: &Prompt) -> Self {
        Self::plain(prompt.as_str())
    }
}

/// It is a digit, `*` or `#`.
impl From<&MenuKey> for Expr {
    fn from(key: &MenuKey) -> Self {
        Self::plain(key.as_str())
    }
}

impl From<&BoxNumber> for Expr {
    fn from(number: &BoxNumber) -> Self {
        Self::plain(number.as_str())
    }
}

impl From<&Prefix> for Expr {
    fn from(prefix: &Prefix) -> Self {
        Self::plain(prefix.start())
    }
}

impl From<Extension> for Expr {
    fn from(number: Extension) -> Self {
        Self::plain(number.to_string())
    }
}
