//! Users made and deleted through the portal API: rows only, live with the next apply.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    directory::{
        Additions, Directory, DirectoryError, EarlierAnswer, IdempotencyKey, ManagedBy, PrepareError, Row, RowChanges,
        User,
        audit::AuditEntry,
        new_id, prints, random,
        seal::{Keyring, Owner, generate},
        seal_secret,
    },
    model::{
        DisplayName, Document, Email, Extension, ExtensionRanges, Ha1, Hints, Identity, ObjectName, PhoneOverride,
        Secret, Settings, Tenant, Unreadable, UserKey, document,
    },
    objects::NumberOwner,
    plan::{Allocator, NoNumber},
    render::endpoint_name,
};

/// Whose users are changed, and when.
#[derive(Debug)]
pub struct Portal<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The keys of the directory.
    pub keys: &'a Keyring,
    /// The host it is run on, for the audit log.
    pub host: &'a str,
    /// The present.
    pub now: Timestamp,
}

/// A user to make.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address. No other user has it.
    pub email: Email,
    /// The display name.
    pub name: DisplayName,
    /// The number, if it must be this one: in one of the ranges, reserved or not, no emergency number.
    pub extension: Option<Extension>,
    /// Who makes it, for the audit log.
    pub actor: String,
    /// What makes this request the same as an earlier one.
    pub once: Option<IdempotencyKey>,
}

/// A new user, with what the phone logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The user.
    pub user: User,
    /// The SIP user name.
    pub username: String,
    /// The digest realm.
    pub realm: ObjectName,
    /// The SIP secret.
    pub secret: Secret,
}

/// A user was not made, because of what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address is a user's.
    #[error("`{0}` is a user already")]
    EmailTaken(Email),
    /// Another user or an object has the pinned number.
    #[error("the extension {0} is taken")]
    NumberTaken(Extension),
    /// The pinned number is none of the tenant's.
    #[error("the extension {number} is outside the range {range}")]
    OutsideRange {
        /// The number.
        number: Extension,
        /// The tenant's ranges.
        range: ExtensionRanges,
    },
    /// The pinned number is one that callers dial for help.
    #[error("{0} is an emergency number: phones that dial it would reach this user")]
    EmergencyNumber(Extension),
    /// No number is left.
    #[error("the range {0} ({size} numbers) has no free number", size = .0.size())]
    RangeExhausted(ExtensionRanges),
    /// Nothing is recorded about the tenant, not even its range.
    #[error("the tenant `{0}` is not recorded yet")]
    NoTenant(Tenant),
    /// The key was used for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
}

/// The users could not be created. None was, unless the commit was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A secret could not be made, sealed or opened.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The commit was not confirmed: all were made, or none; see [`is_made`].
    #[error("{source}")]
    Unconfirmed {
        /// What was to be.
        results: Vec<Result<Created, Refused>>,
        /// One of the users to create, because an answer that is sent again is about another user.
        made: Uuid,
        /// Why.
        source: DirectoryError,
    },
}

/// A user was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The tenant has no such user.
    #[error("there is no user {0}")]
    Unknown(Uuid),
    /// The user is protected from deletion.
    #[error("`{0}` is protected from deletion")]
    Protected(Identity),
    /// The user stands in the desired state.
    #[error("`{email}` is declared in the desired state")]
    Declared {
        /// Who.
        email: Identity,
        /// Whose file it is.
        tenant: Tenant,
    },
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl Hints for Refused {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::EmergencyNumber(_) => {
                "choose another number, or pin this one in the desired-state file if that is intended"
            }
            Self::NoTenant(_) => "run `reconcile sync` or `reconcile apply` with its file once",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl Hints for DeleteError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Protected(_) => vec!["set `protected: false` in the desired state and apply it first".to_owned()],
            Self::Declared { email, tenant } => vec![format!(
                "remove the lines of `{email}` from `users:` in the file of the tenant `{tenant}`, and run `reconcile \
                 apply` with it"
            )],
            Self::Directory(error) => error.hints(),
            Self::Unknown(_) => Vec::new(),
        }
    }
}

/// Makes users, all in one transaction, each on its own merits and in their order: a refused one
/// does not stop the others.
///
/// # Errors
/// When the directory fails or a secret cannot be sealed.
pub fn create(
    portal: &Portal<'_>,
    users: &[NewUser],
    directory: &mut Directory,
) -> Result<Vec<Result<Created, Refused>>, CreateError> {
    let keys: Vec<UserKey> = users.iter().map(|user| user.email.key()).collect();
    let pins: Vec<Extension> = users.iter().filter_map(|user| user.extension).collect();
    let mut writer = directory.write(portal.tenant)?;
    let Some(mut context) = writer.load_new_user_context(portal.tenant, keys.iter(), &pins, portal.keys)? else {
        return Ok(users.iter().map(|_| Err(Refused::NoTenant(portal.tenant.clone()))).collect());
    };
    let unused = writer.load_unused_numbers(&context.tenant, users.len())?;
    let (tenant, settings) = (context.tenant.id, &context.tenant.settings);
    let requests: Vec<&IdempotencyKey> = users.iter().filter_map(|user| user.once.as_ref()).collect();
    let mut answered = writer.find_answers(tenant, &requests, portal.now)?;
    let taken = std::mem::take(&mut context.taken);
    let mut newcomers = Allocator::new(settings, &context.holds, taken, unused, users.len(), portal.now);

    let (mut results, mut rows, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for (user, key) in users.iter().zip(keys) {
        let earlier = user.once.as_ref().and_then(|once| answered.get(&(once.token, once.key.clone())));
        if let (Some(once), Some(earlier)) = (&user.once, earlier) {
            let same = earlier.request == once.request;
            results.push(if same { Ok(open(portal, once, &earlier.answer)?) } else { Err(Refused::KeyReused) });
            continue;
        }
        if context.present.contains(&key) {
            results.push(Err(Refused::EmailTaken(user.email.clone())));
            continue;
        }
        let number = match newcomers.give(&key, user.extension) {
            Ok(number) => number,
            Err(why) => {
                results.push(Err(refused(why, user, &settings.range)));
                continue;
            }
        };
        let (created, row) = make(portal, tenant, settings, user, number, context.now)?;
        if let Some(once) = &user.once {
            let answer = seal(portal, once, &created)?;
            answers.push((once, answer.clone()));
            let earlier = EarlierAnswer { request: once.request.to_vec(), answer };
            answered.insert((once.token, once.key.clone()), earlier);
        }
        context.present.insert(key);
        rows.push((row, user.actor.as_str()));
        results.push(Ok(created));
    }
    if !rows.is_empty() {
        if !context.knows_keys {
            writer.require_keys(portal.keys)?;
        }
        let audit_entries: Vec<AuditEntry<'_>> = rows
            .iter()
            .map(|(row, actor): &(Row, &str)| AuditEntry {
                actor,
                change: format!("+ {}  extension {}\n", row.email, row.extension),
            })
            .collect();
        let rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
        let made = rows[0].id;
        let (slug, host, now) = (portal.tenant, portal.host, portal.now);
        writer.add(&context, &Additions { slug, host, rows, audit_entries, answers, now })?;
        if let Err(source) = writer.commit() {
            return Err(CreateError::Unconfirmed { results, made, source });
        }
    }
    Ok(results)
}

/// Finds out whether a user was made by a transaction whose end was never heard; waits for that end.
///
/// # Errors
/// When the directory fails.
pub(crate) fn is_made(tenant: &Tenant, id: Uuid, directory: &mut Directory) -> Result<bool, DirectoryError> {
    // The lock of the only writer is free as soon as the other transaction has ended.
    Ok(directory.write(tenant)?.user(tenant, id)?.is_some())
}

fn refused(why: NoNumber, user: &NewUser, range: &ExtensionRanges) -> Refused {
    match (why, user.extension) {
        (NoNumber::Taken, Some(number)) => Refused::NumberTaken(number),
        (NoNumber::OutsideRange, Some(number)) => Refused::OutsideRange { number, range: range.clone() },
        (NoNumber::Emergency, Some(number)) => Refused::EmergencyNumber(number),
        _ => Refused::RangeExhausted(range.clone()),
    }
}

fn make(
    portal: &Portal<'_>,
    tenant: Uuid,
    settings: &Settings,
    user: &NewUser,
    extension: Extension,
    created_at: Timestamp,
) -> Result<(Created, Row), PrepareError> {
    let NewUser { email, name, .. } = user;
    let (id, phone) = (new_id()?, PhoneOverride::default().shared());
    let secret = generate(&random()?);
    let sealed = seal_secret(portal.keys, &secret, Owner { tenant, user: id }, email)?;
    let username = endpoint_name(portal.tenant, settings.endpoint_names, extension);
    let digest = Ha1::of_phone(settings, &phone, &username, &secret);
    let row = Row {
        id,
        email: email.clone().into(),
        name: name.clone(),
        managed_by: ManagedBy::Api,
        protected: false,
        phone,
        pinned: false,
        no_answer: None,
        extension,
        secret_declared: false,
        sealed: Some(sealed),
        prints: prints(&secret, &digest)?,
        previous: None,
    };
    let user = User {
        id,
        email: email.clone().into(),
        name: name.clone(),
        extension,
        managed_by: ManagedBy::Api,
        protected: false,
        created_at,
    };
    Ok((Created { user, username, realm: settings.phones.realm.clone(), secret }, row))
}

/// An answer as it is sealed.
#[derive(Serialize, Deserialize)]
struct Answer {
    user: User,
    username: String,
    realm: ObjectName,
    secret: Zeroizing<String>,
}

impl Document for Answer {}

/// Says what a sealed answer belongs to, so that it opens nowhere else.
pub(super) fn place(token: i64, key: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(b"idempotency");
    hash.update(token.to_be_bytes());
    hash.update(key.as_bytes());
    hash.finalize().to_vec()
}

fn seal(portal: &Portal<'_>, once: &IdempotencyKey, created: &Created) -> Result<Vec<u8>, PrepareError> {
    let Created { user, username, realm, secret } = created.clone();
    let email = user.email.to_string();
    let answer = Answer { user, username, realm, secret: Zeroizing::new(secret.reveal().to_owned()) };
    let text = Zeroizing::new(document::write(&answer)?);
    portal
        .keys
        .seal_bytes(text.as_bytes(), &place(once.token, &once.key), &random()?)
        .map_err(|source| PrepareError::Seal { whose: email, source })
}

fn open(portal: &Portal<'_>, once: &IdempotencyKey, sealed: &[u8]) -> Result<Created, DirectoryError> {
    let broken = |reason: String| DirectoryError::BadRow { what: "answer", reason };
    let bytes = portal.keys.open_bytes(sealed, &place(once.token, &once.key))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| broken(error.to_string()))?;
    let Answer { user, username, realm, secret } = document::read(text).map_err(|unreadable| {
        broken(match unreadable {
            Unreadable::Later { .. } => unreadable.to_string(),
            // The reason may quote the secret.
            Unreadable::Damaged(_) => "it is damaged".to_owned(),
        })
    })?;
    let secret = Secret::new(&secret).map_err(|error| broken(error.to_string()))?;
    Ok(Created { user, username, realm, secret })
}

/// Deletes a user that was made through the API, and frees the number, which is held as the
/// tenant's settings say; answers with the user as it was.
///
/// # Errors
/// When there is none, it is protected or declared in the file, or the directory fails.
pub fn delete(portal: &Portal<'_>, id: Uuid, actor: &str, directory: &mut Directory) -> Result<User, DeleteError> {
    let mut writer = directory.write(portal.tenant)?;
    let context = writer
        .load_new_user_context(portal.tenant, std::iter::empty(), &[], portal.keys)?
        .ok_or(DeleteError::Unknown(id))?;
    let user = writer.user(portal.tenant, id)?.ok_or(DeleteError::Unknown(id))?;
    if user.protected {
        return Err(DeleteError::Protected(user.email));
    }
    if user.managed_by == ManagedBy::File {
        return Err(DeleteError::Declared { email: user.email, tenant: portal.tenant.clone() });
    }
    writer.change(&RowChanges {
        deletes: vec![id],
        freed: vec![(user.extension, NumberOwner::User(user.email.key()))],
        hold: context.tenant.settings.hold_days > 0,
        ..RowChanges::by_portal(context.tenant.id, portal.tenant, portal.now)
    })?;
    let change = format!("- {}  extension {}\n", user.email, user.extension);
    writer.add_audit_entries(portal.tenant, portal.host, ("delete user", "delete"), &[AuditEntry { actor, change }])?;
    writer.commit()?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_answers_are_read() {
        for name in ["answer.1.unversioned", "answer.1"] {
            let text = std::fs::read_to_string(format!("tests/documents/{name}.json")).unwrap();
            let answer: Answer = document::read(&text).unwrap();
            assert_eq!((answer.user.email.as_str(), answer.user.extension.number()), ("portal@example.com", 1002));
            assert_eq!((answer.username.as_str(), answer.realm.as_str()), ("acme-1002", "asterisk"));
            assert_eq!(answer.secret.as_str(), "hi7v2viyfzg2a9t9az73kd3c");
            assert!(document::write(&answer).unwrap().contains("\"format_version\":1"));
        }
    }
}
