//! Our own endpoint file, read back: the phones, their numbers and their digests.
//!
//! It is for the day on which the database is lost. Objects, contexts and boxes stand in the desired-state file.

use super::{
    Candidate, Found, LeftOut, Rank, Refused,
    answers::{Answers, Options},
    conf::{self, Config, Files, Keep, read},
};
use crate::model::{Extension, Tenant};

/// One file alone, which includes no other.
struct Alone<'a>(&'a str, &'a str);

impl Files for Alone<'_> {
    fn find(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        Ok((name == self.0).then(|| self.1.as_bytes().to_vec()))
    }
}

/// Reads the phones of a file that was only rendered.
///
/// # Errors
/// If Asterisk would reject any of it.
pub(crate) fn read_rendered(text: &str) -> Result<Answers, Refused> {
    let name = "the rendered file";
    let mut config = read(&Alone(name, text), name, &Keep::Options)?;
    let answers = conf::phones(&mut config, &mut Config::default());
    config.require_whole().map(|()| answers)
}

/// Reads a file; `phones` names its endpoints, each with the address or id in the comment before it.
///
/// # Errors
/// If Asterisk would reject any of it.
pub(crate) fn read_generated<'a>(
    name: &str,
    text: &str,
    tenant: &Tenant,
    phones: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Found, Refused> {
    let mut config = read(&Alone(name, text), name, &Keep::Options)?;
    let answers = conf::phones(&mut config, &mut Config::default());
    config.require_whole()?;
    let prefix = format!("{tenant}-");
    let generated = format!("{tenant}-internal");
    let mut found = Found { source: name.to_owned(), ..Found::default() };
    for (endpoint, identity) in phones {
        let option = |of: &std::collections::BTreeMap<String, Options>, key: &str| {
            of.get(endpoint).and_then(|options| options.get(key)).cloned().unwrap_or_default()
        };
        let place = answers.places.get(endpoint).cloned().unwrap_or_default();
        let number = endpoint.strip_prefix(&prefix).unwrap_or(endpoint);
        if number.parse::<Extension>().is_err() {
            let what = format!("not imported: `{endpoint}` is no phone of this file's making");
            found.left_out.push(LeftOut::new(Rank::Phone, place, what));
            continue;
        }
        found.with_prefix |= number != endpoint;
        let (user, realm) = (option(&answers.auths, "username"), option(&answers.auths, "realm"));
        let digest = option(&answers.auths, "password_digest");
        let (context, mailbox) = (option(&answers.options, "context"), option(&answers.options, "mailboxes"));
        let (shown, _) = super::running::caller_id(&option(&answers.options, "callerid"));
        if !["", "asterisk"].contains(&realm.as_str()) {
            found.realm = Some(realm);
        }
        found.candidates.push(Candidate {
            place,
            identity: identity.to_owned(),
            number: number.to_owned(),
            name: shown,
            digest: digest.strip_prefix("MD5:").unwrap_or(&digest).to_owned().into(),
            auth_user: if user == endpoint { String::new() } else { user },
            context: if context == generated { String::new() } else { context },
            mailbox: mailbox
                .split(',')
                .find(|mailbox| !mailbox.contains(&format!("@{tenant}-")))
                .unwrap_or_default()
                .to_owned(),
            codecs: option(&answers.options, "allow")
                .trim_matches(['(', ')'])
                .split('|')
                .filter(|codec| !codec.is_empty())
                .map(str::to_owned)
                .collect(),
            devices: option(&answers.aors, "max_contacts").parse().ok(),
            transport: option(&answers.options, "transport"),
            ..Candidate::default()
        });
    }
    Ok(found)
}
