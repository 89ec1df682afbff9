//! The one form of every error: `{"error": {"type", "message", "details", "request_id"}}`.
//!
//! What went wrong inside is logged; the client hears what it can do something about. The request
//! id is filled in by [`super::observe`], through which every answer goes.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use postgres::error::SqlState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    deploy::{ApplyError, NotLive},
    directory::DirectoryError,
    error::{words, words_of},
    model::{Code, Hints, Invalid},
    plan::RailStop,
    portal::{CreateError, DeleteError, Refused},
};

/// What kind of error it is: a closed set, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(super) enum ErrorType {
    BadRequest,
    UnexpectedBody,
    Unauthorized,
    Forbidden,
    SignatureMissing,
    SignatureInvalid,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    EmailTaken,
    ExtensionTaken,
    RangeExhausted,
    TenantNotRecorded,
    UserDeclared,
    UserProtected,
    ApplyInProgress,
    PlanStale,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationError,
    IdempotencyKeyReused,
    RailStopped,
    InternalServerError,
    NotLive,
    DatabaseUnavailable,
    HostUnavailable,
}

impl ErrorType {
    /// All of them: the status they come with, and what they mean.
    pub(super) const TABLE: &[(Self, StatusCode, &str)] = &[
        (Self::BadRequest, StatusCode::BAD_REQUEST, "the request cannot be understood"),
        (Self::UnexpectedBody, StatusCode::BAD_REQUEST, "this method of the path takes no body"),
        (Self::Unauthorized, StatusCode::UNAUTHORIZED, "a valid bearer token is required"),
        (Self::Forbidden, StatusCode::FORBIDDEN, "the token lacks the scope"),
        (Self::SignatureMissing, StatusCode::FORBIDDEN, "the webhook needs the provider's signature"),
        (Self::SignatureInvalid, StatusCode::FORBIDDEN, "the signature is not that of the request"),
        (Self::NotFound, StatusCode::NOT_FOUND, "there is no such path, user or call"),
        (Self::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED, "the path has other methods: see `Allow`"),
        (Self::RequestTimeout, StatusCode::REQUEST_TIMEOUT, "the request took too long"),
        (Self::EmailTaken, StatusCode::CONFLICT, "another user has the e-mail"),
        (Self::ExtensionTaken, StatusCode::CONFLICT, "another user has the extension"),
        (Self::RangeExhausted, StatusCode::CONFLICT, "no extension is left in the range"),
        (Self::TenantNotRecorded, StatusCode::CONFLICT, "the tenant's file was never recorded"),
        (Self::UserDeclared, StatusCode::CONFLICT, "the user is declared in the desired-state file"),
        (Self::UserProtected, StatusCode::CONFLICT, "the user is protected from deletion"),
        (Self::ApplyInProgress, StatusCode::CONFLICT, "another apply is running on this host"),
        (Self::PlanStale, StatusCode::PRECONDITION_FAILED, "the plan is not the expected one"),
        (Self::PayloadTooLarge, StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        (Self::UnsupportedMediaType, StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is not JSON"),
        (Self::ValidationError, StatusCode::UNPROCESSABLE_ENTITY, "a value is rejected: one detail per field"),
        (Self::IdempotencyKeyReused, StatusCode::UNPROCESSABLE_ENTITY, "the key was used for another request"),
        (Self::RailStopped, StatusCode::UNPROCESSABLE_ENTITY, "a rail stopped the apply, before anything was changed"),
        (Self::InternalServerError, StatusCode::INTERNAL_SERVER_ERROR, "something is wrong with the server"),
        (Self::NotLive, StatusCode::BAD_GATEWAY, "Asterisk does not run the new files; the last good ones are back"),
        (Self::DatabaseUnavailable, StatusCode::SERVICE_UNAVAILABLE, "the database cannot be used now"),
        (Self::HostUnavailable, StatusCode::SERVICE_UNAVAILABLE, "Asterisk or its folder cannot be used now"),
    ];

    fn status(self) -> StatusCode {
        let row = Self::TABLE.iter().find(|(kind, ..)| *kind == self);
        row.map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status, _)| *status)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(super) struct Detail {
    /// What is wrong with it.
    pub(super) message: String,
    /// The field, parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) field: Option<String>,
    /// The rule, as in the diagnostics of the desired-state file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) code: Option<&'static str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) hint: Option<String>,
    /// The stage that it is about: `recorded`, `rendered` or `running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) stage: Option<&'static str>,
    /// The rail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) rail: Option<&'static str>,
    /// The plan that was not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub(super) plan: Option<serde_json::Value>,
}

impl Detail {
    /// Says what is wrong with a field.
    pub(super) fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), message: message.into(), ..Self::default() }
    }

    /// Takes over why a value was refused.
    pub(super) fn invalid(field: &'static str, invalid: &Invalid) -> Self {
        let Invalid { code, message, hint } = invalid.clone();
        Self { code: Some(code.as_str()), hint, ..Self::of(field, message) }
    }
}

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: ErrorType,
    /// What the client is not told.
    why: Option<String>,
    message: String,
    details: Vec<Detail>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Any error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody<'a> {
    error: ErrorContent<'a>,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorContent<'a> {
    /// What kind of error it is.
    r#type: ErrorType,
    /// In words.
    message: &'a str,
    /// The problems one by one, if there are several.
    details: &'a [Detail],
    /// The request, as in `X-Request-Id` and in the logs.
    request_id: &'a str,
}

impl Failure {
    pub(super) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { kind, why: None, message: message.into(), details: Vec::new(), headers: Vec::new() }
    }

    pub(super) fn with(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    pub(super) fn and(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Refuses values.
    pub(super) fn invalid(details: Vec<Detail>) -> Self {
        let mut fields: Vec<&str> = details.iter().filter_map(|detail| detail.field.as_deref()).collect();
        fields.dedup();
        Self::new(ErrorType::ValidationError, format!("refused: {}", fields.join(", "))).with(details)
    }

    /// Tells whether it may be gone in a moment.
    pub(super) fn is_passing(&self) -> bool {
        self.kind == ErrorType::DatabaseUnavailable
    }

    /// Tells the log what went wrong, and the client that something did.
    pub(super) fn internal(why: impl Into<String>) -> Self {
        let words = "something went wrong; the server's log says what, by the request id";
        Self { why: Some(why.into()), ..Self::new(ErrorType::InternalServerError, words) }
    }

    /// Tells the log, once, what the client is not told; in the span of a request, with its id.
    pub(super) fn logged(mut self) -> Self {
        match self.why.take() {
            Some(why) if self.is_passing() => tracing::warn!("{why}"),
            Some(why) => tracing::error!("{why}"),
            None => {}
        }
        self
    }

    /// Finds the words for an answer that some layer gave with a status alone.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let known = ErrorType::TABLE.iter().find(|(_, known, _)| *known == status);
        let (kind, message) = match known {
            Some((kind, _, words)) => (*kind, *words),
            None if status.is_client_error() => (ErrorType::BadRequest, "the request cannot be understood"),
            None => (ErrorType::InternalServerError, "something is wrong with the server"),
        };
        Self::new(kind, message)
    }

    /// Writes the answer, under a status that some layer gave already or that of the error.
    pub(super) fn answer(&self, request_id: &str) -> Response {
        let Self { kind, message, details, headers, why: _ } = self;
        let content = ErrorContent { r#type: *kind, message, details, request_id };
        let mut response = (kind.status(), Json(ErrorBody { error: content })).into_response();
        response.headers_mut().extend(headers.iter().cloned());
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl IntoResponse for Failure {
    /// Leaves the body to [`super::observe`], which knows the request id.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self.logged());
        response
    }
}

impl From<&DirectoryError> for Failure {
    fn from(error: &DirectoryError) -> Self {
        let unavailable = |message: &str| {
            let failure = Self::new(ErrorType::DatabaseUnavailable, message);
            Self { why: Some(words_of(error)), ..failure }
        };
        match error {
            DirectoryError::Commit(_) => unavailable(
                "the database did not confirm it: it may be recorded or not; look, or send it again with the same \
                 `Idempotency-Key`",
            ),
            DirectoryError::Query { source, .. } if source.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                unavailable("another writer keeps the tenant; nothing was changed")
            }
            error if error.is_passing() => unavailable("the database cannot be used now; nothing was changed"),
            DirectoryError::Empty | DirectoryError::OlderSchema { .. } | DirectoryError::NewerSchema { .. } => {
                unavailable("the database has another schema than this server; nothing was changed")
            }
            _ => Self::internal(words_of(error)),
        }
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        Self::from(&error)
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Directory(error) | CreateError::Unconfirmed { source: error, .. } => error.into(),
            CreateError::Prepare(error) => Self::internal(words_of(&error)),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let (kind, field) = match &refused {
            Refused::EmailTaken(_) => (ErrorType::EmailTaken, "email"),
            Refused::NumberTaken(_) => (ErrorType::ExtensionTaken, "extension"),
            Refused::OutsideRange { .. } | Refused::EmergencyNumber(_) => (ErrorType::ValidationError, "extension"),
            Refused::RangeExhausted(_) => (ErrorType::RangeExhausted, "extension"),
            Refused::NoTenant(_) => (ErrorType::TenantNotRecorded, ""),
            Refused::KeyReused => (ErrorType::IdempotencyKeyReused, "Idempotency-Key"),
        };
        let (message, hint) = (refused.to_string(), joined(&refused.hints()));
        let field = (!field.is_empty()).then(|| field.to_owned());
        let code = match &refused {
            Refused::OutsideRange { .. } => Some(Code::PinOutsideRange.as_str()),
            Refused::EmergencyNumber(_) => Some(Code::EmergencyNumber.as_str()),
            _ => None,
        };
        let detail = Detail { field, code, message: message.clone(), hint, ..Detail::default() };
        Self::new(kind, message).with(vec![detail])
    }
}

impl From<DeleteError> for Failure {
    fn from(error: DeleteError) -> Self {
        let kind = match &error {
            DeleteError::Unknown(_) => ErrorType::NotFound,
            DeleteError::Protected(_) => ErrorType::UserProtected,
            DeleteError::Declared { .. } => ErrorType::UserDeclared,
            DeleteError::Directory(error) => return error.into(),
        };
        Self::hinted(kind, &error)
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Stopped(stopped) => match stopped.downcast::<Self>() {
                Ok(failure) => failure,
                Err(error) => Self::internal(words(&error)),
            },
            ApplyError::Directory(error) => error.into(),
            ApplyError::Locked { .. } => Self::hinted(ErrorType::ApplyInProgress, &error),
            ApplyError::Rail(stop) => Self::stopped(&[stop]),
            ApplyError::Stale(_) => Self::hinted(ErrorType::PlanStale, &error),
            ApplyError::File(_) | ApplyError::Asterisk(_) => Self::hinted(ErrorType::HostUnavailable, &error),
            ApplyError::Prepare(_) | ApplyError::Render(_) => Self::internal(error.to_string()),
            ApplyError::NotLive(not_live) => Self::not_live(&not_live),
        }
    }
}

impl Failure {
    /// Takes an error's own words, which are meant for the administrator of the phones.
    fn hinted(kind: ErrorType, error: &dyn Hints) -> Self {
        let (message, hint) = (error.to_string(), joined(&error.hints()));
        let details = hint.map(|hint| Detail { message: message.clone(), hint: Some(hint), ..Detail::default() });
        Self::new(kind, message).with(details.into_iter().collect())
    }

    /// Names the rails that stopped an apply.
    pub(super) fn stopped(stops: &[RailStop]) -> Self {
        let detail = |stop: &RailStop| Detail {
            rail: Some(stop.rail),
            message: stop.message.clone(),
            hint: Some(stop.hint.clone()),
            ..Detail::default()
        };
        let first = stops.first().map(|stop| stop.message.as_str()).unwrap_or_default();
        let failure = Self::new(ErrorType::RailStopped, format!("{first}; nothing was changed"));
        failure.with(stops.iter().map(detail).collect())
    }

    fn not_live(not_live: &NotLive) -> Self {
        let stages = not_live.stages().into_iter().map(|(stage, words)| Detail {
            stage: Some(stage),
            message: words.to_owned(),
            ..Detail::default()
        });
        let complaints = not_live
            .complaints
            .iter()
            .map(|complaint| Detail { message: format!("Asterisk's log: {complaint}"), ..Detail::default() });
        let hint = joined(&not_live.hints());
        let hint =
            hint.map(|hint| Detail { message: "the next step".to_owned(), hint: Some(hint), ..Detail::default() });
        let message =
            format!("run {}: Asterisk does not run the new files: {}", not_live.run, not_live.reasons.join("; "));
        Self::new(ErrorType::NotLive, message).with(stages.chain(complaints).chain(hint).collect())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Joins hints to one.
fn joined(hints: &[String]) -> Option<String> {
    (!hints.is_empty()).then(|| hints.join("; "))
}
