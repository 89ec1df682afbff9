//! Who is declared: each user has an e-mail or an id, and routes may name either.

use std::collections::{BTreeMap, BTreeSet};

use super::super::file;
use crate::{
    model::{At, Code, Diagnostic, MeantKeys, Place, UserKey},
    objects,
};

/// Rejects a user with neither an address nor an id, or with both.
pub(super) fn not_one(user: &file::User, place: Place, meant: &MeantKeys) -> Option<Diagnostic> {
    match (&user.email, &user.id) {
        (None, None) if meant.has("email") || meant.has("id") => None,
        (None, None) => Some(
            Diagnostic::error(Code::MissingKey, "the key `email` is missing", place)
                .hint("add `email:`; a phone that belongs to nobody has `id:` instead, such as `id: lobby`"),
        ),
        (Some(email), Some(id)) => Some(
            Diagnostic::error(Code::TwoIdentities, "a user has either `email` or `id`", id.place)
                .also(email.place, "the e-mail")
                .hint("keep `email:` for a person, and `id:` for a phone that belongs to nobody"),
        ),
        _ => None,
    }
}

/// Lists the users that may be referred to, those with an address or an id that could be read, and where the ids are.
pub(super) fn known(list: &At<Vec<At<file::User>>>) -> (objects::KnownNames<UserKey>, BTreeMap<UserKey, Place>) {
    let items = list.value.as_deref().unwrap_or_default();
    let (mut names, mut phones) = (BTreeSet::new(), BTreeMap::new());
    let mut all = list.value.is_some();
    for item in items {
        let Some((identity, place)) = item.value.as_ref().and_then(file::User::identity) else {
            all = false;
            continue;
        };
        let key = identity.key();
        if identity.phone_id().is_some() {
            phones.entry(key.clone()).or_insert(place);
        }
        names.insert(key);
    }
    (objects::KnownNames::new(names, all), phones)
}

#[cfg(test)]
mod tests {
    use crate::desired::load_text;

    /// Lists the problems of a file, each as `line:column code: message`, then the other place and the hint.
    fn problems(text: &str) -> String {
        let loaded = load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{text}"));
        let lines = loaded.problems.into_iter().flat_map(|problem| {
            let place = problem.place.unwrap();
            let first = format!("{}:{} {}: {}", place.line, place.column, problem.code, problem.message);
            let also = problem.also.iter().map(|(place, what)| format!("  {}:{} {what}", place.line, place.column));
            let hint = problem.hint.map(|hint| format!("  {hint}"));
            [first].into_iter().chain(also).chain(hint).collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_phone_without_a_person_has_an_id() {
        let text = "version: 1\ntenant: acme\nusers:\n  - { id: Lobby, name: Lobby, extension: 1099 }\n";
        let declared = load_text("pbx.yaml", text).declared.unwrap();
        let (key, user) = declared.users.first_key_value().unwrap();
        assert_eq!((key.as_str(), user.email.as_str(), user.email.field()), ("lobby", "Lobby", "id"));
        assert_eq!(user.extension.unwrap().number(), 1099);
    }

    #[test]
    fn a_user_has_exactly_one_of_email_and_id() {
        insta::assert_snapshot!(problems(
            "users:\n  - { name: Nobody }\n  - { id: lobby, email: lobby@example.com, name: Lobby }\n"
        ), @r"
        4:5 missing-key: the key `email` is missing
          add `email:`; a phone that belongs to nobody has `id:` instead, such as `id: lobby`
        5:11 two-identities: a user has either `email` or `id`
          5:25 the e-mail
          keep `email:` for a person, and `id:` for a phone that belongs to nobody
        ");
    }

    #[test]
    fn an_id_is_never_an_address_or_a_number() {
        insta::assert_snapshot!(problems(
            "users:\n  - { id: lobby@example.com, name: A }\n  - { id: 1911, name: B }\n  \
             - { id: \"+4930123456\", name: C }\n  - { id: front door, name: D }\n"
        ), @r"
        4:11 invalid-id: `lobby@example.com` is not the id of a phone
          a person has `email:` instead of `id:`
        5:11 invalid-id: `1911` is not the id of a phone
          begin with a letter, and use letters, digits and `_ . -`, at most 70 characters, such as `lobby`
        6:11 invalid-id: `+4930123456` is not the id of a phone
          begin with a letter, and use letters, digits and `_ . -`, at most 70 characters, such as `lobby`
        7:11 invalid-id: `front door` is not the id of a phone
          begin with a letter, and use letters, digits and `_ . -`, at most 70 characters, such as `lobby`
        ");
    }

    #[test]
    fn an_id_is_declared_once_and_belongs_to_no_dialer() {
        insta::assert_snapshot!(problems(
            "users:\n  - { id: lobby, name: A }\n  - { id: LOBBY, name: B }\n  - { id: Night, name: C }\n  \
             - { id: Hangup, name: D }\ndialers:\n  night: { number: \"+4930123456\" }\n"
        ), @r"
        5:11 duplicate-name: `LOBBY` is declared twice
          4:11 first declared here
          one phone is one entry; upper and lower case do not matter
        6:11 duplicate-name: `night` is a phone and a dialer
          9:3 the dialer
          rename one of them: a route that names it could mean either; upper and lower case do not matter
        7:11 reserved-name: a phone cannot be called `hangup`
          choose another name
        ");
    }

    /// Ten mistakes of any kind ended the search for what a name was meant to be.
    #[test]
    fn other_mistakes_do_not_end_the_search_for_names() {
        let dialers: Vec<String> = (0..20_000).map(|n| format!("  d{n:05}: {{ number: \"+4930{n:06}\" }}\n")).collect();
        let dialers = dialers.concat();
        let user = |n| format!("  - {{ email: u{n}@example.com, name: A, extension: {} }}\n", 2000 + n);
        let users: String = (0..10).map(user).collect();
        let found = problems(&format!("users:\n{users}dialers:\n{dialers}default_route: [d0012x]\n"));
        assert_eq!(found.matches("pin-outside-range").count(), 10, "{found}");
        assert!(found.contains("no such dialer: `d0012x`\n  did you mean `d00120`?"), "{found}");
    }

    #[test]
    fn a_route_names_a_phone_by_its_id() {
        let head = "public_sip_host: pbx.example.com\nusers:\n  - { id: Lobby, name: A, previously: foyer }\n";
        assert_eq!(problems(&format!("{head}default_route: [lobby, busy]\n")), "");
        insta::assert_snapshot!(problems(&format!("{head}default_route: [loby]\n")), @r"
        6:17 unknown-reference: no such dialer or phone: `loby`
          did you mean `lobby`?
        ");
        insta::assert_snapshot!(problems(&format!("{head}default_route: [foyer]\n")), @r"
        6:17 unknown-reference: no such dialer or phone: `foyer`
          did you mean `lobby`?
        ");
        insta::assert_snapshot!(problems(&format!("{head}default_route: [lobby, Lobby]\n")), @r"
        6:24 duplicate-target: `lobby` is tried twice
          keep one of them
        ");
        // What could not be read is not held against the route.
        let broken = head.replace("id: Lobby", "id: 1Lobby");
        assert_eq!(problems(&format!("{broken}default_route: [lobby]\n")).lines().count(), 2);
    }

    #[test]
    fn a_phone_is_renamed_like_a_person_and_into_one() {
        let renamed = "users:\n  - { id: lobby, name: A, previously: foyer@example.com }\n  \
                       - { email: bo@example.com, name: B, previously: desk }\n";
        assert_eq!(problems(renamed), "");
        insta::assert_snapshot!(problems(
            "users:\n  - { id: lobby, name: A, previously: Lobby }\n  - { id: a, name: A, previously: fax }\n  \
             - { id: b, name: A, previously: fax }\n  - { id: c, name: A, previously: front door }\n"
        ), @r"
        4:39 invalid-rename: a user cannot be renamed to the same address or id
          remove the `previously` line
        6:35 invalid-rename: two users were previously `fax`
          keep `previously` on the one who keeps the number
        7:35 invalid-id: `front door` is neither an e-mail address nor the id of a phone
          write an address such as `name@example.com`, or an id such as `lobby`
        ");
    }
}
