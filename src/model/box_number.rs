//! The numbers of voicemail boxes.

use super::{Code, Invalid, ObjectName, Tenant, quoted, text_type};

text_type! {
    /// The number of a voicemail box. It is no extension: nobody dials it.
    BoxNumber,
    |text| {
        if (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') {
            return Ok(text.to_owned());
        }
        let message = format!("{} is not the number of a voicemail box", quoted(text));
        Err(Invalid::new(Code::InvalidObjectName, message, "it has 1 to 9 digits"))
    },
    { "type": "string", "pattern": "^[1-9][0-9]{0,8}$" }
}

text_type! {
    /// A voicemail box of the operator's own, as `number@context`.
    OperatorsBox,
    |text| {
        let is_name = |part: &str| part.parse::<ObjectName>().is_ok();
        if text.split_once('@').is_some_and(|(number, context)| is_name(number) && is_name(context)) {
            return Ok(text.to_owned());
        }
        let message = format!("{} is not a voicemail box in voicemail.conf", quoted(text));
        Err(Invalid::new(Code::InvalidObjectName, message, "write its number, `@` and its context, such as `1001@default`"))
    },
    { "type": "string", "pattern": "^[A-Za-z0-9_.+-]{1,70}@[A-Za-z0-9_.+-]{1,70}$" }
}

impl BoxNumber {
    /// Names the box to a provider that sends a call there by SIP.
    pub(crate) fn sip_user(&self) -> String {
        format!("voicemail-{self}")
    }

    /// Tells whether phones that are named after the tenant and their extension may have such a name, too. In the
    /// dialplan Asterisk ignores hyphens.
    pub(crate) fn is_named_like_phones_of(tenant: &Tenant) -> bool {
        let slug = tenant.as_str().replace('-', "");
        slug.strip_prefix("voicemail").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Takes a number.
    pub(crate) fn of(number: u32) -> Self {
        Self(number.to_string())
    }
}
