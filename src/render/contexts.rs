//! What the parts of the routing file call each other: contexts, endpoints, how a leg ended, and hang-up causes.

use super::Phonebook;
use crate::{
    asterisk::{BadValue, Name, dialplan::Expr, inbound_context},
    model::Tenant,
};

/// The contexts, each with the tenant before it.
pub(super) struct Contexts {
    /// What phones dial.
    pub(super) internal: Name,
    /// Counts the calls of each phone.
    pub(super) count: Name,
    /// What becomes of a call to a number of the range.
    pub(super) ring: Name,
    /// Rings all devices of a number, from whichever side the call comes.
    pub(super) leg: Name,
    pub(super) arrival: Name,
    pub(super) caller: Name,
    pub(super) decision: Name,
    pub(super) conditions: Name,
    pub(super) targets: Name,
    pub(super) outside: Name,
    pub(super) phones: Name,
    /// Members of groups, who ring together.
    pub(super) together: Name,
    /// Adds a phone to those who ring.
    pub(super) member: Name,
    /// The members of groups, each called by a channel of the dialplan.
    pub(super) members: Name,
    pub(super) confirm: Name,
    pub(super) next: Name,
    /// What phones reach under the numbers of objects.
    pub(super) extensions: Name,
    /// Where unanswered calls to users go.
    pub(super) unanswered: Name,
    /// Users' phones, for calls of other phones.
    pub(super) colleagues: Name,
    /// Where messages are left.
    pub(super) voicemail: Name,
    /// Records messages, on a channel of the dialplan.
    pub(super) message: Name,
    /// Cleans what that channel learns about the caller meanwhile.
    pub(super) clean: Name,
    /// Where callers come into conference rooms.
    pub(super) rooms: Name,
    /// Where callers wait in queues.
    pub(super) queues: Name,
}

impl Contexts {
    /// Names the contexts of a tenant.
    pub(super) fn of(tenant: &Tenant) -> Result<Self, BadValue> {
        let context = |kind: &str| Name::new(format!("{tenant}-{kind}"));
        Ok(Self {
            internal: context("internal")?,
            count: context("count")?,
            ring: context("ring")?,
            leg: context("leg")?,
            arrival: Name::new(inbound_context(tenant))?,
            caller: context("caller")?,
            decision: context("rules")?,
            conditions: context("hours")?,
            targets: context("targets")?,
            outside: context("dialers")?,
            phones: context("phones")?,
            together: context("groups")?,
            member: context("member")?,
            members: context("members")?,
            confirm: context("confirm")?,
            next: context("next")?,
            extensions: context("extensions")?,
            unanswered: context("unanswered")?,
            colleagues: context("colleagues")?,
            voicemail: context("voicemail")?,
            message: context("message")?,
            clean: context("clean")?,
            rooms: context("rooms")?,
            queues: context("queues")?,
        })
    }
}

/// Names the endpoint of the number that an expression holds.
pub(super) fn endpoint(book: &Phonebook<'_>, number: Expr) -> Result<Expr, BadValue> {
    match book.settings.endpoint_names.prefix(book.tenant) {
        prefix if prefix.is_empty() => Ok(number),
        prefix => Ok(Expr::text("endpoint", &prefix)? + number),
    }
}

/// The result of a leg whose devices rang; `DIALSTATUS` says how that ended.
pub(super) const RANG: &str = "rang";

/// Hang-up causes (Q.850): unallocated (404), busy (486), no answer (480), unavailable (480), rejected (403).
pub(super) const UNALLOCATED: u8 = 1;
pub(super) const BUSY: u8 = 17;
pub(super) const NO_ANSWER: u8 = 19;
pub(super) const UNAVAILABLE: u8 = 20;
pub(super) const REJECTED: u8 = 21;
