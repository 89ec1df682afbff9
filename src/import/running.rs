//! What a running Asterisk answers about its phones.
//!
//! Asterisk has resolved templates, wizards, includes and what a database holds: no file is read. Its answers hold
//! passwords in plain, and are neither shown nor kept.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::{
    BROWSER_PHONE, Candidate, Found, LeftOut, Rank,
    answers::{Answers, Context, Listed, Options, first, value},
    range::Elsewhere,
    settings::is_endpoint_option,
};
use crate::{
    asterisk::parameters,
    model::{Extension, printable},
};

/// Reads the list of endpoints.
pub(crate) fn endpoints(answer: &str) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    for line in answer.lines() {
        let Some((label, rest)) = line.trim_start().split_once(": ") else { continue };
        let Some(word) = rest.split_whitespace().next().filter(|word| !word.starts_with('<')) else { continue };
        match label {
            "Endpoint" => {
                let name = word.split('/').next().unwrap_or(word).to_owned();
                listed.push(Listed { name, is_identified: false });
            }
            "Identify" => listed.iter_mut().last().into_iter().for_each(|endpoint| endpoint.is_identified = true),
            _ => {}
        }
    }
    listed
}

/// Reads the answer of `pjsip show endpoint NAME`, in which a variable of `set_var` looks like an option of its name.
pub(crate) fn endpoint_options(answer: &str) -> Options {
    let mut options = parameters(answer);
    if !options.is_empty() && !options.contains_key("set_var") {
        options.retain(|name, _| is_endpoint_option(name));
        options.insert("set_var".to_owned(), "set".to_owned());
    }
    options
}

/// Counts the registered contacts of each AOR in the answer of `database show registrar/contact`.
pub(crate) fn registered(answer: &str) -> BTreeMap<String, usize> {
    let mut registered = BTreeMap::new();
    for line in answer.lines() {
        let key = line.trim_start().strip_prefix("/registrar/contact/");
        if let Some((aor, _)) = key.and_then(|key| key.split_once(";@")) {
            *registered.entry(aor.to_owned()).or_default() += 1;
        }
    }
    registered
}

/// Reads the answer of `dialplan show CONTEXT`.
pub(crate) fn context(answer: &str) -> Context {
    let mut context = Context::default();
    for line in answer.lines() {
        let trimmed = line.trim_start();
        if line.starts_with("  Include =>") {
            context.includes.extend(quoted(trimmed).map(str::to_owned));
        } else if line.starts_with("  Alt. Switch =>") {
            context.has_switch = true;
        } else if line.starts_with("  '") {
            let Some(name) = quoted(trimmed) else { continue };
            context.extensions.push((name.to_owned(), Vec::new()));
        }
        let step = trimmed.split_once("=>").map_or(trimmed, |(_, step)| step.trim_start());
        let application = step.split_once(". ").filter(|(priority, _)| priority.bytes().all(|b| b.is_ascii_digit()));
        if let (Some((_, application)), Some((_, steps))) = (application, context.extensions.last_mut()) {
            let place = application.rfind('[').unwrap_or(application.len());
            steps.push(application[..place].trim_end().to_owned());
        }
    }
    context
}

fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('\'')?;
    // A name may hold quotes; what stands behind it does not.
    Some(&rest[..rest.rfind('\'')?])
}

/// Names the context that a phone dials in: Asterisk's own, if it has none.
fn context_of(options: &Options) -> &str {
    match value(options, "context") {
        "" => "default",
        context => context,
    }
}

impl Answers {
    /// Names the auths and AORs of all endpoints, the first of each.
    pub(crate) fn first_of(&self, option: &str) -> BTreeSet<String> {
        self.options.values().filter_map(|options| first(options, option)).collect()
    }

    /// Names the contexts that phones dial in.
    pub(crate) fn dialled(&self) -> BTreeSet<String> {
        self.phones().map(|(_, options)| context_of(options).to_owned()).collect()
    }

    /// Lists endpoints that log in and register.
    fn phones(&self) -> impl Iterator<Item = (&Listed, &Options)> {
        self.endpoints.iter().filter_map(|listed| {
            let options = self.options.get(&listed.name)?;
            let is_phone = first(options, "auth").is_some() && self.registers(options);
            (is_phone && !self.is_ours(listed) && !self.rejected.contains_key(&listed.name))
                .then_some((listed, options))
        })
    }

    fn is_ours(&self, listed: &Listed) -> bool {
        let is_mark = |mark: &str| mark.len() == 32 && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.ours.contains(&listed.name) || listed.name.rsplit_once("-gen-").is_some_and(|(_, mark)| is_mark(mark))
    }

    /// Writes where an endpoint stands.
    pub(super) fn place(&self, name: &str) -> String {
        let name_shown = printable(name);
        self.places.get(name).map_or_else(|| format!("endpoint {name_shown}"), |place| format!("{place} {name_shown}"))
    }

    fn registers(&self, options: &Options) -> bool {
        let aor = first(options, "aors").and_then(|name| Some((self.aors.get(&name)?, self.registered.get(&name))));
        aor.is_some_and(|(aor, registered)| {
            let contacts = value(aor, "contact").split(',').filter(|contact| !contact.trim().is_empty()).count();
            contacts <= registered.copied().unwrap_or_default() && value(aor, "max_contacts") != "0"
        })
    }

    /// Lists what can be imported, and what cannot.
    pub(crate) fn found(&self, source: &str) -> Found {
        let left_out = self.left_out.clone();
        let mut found = Found { source: source.to_owned(), left_out, ..Found::default() };
        self.list_others(&mut found.left_out);
        let (context, dialling) = (self.common_context(), self.dialling());
        for (listed, options) in self.phones() {
            let (place, from) = (self.place(&listed.name), found.left_out.len());
            let own = context_of(options);
            let is_common = Some(own) == context.as_deref();
            if !is_common {
                let common = printable(context.as_deref().unwrap_or_default());
                let what = format!("it stays in the context `{}`; most phones dial in `{common}`", printable(own));
                found.left_out.push(LeftOut::new(Rank::Dialling, &place, what));
            }
            let mut candidate = self.candidate(listed, options, place, &dialling, &mut found.left_out);
            for left_out in &mut found.left_out[from..] {
                left_out.phone = Some(candidate.number.clone());
            }
            if !is_common {
                own.clone_into(&mut candidate.context);
            }
            found.candidates.push(candidate);
        }
        let realm = value(&self.settings, "default_realm");
        found.realm = Some(realm).filter(|realm| !["", "asterisk"].contains(realm)).map(str::to_owned);
        let phones: BTreeSet<&str> = found.candidates.iter().map(|candidate| candidate.number.as_str()).collect();
        let reached = self.reached(context.as_deref());
        for (name, _) in reached.iter().filter(|(_, context)| context.has_switch) {
            let place = format!("context {}", printable(name));
            let what = "a `switch` answers numbers that no import can list: add them to `extensions.reserved`";
            found.left_out.push(LeftOut::new(Rank::Dialling, place, what));
        }
        found.elsewhere = self.elsewhere(&phones);
        found.elsewhere.answered = reached
            .values()
            .flat_map(|context| &context.extensions)
            .filter(|(name, steps)| !steps.is_empty() && !phones.contains(name.as_str()))
            .filter_map(|(name, _)| name.parse().ok())
            .collect();
        found.contexts = context.into_iter().collect();
        found
    }

    /// Lists the numbers that no phone has, and the patterns that are no phones'.
    fn elsewhere(&self, phones: &BTreeSet<&str>) -> Elsewhere {
        let dialplan = self.contexts.values().flat_map(|context| &context.extensions).map(|(name, _)| name.as_str());
        let endpoints = self.endpoints.iter().map(|listed| &listed.name).chain(&self.ours).map(String::as_str);
        let numbers = dialplan.clone().chain(endpoints).filter(|name| !phones.contains(name));
        let is_of_one_length = |name: &&str| name.starts_with('_') && !name.contains(['.', '!']);
        Elsewhere {
            in_use: numbers.filter_map(|name| name.parse().ok()).collect(),
            patterns: dialplan.filter(is_of_one_length).map(str::to_owned).collect(),
            ..Elsewhere::default()
        }
    }

    /// Lists the endpoints that are no phones.
    fn list_others(&self, left_out: &mut Vec<LeftOut>) {
        for listed in self.endpoints.iter().filter(|listed| !self.is_ours(listed)) {
            let mut leave_out = |rank, what: &str| {
                left_out.push(LeftOut::new(rank, self.place(&listed.name), what).of(&listed.name));
            };
            if let Some(why) = self.rejected.get(&listed.name) {
                leave_out(Rank::Phone, why);
                continue;
            }
            let options = self.options.get(&listed.name).filter(|options| !options.is_empty());
            let Some(options) = options else {
                leave_out(Rank::Phone, "not imported: its name is too long for Asterisk's lists");
                continue;
            };
            let is_identified = listed.is_identified || self.identified.contains(&listed.name);
            match (listed.name.as_str(), first(options, "auth"), self.registers(options)) {
                ("anonymous", ..) => leave_out(Rank::Open, "calls from anybody are let in by it"),
                (_, Some(_), true) => {}
                (_, None, true) if !is_identified => {
                    leave_out(Rank::Open, "not imported: it has no auth, so that whoever registers as it is let in");
                }
                (_, _, false) => leave_out(
                    Rank::Phone,
                    "not imported: a trunk or a gateway, which does not register here; declare carriers under `trunks`",
                ),
                (_, None, true) => {
                    leave_out(Rank::Phone, "not imported: it is known by its address, not by a password");
                }
            }
        }
    }

    /// Finds the context that most phones dial in.
    fn common_context(&self) -> Option<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, options) in self.phones() {
            *counts.entry(context_of(options)).or_default() += 1;
        }
        counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(context, _)| context.to_owned())
    }

    /// Lists a context and all that it includes.
    fn reached(&self, from: Option<&str>) -> BTreeMap<&str, &Context> {
        let mut reached = BTreeMap::new();
        let mut next: Vec<&str> = from.into_iter().collect();
        while let Some(name) = next.pop() {
            if let Some((name, context)) = self.contexts.get_key_value(name)
                && reached.insert(name.as_str(), context).is_none()
            {
                next.extend(context.includes.iter().map(String::as_str));
            }
        }
        reached
    }

    fn candidate(
        &self,
        listed: &Listed,
        options: &Options,
        place: String,
        dialling: &BTreeMap<&str, BTreeSet<&str>>,
        left_out: &mut Vec<LeftOut>,
    ) -> Candidate {
        let mut leave_out = |rank, what: String| left_out.push(LeftOut::new(rank, &place, what));
        let empty = Options::new();
        let of = |all: &'_ BTreeMap<String, Options>, option: &str| {
            first(options, option).and_then(|name| all.get(&name).cloned()).unwrap_or_else(|| empty.clone())
        };
        let (auth, aor) = (of(&self.auths, "auth"), of(&self.aors, "aors"));
        let (name, caller_number) = caller_id(value(options, "callerid"));
        let caller_number = caller_number.as_str();
        let is_number = |text: &str| text.parse::<Extension>().is_ok();
        let number = if is_number(&listed.name) {
            listed.name.clone()
        } else if is_number(caller_number) {
            caller_number.to_owned()
        } else {
            // Of several numbers none is it.
            let numbers = dialling.get(listed.name.as_str()).filter(|numbers| numbers.len() == 1);
            numbers.and_then(BTreeSet::first).map_or_else(|| listed.name.clone(), |number| (*number).to_owned())
        };
        if number == listed.name && is_number(caller_number) && caller_number != number {
            leave_out(Rank::Small, format!("its caller ID is {caller_number}: it becomes {number}"));
        }
        let user = value(&auth, "username");
        let auth_user = if user != listed.name && is_number(&listed.name) { user } else { "" };
        // Asterisk knows the digest then, and a password beside it is a former one.
        let has_digest = value(&auth, "auth_type") == "md5"
            || ["md5_cred", "password_digest"].iter().any(|digest| !value(&auth, digest).is_empty());
        let secret = Zeroizing::new(if has_digest { String::new() } else { value(&auth, "password").to_owned() });
        if value(options, "auth").contains(',') {
            leave_out(Rank::Phone, "its further auths are not carried over, only the first".to_owned());
        }
        if auth.is_empty() {
            leave_out(Rank::Phone, "its auth is defined nowhere: it gets a new secret".to_owned());
        } else if secret.is_empty() {
            leave_out(Rank::Phone, "only a digest of its secret is known: it gets a new one".to_owned());
        }
        if value(options, "aors").contains(',') {
            leave_out(Rank::Phone, "its further AORs are not carried over, only the first".to_owned());
        }
        if value(options, "webrtc") == "yes" {
            leave_out(Rank::Phone, BROWSER_PHONE.to_owned());
        }
        let mailboxes = [value(options, "mailboxes"), value(&aor, "mailboxes")];
        let mailboxes = mailboxes.into_iter().find(|mailboxes| !mailboxes.is_empty()).unwrap_or_default();
        if !mailboxes.is_empty() {
            let what = "voicemail: its lamp stays, but calls that it does not answer no longer reach the box";
            leave_out(Rank::Feature, what.to_owned());
        }
        let owner = self.boxes.owner(mailboxes, &number);
        let codecs = value(options, "allow").trim_matches(['(', ')']).split('|');
        Candidate {
            place,
            endpoint: listed.name.clone(),
            name: if name.is_empty() { owner.map(|(name, _)| name.clone()).unwrap_or_default() } else { name },
            // Several are separated by bars.
            email: owner.and_then(|(_, email)| email.split('|').next()).unwrap_or_default().to_owned(),
            number,
            secret,
            auth_user: auth_user.to_owned(),
            mailbox: mailboxes.split(',').next().unwrap_or_default().trim().to_owned(),
            login: if is_number(&listed.name) { String::new() } else { listed.name.clone() },
            codecs: codecs.filter(|codec| !["", "nothing"].contains(codec)).map(str::to_owned).collect(),
            devices: value(&aor, "max_contacts").parse().ok(),
            transport: value(options, "transport").to_owned(),
            ..Candidate::default()
        }
    }

    /// Lists the numbers that dial an endpoint and nothing else, by endpoint.
    fn dialling(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut numbers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, steps) in self.contexts.values().flat_map(|context| &context.extensions) {
            if name.parse::<Extension>().is_ok() {
                for endpoint in steps.iter().filter_map(|step| dialled(step)) {
                    numbers.entry(endpoint).or_default().insert(name);
                }
            }
        }
        numbers
    }
}

/// Returns the endpoint that a step dials, if it is one alone.
fn dialled(step: &str) -> Option<&str> {
    let target = step.strip_prefix("Dial(PJSIP/")?.strip_suffix(')')?.split(',').next()?;
    (!target.contains('&')).then_some(target)
}

/// Reads the name and the number of a caller ID, as Asterisk does.
pub(super) fn caller_id(text: &str) -> (String, String) {
    match text.rsplit_once('<') {
        Some((name, number)) => (unquoted(name), number.trim_end_matches('>').trim().to_owned()),
        None if text.bytes().all(|b| b.is_ascii_digit()) => (String::new(), text.to_owned()),
        None => (unquoted(text), String::new()),
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let Some(inside) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return if text == "<unknown>" { String::new() } else { text.to_owned() };
    };
    let (mut name, mut escaped) = (String::new(), false);
    for c in inside.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            name.push(c);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_ids_are_read_as_asterisk_reads_them() {
        for (text, name, number) in [
            ("Ira Quill <1101>", "Ira Quill", "1101"),
            ("Berg<302>", "Berg", "302"),
            (r#""N\"x \\ y" <7>"#, r#"N"x \ y"#, "7"),
            ("<1101>", "", "1101"),
            ("1101", "", "1101"),
            ("Back Office", "Back Office", ""),
            ("", "", ""),
        ] {
            assert_eq!(caller_id(text), (name.to_owned(), number.to_owned()), "{text}");
        }
    }
}
