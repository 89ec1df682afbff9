//! Which boxes there are: those of users and the shared ones.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        check::{Names, named},
        destination::check::user,
        namespace::reserved,
    },
    BoxOwner, Boxes, DEFAULT, Mailing, VoicemailBox, file,
    file::LampName,
};
use crate::model::{At, Code, Diagnostic, Place, Severity, UserKey};

/// The most phones that show the messages of a box: Asterisk tells each of them.
const MOST_LAMPS: usize = 50;

/// The most boxes whose messages a phone shows, its own among them: they are one line, which has at most 2,000 bytes.
const MOST_AT_A_PHONE: usize = 40;

/// Reads the boxes. `own` has the users who say whether they have one.
pub(in crate::objects) fn check(
    key: Option<At<file::Voicemail>>,
    own: &BTreeMap<UserKey, bool>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Boxes {
    let place = key.as_ref().map(|at| at.place);
    let file::Voicemail { users, mail, max, boxes } = key.and_then(|at| at.value).unwrap_or_default();
    let flag = |at: Option<At<bool>>, default| at.and_then(|at| at.value).unwrap_or(default);
    let everybody = flag(users, false);
    let mail = mail.and_then(|at| at.value).unwrap_or_default();
    let mailed = flag(mail.users, true);
    let mailing = Mailing {
        attach: flag(mail.attach, DEFAULT.attach),
        delete: flag(mail.delete, DEFAULT.delete),
        seconds: max.and_then(|at| at.value).map_or(DEFAULT.seconds, |length| length.0),
    };
    let has_box = |user: &UserKey| {
        let person = !names.phones.contains_key(user);
        own.get(user).copied().unwrap_or(everybody && person)
    };
    let of_user = |user: &UserKey| {
        let mail = mailed && !names.phones.contains_key(user);
        let whose = BoxOwner::User { user: user.clone(), mail };
        (user.clone(), VoicemailBox { number: None, whose, mailing })
    };
    let users = names.users.names.iter().filter(|user| has_box(user)).map(of_user).collect();
    let mut found = Boxes { own: users, shared: BTreeMap::new() };
    let mut at_phones: BTreeMap<UserKey, usize> = found.own.keys().map(|user| (user.clone(), 1)).collect();
    for (place, name, shared, _) in named(boxes, problems) {
        problems.extend(reserved("voicemail box", name.as_str(), place));
        if name.as_str().bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("a voicemail box cannot be called `{name}`");
            let hint = "use a name with a letter; the number of the box is assigned automatically";
            problems.push(Diagnostic::error(Code::ReservedName, message, place).hint(hint));
        }
        if let Some((place, address)) = shared.mail.as_ref().and_then(|at| Some((at.place, at.value.as_ref()?))) {
            problems
                .extend(several(address.as_str()).then(|| unmailed(Severity::Error, address.as_str(), Some(place))));
        }
        let lamps = shared.lamps.map(|list| lamps(list, &mut at_phones, names, problems)).unwrap_or_default();
        let Some(title) = shared.name.value else { continue };
        let whose = BoxOwner::Shared { title, mail: shared.mail.and_then(|at| at.value), lamps };
        found.shared.insert(name, VoicemailBox { number: None, whose, mailing });
    }
    let mailed = found.own.iter().filter(|(_, own)| matches!(own.whose, BoxOwner::User { mail: true, .. }));
    let unmailed = mailed.filter(|(user, _)| several(user.as_str())).map(|(user, _)| user.as_str());
    problems.extend(unmailed.map(|address| self::unmailed(Severity::Warning, address, place)));
    let is_unused = found == Boxes::NONE && !names.users.names.is_empty();
    if let (Some(place), true, true) = (place, is_unused, names.users.all) {
        let message = "nobody has a voicemail box";
        let hint = "set `users: true`, or `voicemail: true` at a user, or declare `boxes:`";
        problems.push(Diagnostic::warning(Code::UnusedVoicemail, message, place).hint(hint));
    }
    found
}

/// Tells whether Asterisk would take an address for several ones.
fn several(address: &str) -> bool {
    address.contains('|')
}

/// Reports an address that gets no mail.
fn unmailed(severity: Severity, address: &str, place: Option<Place>) -> Diagnostic {
    let message = format!("Asterisk mails no messages to `{address}`: `|` would begin a second address");
    let problem = Diagnostic { severity, ..Diagnostic::error(Code::InvalidEmail, message, place) };
    problem.hint("use another address, or no mail")
}

/// Reads whose phones show the messages of a box, each once.
fn lamps(
    list: At<Vec<At<LampName>>>,
    at_phones: &mut BTreeMap<UserKey, usize>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<UserKey> {
    let Some(items) = list.value else { return Vec::new() };
    if items.len() > MOST_LAMPS {
        let message = format!("the messages of this box show on {} phones", items.len());
        let hint = format!("name at most {MOST_LAMPS}");
        problems.push(Diagnostic::error(Code::OutOfBounds, message, list.place).hint(hint));
    }
    let (mut lamps, mut seen) = (Vec::new(), BTreeSet::new());
    for item in &items {
        let Some(text) = item.value.as_ref().map(LampName::as_str) else { continue };
        let Some((key, _)) = user(text, item.place, names, problems) else {
            if names.users.all {
                let message = format!("no such user or phone: `{text}`");
                let hint = "only phones have lamps (MWI): name users by e-mail, and phones by id";
                problems.push(Diagnostic::error(Code::UnknownReference, message, item.place).hint(hint));
            }
            continue;
        };
        if seen.insert(key.clone()) {
            let boxes = at_phones.entry(key.clone()).or_default();
            *boxes += 1;
            // Those that follow are no news.
            if *boxes == MOST_AT_A_PHONE + 1 {
                let message = format!("the phone of `{text}` shows the messages of more than {MOST_AT_A_PHONE} boxes");
                let hint = "take it out of some `lamps`; its own box counts as well";
                problems.push(Diagnostic::error(Code::OutOfBounds, message, item.place).hint(hint));
            }
            lamps.push(key);
        } else {
            let message = format!("`{text}` is named twice");
            problems.push(Diagnostic::error(Code::DuplicateTarget, message, item.place).hint("keep one of them"));
        }
    }
    lamps
}
