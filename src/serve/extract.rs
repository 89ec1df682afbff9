//! What a request holds: its JSON body, its query and the id in its path, each refused in the one
//! form of errors.

use std::{fmt, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    State,
    error::{Detail, ErrorType, Failure},
    observe::BodyRead,
};
use crate::model::printable;

/// The body: a JSON object, field by field.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object {
    /// The fields.
    pub(super) fields: Map<String, Value>,
    /// Names that stand there more than once: which value is meant, nobody can know.
    pub(super) twice: Vec<String>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some(name) = map.next_key::<String>()? {
                    if !object.fields.contains_key(&name) {
                        object.fields.insert(name, map.next_value()?);
                        continue;
                    }
                    map.next_value::<IgnoredAny>()?;
                    if !object.twice.contains(&name) {
                        object.twice.push(name);
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

impl FromRequest<Arc<State>> for Object {
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
        let read = request.extensions().get::<BodyRead>().cloned();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| too_large(&rejection))?;
        if let Some(read) = read {
            read.set();
        }
        object(&bytes)
    }
}

/// Reads an object. What is wrong is told by where it is, not by what stands there: it may be a
/// secret that was put in the wrong place.
fn object(bytes: &[u8]) -> Result<Object, Failure> {
    let refused = |message: String| Failure::invalid(vec![Detail::of("body", message)]);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refused(format!("this is no UTF-8: see byte {}", error.valid_up_to() + 1)))?;
    if text.trim().is_empty() {
        return Err(Failure::new(ErrorType::BadRequest, "the body is empty: send a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            return refused("this is no JSON object".to_owned());
        }
        let place = format!("line {} column {}", error.line(), error.column());
        Failure::new(ErrorType::BadRequest, format!("the body cannot be read as JSON: see {place}"))
    })
}

pub(super) fn too_large(rejection: &BytesRejection) -> Failure {
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
            Err(rejection) => Err(Failure::invalid(vec![reason(&rejection)])),
        }
    }
}

/// The innermost reason: which parameter, and what it ought to be.
fn reason(error: &dyn std::error::Error) -> Detail {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    if let Some(parameter) = text.strip_prefix("duplicate field `").and_then(|rest| rest.strip_suffix('`')) {
        return Detail::of(parameter, "this stands there twice");
    }
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match text.split_once(": ").filter(|(name, _)| plain(name)) {
        // The words of the standard library.
        Some((parameter, "invalid digit found in string")) => Detail::of(parameter, "this is no whole number"),
        Some((parameter, message)) => Detail::of(parameter, message),
        // A name may be anything.
        None => Detail::of("query", printable(&text)),
    }
}

/// A query that must be empty: what is asked for with a parameter that is unknown, such as a dry
/// run, is not done without it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

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
