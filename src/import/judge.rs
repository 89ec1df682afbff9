//! What becomes of each candidate: a user of the file, or a line of the list.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Candidate, Found, LeftOut, Rank, Refused,
    write::{self, File, User},
};
use crate::model::{
    Codec, DisplayName, Email, Extension, Guessable, Identity, ObjectName, Secret, Tenant, UserKey, printable,
    weaknesses,
};

/// How many devices a phone may have here.
const MOST_DEVICES: u32 = 15;

/// What the administrator decides about an import.
pub(crate) struct Options {
    /// The tenant of the file.
    pub(crate) tenant: Tenant,
    /// Where addresses are made up: `1001@` this domain.
    pub(crate) email_domain: Option<String>,
    /// Only these numbers.
    pub(crate) only: Option<(Extension, Extension)>,
}

/// A file, and what does not stand in it.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The desired state, as YAML.
    pub(crate) desired: String,
    /// How many users it declares.
    pub(crate) users: usize,
    /// The endpoints that they are now, in a phone system that has them, with their numbers.
    pub(crate) endpoints: BTreeMap<String, Extension>,
    /// The secrets that the phones have now, by e-mail address.
    pub(crate) secrets: Vec<(Identity, Secret)>,
    /// What is not carried over.
    pub(crate) left_out: Vec<LeftOut>,
    /// The addresses that were made up.
    pub(crate) made_up: Vec<Email>,
    /// What is to be done about a range without room for new users.
    pub(crate) narrow: Option<String>,
}

/// Makes a desired state of what was found.
///
/// # Errors
/// If no phone is left.
pub(crate) fn judge(found: Found, options: &Options) -> Result<Imported, Refused> {
    let Found { source, candidates, mut elsewhere, with_prefix, realm, contexts, left_out } = found;
    let is_asked_for = |left_out: &LeftOut| match (&options.only, &left_out.phone) {
        (Some((first, last)), Some(phone)) => phone.parse().is_ok_and(|number| (*first..=*last).contains(&number)),
        _ => true,
    };
    let left_out = left_out.into_iter().filter(is_asked_for).collect();
    let mut judge = Judge { options, left_out, emails: BTreeSet::new(), made_up: Vec::new() };
    let mut others: BTreeSet<Extension> =
        candidates.iter().filter_map(|candidate| candidate.number.parse().ok()).collect();
    let mut candidates = judge.choose(candidates);
    judge.note_weak_secrets(&candidates);
    let (mut users, mut secrets, mut endpoints) = (Vec::new(), Vec::new(), BTreeMap::new());
    for candidate in &mut candidates {
        let Some(user) = judge.user(candidate) else { continue };
        if let Some(secret) = judge.secret(candidate) {
            secrets.push((user.email.clone(), secret));
        }
        if let Some(number) = user.extension.filter(|_| !candidate.endpoint.is_empty()) {
            endpoints.insert(std::mem::take(&mut candidate.endpoint), number);
        }
        if let Some(number) = user.extension {
            others.remove(&number);
        }
        users.push(user);
    }
    elsewhere.in_use.extend(others);
    let (mut left_out, made_up) = (judge.left_out, judge.made_up);
    if users.is_empty() {
        let why = super::listed(&left_out);
        let why = if why.is_empty() { "nothing that is a phone was found\n".to_owned() } else { why };
        return Err(Refused::new(
            format!("there is no phone to import from {source}:\n{}", why.trim_end()),
            "name the source, and how addresses are made up (`--email-domain`), as `reconcile import --help` shows",
        ));
    }
    let count = users.len();
    let realm = realm.and_then(|realm| kept_name(&realm, "realm", &source, &mut left_out));
    let include = contexts.iter().filter_map(|name| kept_name(name, "context", &source, &mut left_out)).collect();
    let file = File { source, tenant: options.tenant.clone(), elsewhere, with_prefix, realm, include, users };
    let (desired, narrow) = write::file(file);
    Ok(Imported { desired, users: count, endpoints, secrets, left_out, made_up, narrow })
}

/// Takes a name of the operator's, or lists it.
fn kept_name(name: &str, what: &str, place: &str, left_out: &mut Vec<LeftOut>) -> Option<ObjectName> {
    let kept = name.parse();
    if let Err(invalid) = &kept {
        left_out.push(LeftOut::new(Rank::Dialling, place, format!("the {what} is not usable here: {invalid}")));
    }
    kept.ok()
}

struct Judge<'a> {
    options: &'a Options,
    left_out: Vec<LeftOut>,
    emails: BTreeSet<UserKey>,
    made_up: Vec<Email>,
}

impl Judge<'_> {
    fn leave_out(&mut self, rank: Rank, candidate: &Candidate, what: impl Into<String>) {
        self.left_out.push(LeftOut::new(rank, &candidate.place, what).of(&candidate.number));
    }

    /// Leaves out what has a number that is none, that two have, or that is not asked for.
    fn choose(&mut self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let mut holders: BTreeMap<Extension, Vec<String>> = BTreeMap::new();
        for candidate in &candidates {
            if let Ok(number) = candidate.number.parse() {
                holders.entry(number).or_default().push(candidate.place.clone());
            }
        }
        let mut chosen = Vec::new();
        for candidate in candidates {
            if candidate.number.is_empty() {
                // Without a number nobody asked for it by its number.
                if self.options.only.is_none() {
                    chosen.push(candidate);
                }
                continue;
            }
            let Ok(number) = candidate.number.parse::<Extension>() else {
                // A shifted row may have its secret here: no value is quoted.
                let zero = candidate.number.starts_with('0') && candidate.number.bytes().all(|b| b.is_ascii_digit());
                let why = if zero { "its number begins with 0" } else { "its number is not one of 1 to 8 digits" };
                self.leave_out(Rank::Phone, &candidate, format!("not imported: {why}"));
                continue;
            };
            if self.options.only.is_some_and(|(first, last)| !(first..=last).contains(&number)) {
                continue;
            }
            if holders[&number].len() > 1 {
                let all = holders[&number].join(" and ");
                let what = format!("not imported: {all} have the number {number}; decide whose it is");
                self.left_out.push(LeftOut::new(Rank::Phone, &candidate.place, what));
                continue;
            }
            chosen.push(candidate);
        }
        chosen
    }

    fn note_weak_secrets(&mut self, candidates: &[Candidate]) {
        let known: Vec<&Candidate> = candidates.iter().filter(|candidate| !candidate.secret.is_empty()).collect();
        let guessable = known.iter().map(|candidate| Guessable {
            secret: &candidate.secret,
            names: vec![&candidate.number, &candidate.login, &candidate.auth_user],
        });
        let found = weaknesses(&guessable.collect::<Vec<_>>());
        for (candidate, why) in known.into_iter().zip(found) {
            if let Some(why) = why {
                self.leave_out(Rank::Open, candidate, why);
            }
        }
    }

    fn user(&mut self, candidate: &Candidate) -> Option<User> {
        let extension: Option<Extension> = candidate.number.parse().ok();
        let email = self.identity(candidate, extension)?;
        let name = self.name(candidate, extension, &email)?;
        if let Some(number) = extension
            && !candidate.login.is_empty()
            && candidate.login != candidate.number
        {
            let what =
                format!("logs in as `{}`; set it up anew, with the user name {number}", printable(&candidate.login));
            self.leave_out(Rank::Phone, candidate, what);
        }
        let context = self.kept(candidate, &candidate.context, "context");
        if context.is_none() && !candidate.context.is_empty() {
            let what = "not imported: in the context of most phones it could dial what it may not";
            self.leave_out(Rank::Dialling, candidate, what);
            return None;
        }
        Some(User {
            email,
            name,
            extension,
            codecs: self.codecs(candidate),
            devices: self.devices(candidate),
            transport: self.kept(candidate, &candidate.transport, "transport"),
            context,
            login: self.kept(candidate, &candidate.auth_user, "auth user name"),
            mailbox: candidate.mailbox.parse().ok(),
        })
    }

    fn identity(&mut self, candidate: &Candidate, extension: Option<Extension>) -> Option<Identity> {
        match candidate.identity.parse::<Identity>() {
            Ok(identity) => Some(identity),
            Err(_) => self.email(candidate, extension).map(Identity::Email),
        }
    }

    fn email(&mut self, candidate: &Candidate, extension: Option<Extension>) -> Option<Email> {
        let made_up = || -> Option<Email> {
            let domain = self.options.email_domain.as_ref()?;
            format!("{}@{domain}", extension?).parse().ok()
        };
        let (email, why) = match candidate.email.parse::<Email>() {
            Ok(email) if !self.emails.contains(&email.key()) => (Some(email), None),
            Ok(email) => (made_up(), Some(format!("the address {email} is somebody else's, too"))),
            Err(_) if candidate.email.is_empty() => (made_up(), None),
            Err(_) => (made_up(), Some("its e-mail address is not usable here".to_owned())),
        };
        let email = email.filter(|email| !self.emails.contains(&email.key()));
        match (&email, why) {
            (Some(email), Some(why)) => self.leave_out(Rank::Small, candidate, format!("{why}; it gets {email}")),
            (None, why) => {
                let why = why.unwrap_or_else(|| "there is no e-mail address".to_owned());
                let way_out = if extension.is_some() {
                    "give `--email-domain` to make one up"
                } else {
                    "none can be made up without a number"
                };
                self.leave_out(Rank::Phone, candidate, format!("not imported: {why}; {way_out}"));
            }
            (Some(_), None) => {}
        }
        if let Some(email) = &email {
            self.emails.insert(email.key());
            if candidate.email.parse::<Email>().as_ref() != Ok(email) {
                self.made_up.push(email.clone());
            }
        }
        email
    }

    fn name(&mut self, candidate: &Candidate, extension: Option<Extension>, email: &Identity) -> Option<DisplayName> {
        let instead = || extension.map_or_else(|| email.to_string(), |number| number.to_string()).parse().ok();
        if candidate.name.is_empty() {
            return instead();
        }
        candidate.name.parse().ok().or_else(|| {
            self.leave_out(Rank::Small, candidate, "its name cannot be shown on a phone");
            instead()
        })
    }

    fn codecs(&mut self, candidate: &Candidate) -> Vec<Codec> {
        let mut codecs: Vec<Codec> = Vec::new();
        for name in &candidate.codecs {
            match name.parse::<Codec>() {
                Ok(codec) if !codecs.contains(&codec) => codecs.push(codec),
                Ok(_) => {}
                Err(_) => self.leave_out(Rank::Small, candidate, "one of its codecs is not usable here"),
            }
        }
        codecs
    }

    fn devices(&mut self, candidate: &Candidate) -> Option<u8> {
        let devices = candidate.devices?.max(1);
        if devices > MOST_DEVICES {
            let what = format!("{devices} devices may register; here at most {MOST_DEVICES}");
            self.leave_out(Rank::Phone, candidate, what);
        }
        u8::try_from(devices.min(MOST_DEVICES)).ok()
    }

    /// Takes a name of the operator's, if the source has one.
    fn kept(&mut self, candidate: &Candidate, name: &str, what: &str) -> Option<ObjectName> {
        if name.is_empty() {
            return None;
        }
        kept_name(name, what, &candidate.place, &mut self.left_out)
    }

    fn secret(&mut self, candidate: &Candidate) -> Option<Secret> {
        let secret = match (candidate.secret.as_str(), candidate.digest.as_str()) {
            ("", "") => return None,
            ("", digest) => Secret::of_digest(digest),
            (text, _) => Secret::new(text),
        };
        if let Err(invalid) = &secret {
            self.leave_out(Rank::Phone, candidate, format!("it gets a new secret, because {invalid}"));
        }
        secret.ok()
    }
}
