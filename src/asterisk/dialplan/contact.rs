//! The check of a contact, which is text that a phone sent with its registration.
//!
//! Pasted into a dial string as it is, `sip:a&PJSIP/1010@..` would ring other phones, `,7,U(context)` would set
//! options, and `;maddr=` or `?Route=` would send the call to another host. Measured on Asterisk 22.10.

use super::{
    Extension,
    expr::{Expr, Foreign, ForeignVariable, Variable, call},
    step::{Place, Step},
};

/// A plain SIP address: `sip:` or `sips:`, perhaps a user, a host, perhaps a port and parameters.
///
/// Left out on purpose: `& , ( )`, which mean something in the arguments of `Dial`; `[` and `]` except around an
/// IPv6 address, because the arguments after a lone `[` would not be read; quotes and backslashes; `?`, which begins
/// headers; and `%` in the name of a parameter. The brackets stand in brackets: see [`Expr::matches`].
const PLAIN: &str = "^sips?:([A-Za-z0-9_.!~*+%=-]+@)?([A-Za-z0-9.-]+|[[][0-9A-Fa-f:.]+[]])(:[0-9]+)?\
(;[A-Za-z0-9_.!~*+-]+(=[A-Za-z0-9_.!~*+%:/-]+)?)*$";

/// The parameter that sends a request to another host than the one of the address.
const LEADS_AWAY: &str = ";maddr";

/// The longest dial string, in characters: Asterisk cuts variables at 4,091 bytes, which would drop the end of a
/// contact without a word. What one more device adds is shorter than the difference.
const LONGEST_LINE: u64 = 3900;

impl Expr {
    /// Lists the ids of the contacts of an AOR of ours: its name and a hash, with commas between them.
    pub(crate) fn contact_ids(aor: Self) -> Self {
        call("PJSIP_AOR", "func_pjsip_aor", aor + ",contact")
    }

    /// Reads whether a contact answers: one of Asterisk's own words.
    pub(crate) fn contact_status(id: Self) -> Self {
        call("PJSIP_CONTACT", "func_pjsip_contact", id + ",status")
    }
}

impl Extension {
    /// Adds the device of an endpoint to the dial string in [`Variable::Line`] if the contact in
    /// [`ForeignVariable::Contact`] is a plain SIP address; goes on at `otherwise` if it is not.
    pub(crate) fn add_device(&mut self, endpoint: Expr, otherwise: &'static str) -> &mut Self {
        let contact = || Foreign::var(ForeignVariable::Contact);
        let length = Expr::length_of(Variable::Line) + " + " + Expr::length(contact());
        let too_long = (length + " > " + Expr::number(LONGEST_LINE)).calc();
        let line = Expr::var(Variable::Line) + "&PJSIP/" + endpoint + "/" + contact().checked();
        self.step(Step::GotoUnless(Expr::matches(PLAIN, contact()), Place::Label(otherwise)))
            .step(Step::goto_if(Expr::matches_in_lower_case(LEADS_AWAY, contact()), Place::Label(otherwise)))
            .step(Step::goto_if(too_long, Place::Label(otherwise)))
            .step(Step::Set(Variable::Line, line))
    }
}
