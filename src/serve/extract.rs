//! What a request holds: its JSON body, its query and the id in its path, each refused in the one
//! form of errors.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{
    State,
    error::{Detail, ErrorType, Failure},
};

/// The body, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<State>> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Failure> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Failure::new(
                ErrorType::UnsupportedMediaType,
                "send JSON, as `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| too_large(&rejection))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // Where it is, not what stands there: it may be a secret that was put in the wrong place.
            let place = format!("line {} column {}", error.line(), error.column());
            match error.classify() {
                serde_json::error::Category::Data => Failure::invalid(vec![Detail::of("body", format!("{error}"))]),
                _ => Failure::new(ErrorType::BadRequest, format!("the body is no JSON: see {place}")),
            }
        })
    }
}

fn too_large(rejection: &BytesRejection) -> Failure {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let size = super::LARGEST_BODY / 1024;
        Failure::new(ErrorType::PayloadTooLarge, format!("the body is larger than {size} KiB"))
    } else {
        Failure::new(ErrorType::BadRequest, "the body could not be read")
    }
}

/// The query.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<State>> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Failure::invalid(vec![Detail::of("query", reason(&rejection))])),
        }
    }
}

/// The innermost reason: what the value is, and what it ought to be.
fn reason(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The id of a user in the path.
pub(super) struct Id(pub(super) Uuid);

impl FromRequestParts<Arc<State>> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        // One text an id: the plain form that this server gives out.
        let id = text.parse::<Uuid>().ok().filter(|id| id.to_string().eq_ignore_ascii_case(&text));
        id.map(Self).ok_or_else(|| Failure::invalid(vec![Detail::of("id", "this is no id of a user: write the UUID")]))
    }
}
