//! `/users`: make, list, see and delete users. Rows only: Asterisk follows with the next apply.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::State as Shared,
    http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    State,
    auth::{Caller, Read, Write},
    error::{Detail, ErrorType, Failure},
    extract::{Id, NoParameters, Object, Parameters, reject_unknown_fields},
};
use crate::{
    directory::{self, Directory, DirectoryError, IdempotencyKey, ManagedBy},
    model::{Code, DisplayName, Email, Extension, Invalid, Tenant},
    portal::{self, Created, NewUser, Portal},
};

/// The fields of a user to make.
const FIELDS: [&str; 3] = ["name", "email", "extension"];

/// How many users a page has at most.
const LARGEST_PAGE: u32 = 1_000_000;

/// A user to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the body is read field by field, so that every mistake is told at once")]
pub(super) struct UserToMake {
    /// The display name, as the callee sees it: one line that is not blank, without control, format and
    /// invisible characters. Blanks around it are removed. Besides what the pattern allows, joiners inside
    /// emoji and behind letters of scripts that join, such as Persian, are accepted.
    // [`DisplayName::as_sent`] as a pattern: nothing unseen, and something that is not blank.
    #[schema(
        min_length = 1,
        max_length = 255,
        example = "Ana Silva",
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\
        \\u0891\\u08e2\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\
        \\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\u{110bd}\u{110cd}\u{13430}-\
        \u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]*[^\\u0000-\\u0020\\u007f-\
        \\u00a0\\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u115f\\u1160\
        \\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\
        \\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\u{110bd}\u{110cd}\u{13430}-\u{1343f}\
        \u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}][^\\u0000-\\u001f\\u007f-\\u009f\
        \\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u115f\\u1160\\u17b4\
        \\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\
        \\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\
        \u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]*$"
    )]
    name: String,
    /// The e-mail address: the user's identity, unique in the tenant, compared case-insensitively.
    // [`Email`] as a pattern: the HTML standard's "valid e-mail address".
    #[schema(format = Email, max_length = 254, example = "ana.silva@example.com", pattern =
        "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\
        (\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$")]
    email: String,
    /// The number, if it must be this one: in one of the tenant's ranges, and no emergency number. Otherwise the
    /// lowest free one is given, range by range.
    #[schema(minimum = 1, maximum = 99_999_999, example = 1042)]
    extension: Option<u32>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    /// The id.
    id: Uuid,
    /// The display name.
    name: String,
    /// The e-mail address; null for a phone that belongs to nobody.
    #[schema(required = true)]
    email: Option<String>,
    /// The id of a phone that belongs to nobody, as the desired-state file has it; absent for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phone_id: Option<String>,
    /// The number.
    extension: u32,
    /// Who changes the user: the desired-state file, or this API.
    managed_by: Manager,
    /// Whether deletion and renumbering are refused.
    protected: bool,
    /// Since when the user is recorded.
    created_at: Timestamp,
}

/// Who changes a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Manager {
    File,
    Api,
}

/// A new user, with what the phone logs in with, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeUser {
    #[serde(flatten)]
    user: User,
    /// What the phone logs in with.
    sip: Login,
}

/// What a phone logs in with.
#[derive(Debug, Serialize, ToSchema)]
struct Login {
    /// The SIP user name.
    username: String,
    /// The SIP secret.
    secret: String,
    /// The digest realm.
    realm: String,
}

/// Users by extension.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Users {
    /// The users.
    users: Vec<User>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<u32>,
}

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many users at most; all of them where it is absent.
    #[param(minimum = 1, maximum = 1_000_000)]
    limit: Option<u32>,
    /// Only users with a higher extension: the `next` of the page before.
    #[param(minimum = 1, maximum = 99_999_999)]
    after: Option<u32>,
}

impl From<directory::User> for User {
    fn from(user: directory::User) -> Self {
        Self {
            id: user.id,
            name: user.name.as_str().to_owned(),
            email: user.email.email().map(str::to_owned),
            phone_id: user.email.phone_id().map(str::to_owned),
            extension: user.extension.number(),
            managed_by: match user.managed_by {
                ManagedBy::File => Manager::File,
                ManagedBy::Api => Manager::Api,
            },
            protected: user.protected,
            created_at: user.created_at,
        }
    }
}

impl From<Created> for MadeUser {
    fn from(created: Created) -> Self {
        Self {
            user: created.user.into(),
            sip: Login {
                username: created.username,
                secret: created.secret.reveal().to_owned(),
                realm: created.realm.as_str().to_owned(),
            },
        }
    }
}

/// Makes a user
///
/// Rows only: the phone can log in after the next apply. The SIP secret is shown this once. With an
/// `Idempotency-Key` (1 to 255 visible characters), the same request gets the same answer for 24
/// hours, and makes nobody twice.
#[utoipa::path(
    post, path = "/users", tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "makes it safe to send the request again",
            min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body = UserToMake,
    responses(
        (status = 201, description = "the user was made", body = MadeUser,
         headers(("Location" = String, description = "where the user is found")))
    ),
    security(("token" = ["write"]))
)]
pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<Write>,
    headers: HeaderMap,
    _: Parameters<NoParameters>,
    body: Object,
) -> Result<Response, Failure> {
    let mut details = Vec::new();
    let name = text("name", DisplayName::as_sent, &body.fields, &mut details);
    let email = text("email", Email::from_str, &body.fields, &mut details);
    let extension = extension(&body.fields, &mut details);
    let key = idempotency_key(&headers, &mut details);
    reject_unknown_fields(&body, &FIELDS, &mut details);
    let (Some(name), Some(email), true) = (name, email, details.is_empty()) else {
        return Err(Failure::invalid(details));
    };
    let request = hash(&name, &email, extension);
    let once = key.map(|key| IdempotencyKey { token: caller.0.token, key, request });
    let user = NewUser { email, name, extension, actor: caller.actor(), once };
    let made = MadeUser::from(state.creates.create(&caller.0.tenant, user).await?);
    let location = HeaderValue::try_from(format!("/users/{}", made.user.id))
        .map_err(|error| Failure::internal(format!("a location cannot be written: {error}")))?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(made)).into_response())
}

/// Reads a field that is a text of some form.
fn text<T>(
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
    body: &Map<String, Value>,
    details: &mut Vec<Detail>,
) -> Option<T> {
    let detail = match body.get(field) {
        None => Detail::of(field, "this field is missing"),
        Some(Value::String(text)) => match parse(text) {
            Ok(value) => return Some(value),
            Err(invalid) => Detail::invalid(field, &invalid),
        },
        Some(_) => Detail::of(field, "not a string"),
    };
    details.push(detail);
    None
}

fn extension(body: &Map<String, Value>, details: &mut Vec<Detail>) -> Option<Extension> {
    let value = body.get("extension").filter(|value| !value.is_null())?;
    // JSON knows one kind of numbers: 1042.0 is a whole one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, and is checked")]
    let whole = |number: f64| (number.fract() == 0.0 && number >= 0.0).then_some(number as u64);
    let number = value.as_u64().or_else(|| value.as_f64().and_then(whole));
    let extension = number.and_then(|number| u32::try_from(number).ok()?.try_into().ok());
    if extension.is_none() {
        let message = format!("not a whole number from 1 to {}", Extension::MAX);
        details.push(Detail { code: Some(Code::InvalidExtension.as_str()), ..Detail::of("extension", message) });
    }
    extension
}

fn idempotency_key(headers: &HeaderMap, details: &mut Vec<Detail>) -> Option<String> {
    let mut values = headers.get_all("idempotency-key").iter();
    let value = values.next()?;
    let bytes = value.as_bytes();
    let fits = (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) && values.next().is_none();
    if fits {
        return value.to_str().ok().map(str::to_owned);
    }
    details.push(Detail::of("Idempotency-Key", "give one key of 1 to 255 visible ASCII characters"));
    None
}

/// What tells one request from another under the same key.
fn hash(name: &DisplayName, email: &Email, extension: Option<Extension>) -> [u8; 32] {
    let number = extension.map_or(0, Extension::number);
    Sha256::digest(format!("{number}\n{}\n{}", email.as_str(), name.as_str())).into()
}

/// Lists the users
///
/// All users of the tenant, those of the file too, by extension; never a secret.
#[utoipa::path(
    get, path = "/users", tag = "users", params(Page),
    responses((status = 200, description = "the users", body = Users)),
    security(("token" = ["read"]))
)]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<Read>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Failure> {
    let mut details = Vec::new();
    let after = page.after.map(Extension::try_from).transpose().unwrap_or_else(|invalid| {
        details.push(Detail::invalid("after", &invalid));
        None
    });
    if page.limit.is_some_and(|limit| !(1..=LARGEST_PAGE).contains(&limit)) {
        details.push(Detail::of("limit", format!("not a whole number from 1 to {LARGEST_PAGE}")));
    }
    if !details.is_empty() {
        return Err(Failure::invalid(details));
    }
    let tenant = caller.0.tenant;
    // Written out where it is read: all users are megabytes, and calls wait for the thread that serves.
    state.pool.run(move |directory| users(directory, &tenant, after, page.limit)).await
}

/// Writes out the users of a page.
fn users(
    directory: &mut Directory,
    tenant: &Tenant,
    after: Option<Extension>,
    limit: Option<u32>,
) -> Result<Response, DirectoryError> {
    // One more tells whether there is a next page.
    let mut users = directory.users(tenant, after, limit.map(|limit| limit + 1))?;
    let mut next = None;
    if limit.is_some_and(|limit| users.len() > limit as usize) {
        users.pop();
        next = users.last().map(|user| user.extension.number());
    }
    Ok(Json(Users { users: users.into_iter().map(User::from).collect(), next }).into_response())
}

/// Shows a user
#[utoipa::path(
    get, path = "/users/{id}", tag = "users",
    params(("id" = Uuid, Path, description = "the user's id")),
    responses((status = 200, description = "the user", body = User)),
    security(("token" = ["read"]))
)]
pub(super) async fn show(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<Read>,
    Id(id): Id,
    _: Parameters<NoParameters>,
) -> Result<Json<User>, Failure> {
    let tenant = caller.0.tenant;
    let user = state.pool.run(move |directory| directory.user(&tenant, id)).await?;
    user.map(|user| Json(user.into()))
        .ok_or_else(|| Failure::new(ErrorType::NotFound, format!("there is no user {id}")))
}

/// Deletes a user
///
/// The extension is free again, or on hold as the tenant's settings say. The phone is let go with
/// the next apply. A user who is declared in the file is removed there.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "users",
    params(("id" = Uuid, Path, description = "the user's id")),
    responses((status = 204, description = "the user was deleted")),
    security(("token" = ["write"]))
)]
pub(super) async fn delete(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<Write>,
    Id(id): Id,
    _: Parameters<NoParameters>,
) -> Result<StatusCode, Failure> {
    let (actor, tenant) = (caller.actor(), caller.0.tenant);
    let (keys, host) = (Arc::clone(&state.keys), state.host.name.clone());
    let whose = tenant.clone();
    let work = move |directory: &mut directory::Directory| {
        let portal = Portal { tenant: &whose, keys: &keys, host: &host, now: Timestamp::now() };
        portal::delete(&portal, id, &actor, directory)
    };
    state.creates.in_turn(&tenant, work).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn the_pattern_of_a_name_excludes_what_cannot_be_seen_and_nothing_else() {
        let schema = serde_json::to_value(UserToMake::schema()).unwrap();
        let pattern = regex::Regex::new(schema["properties"]["name"]["pattern"].as_str().unwrap()).unwrap();
        let wrong: Vec<char> = ('\0'..=char::MAX)
            .filter(|c| pattern.is_match(&format!("a{c}b")) != DisplayName::as_sent(&format!("a{c}b")).is_ok())
            .chain(
                ('\0'..=char::MAX)
                    .filter(|c| pattern.is_match(&c.to_string()) != DisplayName::as_sent(&c.to_string()).is_ok()),
            )
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
