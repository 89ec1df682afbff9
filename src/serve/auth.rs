//! Authentication: the bearer token is looked up in the database at each request, so that a revoked
//! token is rejected on every server at once.

use std::{marker::PhantomData, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderValue,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
        request::Parts,
    },
};

use super::{
    State,
    connections::Connection,
    error::{ErrorType, Failure},
    observe::Actor,
};
use crate::directory::{Bearer, Scope};

/// The client that sent a request, with a token that has the scope `S`.
pub(super) struct Caller<S>(pub(super) Bearer, PhantomData<S>);

/// A scope as a type.
pub(super) trait Needs {
    const SCOPE: Scope;
}

/// See users.
pub(super) struct Read;
/// Make and delete users.
pub(super) struct Write;
/// Plan and apply.
pub(super) struct Apply;
/// See calls.
pub(super) struct Calls;

impl Needs for Read {
    const SCOPE: Scope = Scope::Read;
}

impl Needs for Write {
    const SCOPE: Scope = Scope::Write;
}

impl Needs for Apply {
    const SCOPE: Scope = Scope::Apply;
}

impl Needs for Calls {
    const SCOPE: Scope = Scope::Calls;
}

impl<S> Caller<S> {
    /// The name under which the caller stands in the audit log.
    pub(super) fn actor(&self) -> String {
        actor(&self.0)
    }
}

fn actor(bearer: &Bearer) -> String {
    format!("token {}", bearer.name)
}

impl<S: Needs> FromRequestParts<Arc<State>> for Caller<S> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Failure> {
        let looked_up = state.lookups.verify(token(parts).ok_or_else(unauthorized)?).await?;
        Self::admit(looked_up.ok_or_else(unauthorized)?, parts)
    }
}

impl<S: Needs> Caller<S> {
    /// Lets a token's holder in where it has the scope.
    pub(super) fn admit(bearer: Bearer, parts: &Parts) -> Result<Self, Failure> {
        if let Some(slot) = parts.extensions.get::<Actor>() {
            slot.set(actor(&bearer));
        }
        if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
            connection.know();
        }
        if bearer.scopes.contains(&S::SCOPE) {
            return Ok(Self(bearer, PhantomData));
        }
        let scope = S::SCOPE.word();
        let challenge = format!("Bearer realm=\"reconcile\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let failure = Failure::new(ErrorType::Forbidden, format!("this needs a token with the scope `{scope}`"));
        Err(match HeaderValue::try_from(challenge) {
            Ok(challenge) => failure.header(WWW_AUTHENTICATE, challenge),
            Err(_) => failure,
        })
    }
}

/// Finds the token in `Authorization: Bearer TOKEN`, which may be given once.
pub(super) fn token(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Says the same whatever is wrong with a token.
pub(super) fn unauthorized() -> Failure {
    Failure::new(ErrorType::Unauthorized, "this needs a valid bearer token")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"reconcile\""))
}
