//! What a request holds: its JSON body, its query and the id in its path, each refused in the one
//! form of errors.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request},
    http::{
        HeaderMap, Version,
        header::{CONTENT_TYPE, HOST},
        request::Parts,
    },
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    State,
    error::{Detail, ErrorType, Failure},
    operations::Operations,
};
use crate::model::{nearest, printable, quoted};

/// The largest body of the portal API, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// How long a client may take to send a body, from the end of the head on.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How many unknown fields of one body are reported.
const UNKNOWN_FIELDS_REPORTED: usize = 10;

/// Whether the body of a request was read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyRead(Arc<AtomicBool>);

impl BodyRead {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body: a JSON object, field by field.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object {
    pub(super) fields: Map<String, Value>,
    /// Names that are given more than once, so that it is unknown which value is meant.
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

    async fn from_request(request: Request, _: &Arc<State>) -> Result<Self, Failure> {
        expect_json(request.headers())?;
        let (parts, body) = request.into_parts();
        object(&read_body(&parts, body, LARGEST_BODY).await?)
    }
}

/// A body that may be left out, which is the same as an object without fields.
pub(super) struct OptionalObject(pub(super) Object);

impl FromRequest<Arc<State>> for OptionalObject {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Arc<State>) -> Result<Self, Failure> {
        if request.body().is_end_stream() {
            return Ok(Self(Object::default()));
        }
        expect_json(request.headers())?;
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts, body, LARGEST_BODY).await?;
        Ok(Self(if bytes.is_empty() { Object::default() } else { object(&bytes)? }))
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Failure::new(ErrorType::UnsupportedMediaType, "send JSON, as `Content-Type: application/json`"))
}

/// Rejects a request that does not name exactly one host, in `Host` and in its target: what stands before this
/// server, and what signs a URL, may go by the other one (RFC 9112, section 3.2).
pub(super) fn reject_ambiguous_host(request: &Request) -> Result<(), Failure> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let is_target = |host: &[u8]| target.is_none_or(|target| target.eq_ignore_ascii_case(host));
    let message = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        (None, _) => "the header `Host` is missing",
        (Some(_), Some(_)) => "the header `Host` is given more than once",
        (Some(host), None) if is_target(host.as_bytes()) => return Ok(()),
        (Some(_), None) => "the request's target names another host than the header `Host`",
    };
    Err(Failure::new(ErrorType::BadRequest, message))
}

/// Rejects a body on an operation that takes none: a client that sends one expects it to be read. It is the one
/// check for all routes, so that a new route cannot forget it. Where there is no such path or method, the
/// router says so.
pub(super) fn reject_unexpected_body(request: &Request, operations: &Operations) -> Result<(), Failure> {
    let path = request.extensions().get::<MatchedPath>();
    let takes_none = path.is_some_and(|path| operations.takes_no_body(request.method(), path.as_str()));
    if takes_none && !request.body().is_end_stream() {
        let message = format!("{} takes no body here: leave it out", request.method());
        return Err(Failure::new(ErrorType::UnexpectedBody, message));
    }
    Ok(())
}

/// Reads a body of at most `largest` bytes. The buffer grows with what arrives: neither the announced
/// length nor the size of the pieces decides how much memory a client takes.
pub(super) async fn read_body(parts: &Parts, mut body: Body, largest: usize) -> Result<Vec<u8>, Failure> {
    let too_large = || {
        let message = format!("the body is larger than {} KiB", largest / 1024);
        Failure::new(ErrorType::PayloadTooLarge, message)
    };
    if body.size_hint().lower() > largest as u64 {
        return Err(too_large());
    }
    let read = async {
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|_| Failure::new(ErrorType::BadRequest, "the body could not be read"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > largest {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    let late = |_| {
        let message = format!("the body did not arrive within {} s; nothing was changed", BODY_DEADLINE.as_secs());
        Failure::new(ErrorType::RequestTimeout, message)
    };
    let bytes = timeout(BODY_DEADLINE, read).await.map_err(late)??;
    if let Some(read) = parts.extensions.get::<BodyRead>() {
        read.set();
    }
    Ok(bytes)
}

/// Reads an object. What is wrong is told by where it is, not by what stands there: it may be a
/// secret that was put in the wrong place.
fn object(bytes: &[u8]) -> Result<Object, Failure> {
    let refused = |message: String| Failure::invalid(vec![Detail::of("body", message)]);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refused(format!("the body is not UTF-8: see byte {}", error.valid_up_to() + 1)))?;
    if text.trim().is_empty() {
        return Err(Failure::new(ErrorType::BadRequest, "the body is empty: send a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            return refused("the body is not a JSON object".to_owned());
        }
        let place = format!("line {} column {}", error.line(), error.column());
        Failure::new(ErrorType::BadRequest, format!("the body cannot be read as JSON: see {place}"))
    })
}

/// Rejects fields that are unknown or given twice. Their names are the client's: they are quoted and
/// escaped.
pub(super) fn reject_unknown_fields(body: &Object, known: &[&str], details: &mut Vec<Detail>) {
    let twice = body.twice.iter().map(|field| format!("the field {} is given twice", quoted(field)));
    let unknown = body.fields.keys().filter(|field| !known.contains(&field.as_str())).map(|field| {
        let near = nearest(field, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
        let rest = near.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
        format!("there is no field {}{rest}", quoted(field))
    });
    details.extend(twice.chain(unknown).take(UNKNOWN_FIELDS_REPORTED).map(|message| Detail::of("body", message)));
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
        return Detail::of(parameter, "this is given twice");
    }
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match text.split_once(": ").filter(|(name, _)| plain(name)) {
        // The words of the standard library.
        Some((parameter, "invalid digit found in string")) => Detail::of(parameter, "not a whole number"),
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
        id.map(Self).ok_or_else(|| Failure::invalid(vec![Detail::of("id", "not the id of a user: write the UUID")]))
    }
}
