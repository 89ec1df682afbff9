//! Who can be reached: what carriers say to the registrations of trunks, and whether registered phones
//! answer Asterisk's probes.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    asterisk::{Answer, Asterisk, AsteriskError},
    listing::groups,
};

/// How a trunk stands at its carrier, in Asterisk's words: `Registered`, `Unregistered`, `Rejected` or
/// `Stopped`. `Unregistered` has not been answered yet, for up to 32 s; `Absent` is our word for a
/// registration that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrunkRegistration(String);

impl TrunkRegistration {
    pub(crate) fn word(&self) -> &str {
        &self.0
    }

    /// Tells whether the carrier knows where calls go.
    pub(crate) fn is_registered(&self) -> bool {
        self.0 == "Registered"
    }

    /// Tells whether calls arrive, as far as the carrier has answered.
    pub(crate) fn may_arrive(&self) -> bool {
        self.is_registered() || self.is_pending()
    }

    /// Tells whether the carrier has not answered yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.0 == "Unregistered"
    }
}

/// The words of Asterisk for a registration.
const REGISTRATION: [&str; 5] = ["Registered", "Unregistered", "Rejected", "Stopping", "Stopped"];

/// Asks how trunks stand at their carriers, by the name of their objects.
pub(super) fn registrations(
    asterisk: &Asterisk,
    trunks: &[&String],
) -> Result<BTreeMap<String, TrunkRegistration>, AsteriskError> {
    if trunks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = asterisk.ask("pjsip show registrations")?;
    let found: BTreeMap<&str, &str> = answer.raw().lines().filter_map(registration).collect();
    let word = |name: &&String| found.get(name.as_str()).copied().unwrap_or("Absent").to_owned();
    Ok(trunks.iter().map(|name| ((*name).clone(), TrunkRegistration(word(name)))).collect())
}

/// Reads `NAME/URI  AUTH  STATUS (exp. 5s)`. The columns may move; the words are looked for.
fn registration(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.split_whitespace();
    let (name, _) = columns.next()?.split_once('/')?;
    Some((name, columns.find(|word| REGISTRATION.contains(word))?))
}

/// What Asterisk's probes found out about registered phones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Probed {
    /// AORs of which no contact answers.
    pub(crate) unreachable: BTreeSet<String>,
    /// AORs of which no contact answers, and one was not probed yet, as after a restart of Asterisk.
    pub(crate) unprobed: BTreeSet<String>,
}

/// Asks what the probes of these AORs found out.
pub(super) fn probed(asterisk: &Asterisk, aors: &[&str]) -> Result<Probed, AsteriskError> {
    let commands: Vec<String> = groups(aors.iter().copied())
        .iter()
        // Asterisk compares with `AOR/URI`.
        .map(|group| format!("pjsip list contacts like {}/", group.trim_end_matches('$')))
        .collect();
    let wanted: BTreeSet<&str> = aors.iter().copied().collect();
    Ok(judge(&asterisk.ask_all(&commands)?, &wanted))
}

fn judge(answers: &[Answer], wanted: &BTreeSet<&str>) -> Probed {
    let (mut answering, mut probed) = (BTreeSet::new(), Probed::default());
    let contacts = answers.iter().flat_map(|answer| answer.raw().lines()).filter_map(contact);
    for (aor, status) in contacts.filter(|(aor, _)| wanted.contains(aor)) {
        let found = match status {
            "Unavail" => &mut probed.unreachable,
            "NonQual" => &mut probed.unprobed,
            _ => &mut answering,
        };
        found.insert(aor.to_owned());
    }
    probed.unreachable.retain(|aor| !answering.contains(aor) && !probed.unprobed.contains(aor));
    probed.unprobed.retain(|aor| !answering.contains(aor));
    probed
}

/// The words of Asterisk for a contact.
const CONTACT: [&str; 5] = ["Avail", "Unavail", "NonQual", "Unknown", "Created"];

/// Reads `Contact:  AOR/URI  HASH  STATUS  RTT`. The columns may move; the words are looked for.
fn contact(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.trim_start().strip_prefix("Contact:")?.split_whitespace();
    let (aor, _) = columns.next()?.split_once('/')?;
    Some((aor, columns.find(|word| CONTACT.contains(word))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registration_of_a_trunk_is_read_wherever_its_columns_are() {
        for (line, read) in [
            (
                " acme-trunk-carrier/sip:127.0.0.1:9                      n/a                   Unregistered      (exp. 2s)",
                Some(("acme-trunk-carrier", "Unregistered")),
            ),
            (
                "acme-trunk-c/sip:c.example  acme-trunk-c  3  Rejected (exp. 30s) later",
                Some(("acme-trunk-c", "Rejected")),
            ),
            (
                " acme-trunk-c/sip:c.example  acme-trunk-c  Registered        (exp. 3482s)",
                Some(("acme-trunk-c", "Registered")),
            ),
            (" <Registration/ServerURI..............................>  <Auth....>  <Status.......>", None),
            ("Objects found: 2", None),
            ("", None),
        ] {
            assert_eq!(registration(line), read, "{line}");
        }
    }

    #[test]
    fn a_phone_is_unreachable_if_none_of_its_contacts_answers() {
        let shown = "  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>\n\
              Contact:  1000/sip:1000@127.0.0.1:9                      0123456789 Unavail        nan\n  \
              Contact:  1001/sip:1001@127.0.0.1:9                      0123456789 Unavail        nan\n  \
              Contact:  1001/sip:1001@127.0.0.1:10                     0123456789 Avail        1.523\n  \
              Contact:  1002/sip:1002@127.0.0.1:9                      0123456789 NonQual       -nan\n  \
              Contact:  1003/sip:1003@127.0.0.1:9                      0123456789 Unknown       -nan\n  \
              Contact:  9999/sip:9999@127.0.0.1:9                      0123456789 Unavail        nan\n\nObjects found: 6\n";
        let wanted = BTreeSet::from(["1000", "1001", "1002", "1003"]);
        let Probed { unreachable, unprobed } = judge(&[Answer::of(shown)], &wanted);
        assert_eq!(unreachable, BTreeSet::from(["1000".to_owned()]));
        assert_eq!(unprobed, BTreeSet::from(["1002".to_owned()]));
    }
}
