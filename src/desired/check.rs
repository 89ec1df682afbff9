//! The rules that values keep together: unique identities and numbers, pins inside the range,
//! sensible limits. Adds every breach to the problems and builds the [`Declared`] state.

mod expect;
mod identity;
mod numbers;

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use super::{
    Declared, DeclaredUser, Rails,
    file::{self, DesiredState},
};
use crate::{
    model::{
        At, BoxNumber, Code, Codec, Country, Diagnostic, DisplayName, EndpointNames, HostName, Identity, Mode,
        NAME_BYTES, PhoneOverride, PhoneProfile, Place, RailLimit, Settings, Tenant, UserKey, is_generated, packed,
        values,
    },
    objects::{self, NumberOwner, OfUsers, TargetList},
};

/// Checks the file as a whole. The result is only meaningful where no error was added.
pub(super) fn check(file: DesiredState, keys: objects::Keys, problems: &mut Vec<Diagnostic>) -> Declared {
    if let At { place, value: Some(version), .. } = file.version
        && version != 1
    {
        problems.push(
            Diagnostic::error(Code::UnknownVersion, format!("version {version} of the format is not supported"), place)
                .hint("this program reads `version: 1`"),
        );
    }
    let mut host_names = host_names(&file);
    let include = file.dialplan.as_ref().and_then(|at| at.value.as_ref()?.include.as_ref());
    let include = include.filter(|at| at.value.as_ref().is_some_and(|names| !names.is_empty())).map(|at| at.place);
    let mut numbers = numbers::Pins::new(file.extensions.as_ref(), file.country.as_ref(), include, problems);
    let mode = file.mode.and_then(|at| at.value).unwrap_or_default();
    let settings = settings(
        mode,
        file.country.and_then(|at| at.value),
        file.extensions.and_then(|at| at.value).unwrap_or_default(),
        file.endpoint_names.and_then(|at| at.value).unwrap_or_default(),
        file.phones.and_then(|at| at.value).unwrap_or_default(),
        file.dialplan.and_then(|at| at.value).unwrap_or_default(),
        problems,
    );
    let rails = file.rails.and_then(|at| at.value).unwrap_or_default();
    let rails = Rails { deletes: limit(rails.deletes, problems), relogins: limit(rails.relogins, problems) };
    let (known, phones) = identity::known(&file.users);
    let mut of_users = OfUsers { boxes: own_boxes(&file.users), no_answer: Vec::new() };
    let lists = &mut of_users.no_answer;
    let mut users = users(file.users.value.unwrap_or_default(), &mut numbers, lists, problems);
    let renamed = users.values().filter_map(|user| Some((user.previously.as_ref()?.key(), user.email.key()))).collect();
    let calls = objects::check(keys, &known, &phones, &renamed, of_users, problems);
    // An unreadable slug was reported; the stand-in never leaves this module's caller.
    let tenant_place = file.tenant.place;
    let tenant = file.tenant.value.unwrap_or_else(stand_in::<Tenant>);
    if settings.endpoint_names == EndpointNames::TenantExtension && BoxNumber::is_named_like_phones_of(&tenant) {
        let message = format!("phones of the tenant `{tenant}` would have names of voicemail boxes");
        let hint = "choose another slug, or `endpoint_names: extension`; providers reach the box 12 as `voicemail-12`";
        problems.push(Diagnostic::error(Code::ReservedName, message, tenant_place).hint(hint));
    }
    let objects::Checked { routes, secrets: object_secrets, places, names, is_sound, host_names: called, no_answer } =
        calls;
    for (name, place) in called {
        host_names.entry(name).or_insert(place);
    }
    own_contexts(&tenant, &host_names, problems);
    for (user, targets) in no_answer {
        if let Some(user) = users.get_mut(&user) {
            user.no_answer = Some(targets);
        }
    }
    numbers.pin_objects(&routes, &places, problems);
    numbers.check(&settings, problems);
    let expectations = expect::check(file.expect, is_sound.then_some(&routes), &names, problems);
    Declared { tenant, settings, rails, users, routes, object_secrets, places, host_names, expectations }
}

/// Lists the users who say whether they have a voicemail box.
fn own_boxes(list: &At<Vec<At<file::User>>>) -> BTreeMap<UserKey, bool> {
    let users = list.value.iter().flatten().filter_map(|at| at.value.as_ref());
    users.filter_map(|user| Some((user.identity()?.0.key(), user.voicemail.as_ref()?.value?))).collect()
}

/// Finds where each name is first declared that must exist on the Asterisk host.
fn host_names(file: &DesiredState) -> BTreeMap<HostName, Place> {
    let includes = file.dialplan.iter().filter_map(|at| at.value.as_ref()?.include.as_ref()?.value.as_ref()).flatten();
    let contexts = includes.filter_map(|at| Some((HostName::Context(at.value.clone()?), at.place)));
    let users = file.users.value.iter().flatten().filter_map(|at| at.value.as_ref()?.phone.as_deref());
    let users = users.filter_map(|at| at.value.as_ref());
    let shared = file.phones.iter().filter_map(|at| at.value.as_ref()?.transport.as_ref());
    let transports = shared.chain(users.clone().filter_map(|phone| phone.transport.as_ref()));
    let transports = transports.filter_map(|at| Some((HostName::Transport(at.value.clone()?), at.place)));
    let own = users.filter_map(|phone| phone.context.as_ref());
    let own = own.filter_map(|at| Some((HostName::Context(at.value.clone()?), at.place)));
    let mut places = BTreeMap::new();
    for (name, place) in contexts.chain(transports).chain(own) {
        places.entry(name).or_insert(place);
    }
    places
}

/// Rejects a context that the tenant's own routing file has: phones would dial what only a call that came in another way
/// may reach.
fn own_contexts(tenant: &Tenant, host_names: &BTreeMap<HostName, Place>, problems: &mut Vec<Diagnostic>) {
    let prefix = format!("{tenant}-");
    for (name, place) in host_names {
        let HostName::Context(context) = name else { continue };
        if context.as_str().strip_prefix(&prefix).is_some_and(is_generated) {
            let message = format!("the context `{context}` is generated from this file");
            let hint = "name contexts of your own only, such as the one that leads to the carrier";
            problems.push(Diagnostic::error(Code::GeneratedContext, message, *place).hint(hint));
        }
    }
}

/// Tells whether one of these keys may have been meant by a key that was skipped: one at the top of the
/// file that is not known, or one of them given twice.
fn has_lost_key(problems: &[Diagnostic], keys: &[&str]) -> bool {
    problems.iter().any(|problem| match problem.code {
        Code::UnknownKey => problem.place.is_some_and(|place| place.column == 1),
        Code::DuplicateKey => keys.iter().any(|key| problem.message.contains(&format!("`{key}`"))),
        _ => false,
    })
}

fn stand_in<T: std::str::FromStr<Err = crate::model::Invalid>>() -> T {
    match "unreadable".parse() {
        Ok(value) => value,
        Err(_) => unreachable!("`unreadable` is a slug and a name"),
    }
}

fn settings(
    mode: Mode,
    country: Option<Country>,
    extensions: file::Extensions,
    endpoint_names: EndpointNames,
    phones: file::Phone,
    dialplan: file::Dialplan,
    problems: &mut Vec<Diagnostic>,
) -> Settings {
    let defaults = PhoneProfile::default();
    let own = phone(phones, problems);
    Settings {
        mode,
        range: extensions.range.and_then(|at| numbers::ranges(&at)).unwrap_or_default(),
        country,
        reserved: values(extensions.reserved).into_iter().map(|digits| digits.0).collect(),
        hold_days: extensions.hold.and_then(|at| at.value).map_or(0, |hold| hold.0),
        endpoint_names,
        phones: PhoneProfile {
            codecs: own.codecs.unwrap_or(defaults.codecs),
            devices: own.devices.unwrap_or(defaults.devices),
            transport: own.transport,
            realm: own.realm.unwrap_or(defaults.realm),
        },
        include: values(dialplan.include),
    }
}

/// The most devices of a phone: their contacts are dialled together, and Asterisk cuts what is dialled at 4,091 bytes.
const MAX_DEVICES: u32 = 15;

/// Reads what one user's phone has differently.
fn user_phone(own: file::UserPhone, problems: &mut Vec<Diagnostic>) -> PhoneOverride {
    let file::UserPhone { codecs, devices, transport, realm, context, login, mailbox } = own;
    PhoneOverride {
        context: context.and_then(|at| at.value),
        login: login.and_then(|at| at.value),
        mailbox: mailbox.and_then(|at| at.value),
        ..phone(file::Phone { codecs, devices, transport, realm }, problems)
    }
}

fn phone(phone: file::Phone, problems: &mut Vec<Diagnostic>) -> PhoneOverride {
    let codecs = phone.codecs.and_then(|at| {
        let items = at.value?;
        let mut seen: BTreeMap<Codec, Place> = BTreeMap::new();
        let mut codecs = Vec::with_capacity(items.len());
        for At { place, value, .. } in items {
            let Some(codec) = value else { continue };
            if let Some(first) = seen.insert(codec.clone(), place) {
                problems.push(
                    Diagnostic::error(Code::DuplicateCodec, format!("the codec `{codec}` is listed twice"), place)
                        .also(first, "first listed here"),
                );
            }
            codecs.push(codec);
        }
        // A codec that is not known was reported.
        if codecs.is_empty() && at.whole {
            problems.push(
                Diagnostic::error(Code::NoCodec, "`codecs` is empty", at.place)
                    .hint("list at least one, such as `[opus, alaw]`, or remove the key"),
            );
        }
        Some(codecs)
    });
    PhoneOverride {
        context: None,
        login: None,
        mailbox: None,
        codecs,
        devices: phone.devices.and_then(|at| bounded(&at, 1..=MAX_DEVICES, "devices", problems)),
        transport: phone.transport.and_then(|at| at.value),
        realm: phone.realm.and_then(|at| at.value),
    }
}

fn bounded(
    at: &At<u32>,
    range: std::ops::RangeInclusive<u32>,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<u8> {
    let number = at.value?;
    if !range.contains(&number) {
        let message = format!("`{key}` must not be {number}");
        problems.push(Diagnostic::error(Code::OutOfBounds, message, at.place).hint(format!(
            "it goes from {} to {}",
            range.start(),
            range.end()
        )));
    }
    u8::try_from(number).ok()
}

fn limit(limit: Option<At<file::Limit>>, problems: &mut Vec<Diagnostic>) -> RailLimit {
    let default = RailLimit::default();
    let limit = limit.and_then(|at| at.value).unwrap_or_default();
    RailLimit {
        max: limit.max.and_then(|at| at.value).unwrap_or(default.max),
        percent: limit.percent.and_then(|at| bounded(&at, 0..=100, "percent", problems)).unwrap_or(default.percent),
    }
}

fn users(
    list: Vec<At<file::User>>,
    numbers: &mut numbers::Pins,
    lists: &mut Vec<(UserKey, TargetList)>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<UserKey, DeclaredUser> {
    let mut users: BTreeMap<UserKey, DeclaredUser> = BTreeMap::new();
    let mut places: HashMap<UserKey, Place> = HashMap::with_capacity(list.len());
    let mut formers: Vec<(UserKey, UserKey, Place)> = Vec::new();
    for At { place, value, meant, .. } in list {
        let Some(user) = value else { continue };
        problems.extend(identity::not_one(&user, place, &meant));
        let Some((email, email_place)) = user.identity() else { continue };
        let key = email.key();
        match places.entry(key.clone()) {
            Entry::Occupied(first) => {
                let (code, hint) = match &email {
                    Identity::Email(_) => (Code::DuplicateEmail, "one person is one entry"),
                    Identity::Phone(_) => (Code::DuplicateName, "one phone is one entry"),
                };
                problems.push(
                    Diagnostic::error(code, format!("`{email}` is declared twice"), email_place)
                        .also(*first.get(), "first declared here")
                        .hint(format!("{hint}; upper and lower case do not matter")),
                );
                // What else is wrong with it is no consequence of that.
                if let Some(at) = &user.extension {
                    numbers.pin_again(at, problems);
                }
                problems.extend(long_name(&user.name));
                user_phone(user.phone.and_then(|at| at.value).unwrap_or_default(), problems);
                continue;
            }
            Entry::Vacant(entry) => entry.insert(email_place),
        };
        let pin = user.extension.and_then(|at| {
            let extension = at.value?.0;
            numbers.pin(extension, at.place, &NumberOwner::User(key.clone()), problems);
            Some((extension, at.place))
        });
        let (extension, pinned_at) = pin.unzip();
        if let Some(At { place, value: Some(former), .. }) = user.previously.as_deref() {
            formers.push((former.key(), key.clone(), *place));
        }
        problems.extend(long_name(&user.name));
        let phone = user_phone(user.phone.and_then(|at| at.value).unwrap_or_default(), problems);
        lists.extend(user.no_answer.map(|list| (key.clone(), *list)));
        let Some(name) = user.name.value else { continue };
        users.insert(
            key,
            DeclaredUser {
                email,
                name,
                extension,
                pinned_at,
                previously: user.previously.and_then(|at| at.value),
                secret: user.secret.and_then(|at| at.value),
                protected: user.protected.and_then(|at| at.value).unwrap_or(false),
                phone: phone.shared(),
                no_answer: None,
                place,
            },
        );
    }
    check_renames(&formers, problems);
    packed(users)
}

/// Warns of a name that phones do not show in full.
fn long_name(name: &At<DisplayName>) -> Option<Diagnostic> {
    let written = name.value.as_ref().filter(|written| written.shown().len() < written.as_str().len())?;
    let warning =
        Diagnostic::warning(Code::LongName, format!("the name is longer than {NAME_BYTES} bytes"), name.place);
    Some(warning.hint(format!("phones will see {}", crate::model::quoted(written.shown()))))
}

/// Checks who was whom. A former address or id may be declared as well: it is handed on to another user then.
fn check_renames(formers: &[(UserKey, UserKey, Place)], problems: &mut Vec<Diagnostic>) {
    let mut seen: BTreeSet<&UserKey> = BTreeSet::new();
    for (former, email, place) in formers {
        if former == email {
            problems.push(
                Diagnostic::error(Code::InvalidRename, "a user cannot be renamed to the same address or id", *place)
                    .hint("remove the `previously` line"),
            );
        } else if !seen.insert(former) {
            problems.push(
                Diagnostic::error(Code::InvalidRename, format!("two users were previously `{former}`"), *place)
                    .hint("keep `previously` on the one who keeps the number"),
            );
        }
    }
}
