//! The routing file: the range as a few patterns, what happens when one is dialled, the mark.
//!
//! It does not grow with the users: adding one reloads `res_pjsip` only. Literal extensions and
//! hints would make a reload quadratic in their number.

use std::fmt::Write;

use super::{BadValue, Digests, GENERATION, MASKED_MARK, Name, Phonebook, RING, Value, head, mark, mark_context};

/// Renders the file.
pub(super) fn render(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<String, BadValue> {
    let context = |kind: &str| Name::new(format!("{}-{kind}", book.tenant));
    let (internal, ring) = (context("internal")?, context("ring")?);
    let prefix = book.settings.endpoint_names.prefix(book.tenant);
    let endpoint = Value::code(format!("{prefix}${{EXTEN}}"));
    let mut text = head(book, digests);
    let _ =
        write!(text, "\n; What phones may dial: each other ({}), then the operator's contexts.\n", book.settings.range);
    let _ = writeln!(text, "[{internal}]");
    for pattern in book.patterns() {
        let _ = writeln!(text, "exten => {pattern},hint,PJSIP/{endpoint}");
        let _ = writeln!(text, "exten => {pattern},1,Goto({ring},${{EXTEN}},1)");
    }
    for include in &book.settings.include {
        let _ = writeln!(text, "include => {}", Value::dialplan("include", include.as_str())?);
    }
    // Hang-up causes (Q.850): 1 unallocated, answered as 404; 20 not registered, answered as 480. Whether
    // a number is allocated PJSIP itself is asked (40 us, and no warning for what is not there): device
    // states are cached, so that a phone that was registered once would stay there for minutes.
    let _ = write!(
        text,
        "\n[{ring}]\n\
         exten => _X!,1,GotoIf($[\"${{AST_SORCERY(res_pjsip,endpoint,{endpoint},context)}}\" != \"{internal}\"]?unallocated)\n \
         same => n,GotoIf(${{ISNULL(${{PJSIP_DIAL_CONTACTS({endpoint})}})}}?unavailable)\n \
         same => n,Dial(${{PJSIP_DIAL_CONTACTS({endpoint})}},{RING})\n \
         same => n,GotoIf($[\"${{DIALSTATUS}}\" = \"NOANSWER\"]?unavailable)\n \
         same => n,Hangup(${{HANGUPCAUSE}})\n \
         same => n(unavailable),Hangup(20)\n \
         same => n(unallocated),Hangup(1)\n\n"
    );
    super::inbound::render(&mut text, book, digests)?;
    let mark = match digests {
        Digests::Masked => MASKED_MARK.to_owned(),
        Digests::Real { .. } => mark(&text),
    };
    let _ = write!(text, "{GENERATION}[{}]\nexten => {mark},1,NoOp()\n", Name::new(mark_context(book.tenant))?);
    Ok(text)
}
