//! The `OpenAPI` document, made from the code: `/openapi.json`, and `/docs` to browse it, which loads
//! nothing from elsewhere.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    routing::{get, post},
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    OpenApi,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Required, ResponseBuilder, Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    State, apply, calls,
    error::{ErrorBody, ErrorType},
    extract::{NoParameters, Parameters},
    health, metrics, users, webhook,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "reconcile", description = "The portal API: users of a phone system, and the apply that makes them live.",
         license(name = "proprietary")),
    components(schemas(ErrorBody)),
    tags(
        (name = "users", description = "Users: rows only, live with the next apply"),
        (name = "apply", description = "Rendering what is recorded, and making Asterisk run it"),
        (name = "webhook", description = "Inbound calls, for the provider that asks what to do with them"),
        (name = "calls", description = "Inbound calls: what was decided, and what became of them"),
        (name = "operation", description = "For whoever keeps the server running")
    )
)]
struct Base;

/// The routes, and the document that describes them: the provider asks by one method.
pub(super) fn routes(method: webhook::Method) -> (Router<Arc<State>>, utoipa::openapi::OpenApi) {
    let router = OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(users::create, users::list))
        .routes(routes!(users::show, users::delete))
        .routes(routes!(apply::apply))
        .routes(routes!(calls::list))
        .routes(routes!(calls::show))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(webhook::dial_result))
        .routes(routes!(webhook::confirm));
    // A slash at the end is easily typed where the provider asks for a URL. It is part of the URL that is
    // signed, and makes no other difference.
    let router = router
        .route("/webhooks/twilio/dial-result/", post(webhook::dial_result))
        .route("/webhooks/twilio/confirm/", post(webhook::confirm));
    let router = match method {
        webhook::Method::Post => router
            .routes(routes!(webhook::call))
            .routes(routes!(webhook::status))
            .routes(routes!(webhook::fallback))
            .route("/webhooks/twilio/", post(webhook::call))
            .route("/webhooks/twilio/status/", post(webhook::status))
            .route("/webhooks/twilio/fallback/", post(webhook::fallback)),
        webhook::Method::Get => router
            .routes(routes!(webhook::call_by_get))
            .routes(routes!(webhook::status_by_get))
            .routes(routes!(webhook::fallback_by_get))
            .route("/webhooks/twilio/", get(webhook::call_by_get))
            .route("/webhooks/twilio/status/", get(webhook::status_by_get))
            .route("/webhooks/twilio/fallback/", get(webhook::fallback_by_get)),
    };
    let (router, mut api) = router.split_for_parts();
    complete(&mut api);
    (router, api)
}

/// Where paths begin whose token is the provider's signature.
const WEBHOOK: &str = "/webhooks/";

/// Serves the document and the page.
///
/// # Errors
/// When the document cannot be written as JSON.
pub(super) fn pages(api: &utoipa::openapi::OpenApi) -> serde_json::Result<Router<Arc<State>>> {
    // Written once: it is large, and asked for without a token.
    let document = Bytes::from(api.to_json()?);
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let config = Config::from("/openapi.json").validator_url("none").persist_authorization(false);
    let policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                  img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";
    let page = Router::from(SwaggerUi::new("/docs").config(config))
        .layer(SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)))
        .route("/openapi.json", get(|_: Parameters<NoParameters>| async move { (kind, document) }));
    Ok(page)
}

/// Writes the document, as it stands in `schema/openapi.json`.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn document() -> serde_json::Result<String> {
    let mut text = routes(webhook::Method::default()).1.to_pretty_json()?;
    text.push('\n');
    Ok(text)
}

/// Adds what is the same everywhere: the token, the request id, and the errors.
fn complete(api: &mut utoipa::openapi::OpenApi) {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("made by `reconcile token new NAME --scope ...`, for one tenant"))
        .build();
    let components = api.components.get_or_insert_default();
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(token).into());
    for (path, item) in &mut api.paths.paths {
        let operations = [("get", &mut item.get), ("post", &mut item.post), ("delete", &mut item.delete)];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            // An apply without a body takes its options from the query.
            if path == "/apply"
                && let Some(RefOr::T(body)) = &mut operation.request_body
            {
                body.required = Some(Required::False);
            }
            for status in statuses(method, path) {
                operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(|| error(status, path));
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    let id = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)));
                    let id = id.description(Some("the request, as in the logs")).build();
                    response.headers.insert("X-Request-Id".to_owned(), id.into());
                }
            }
        }
    }
}

/// The errors that an operation can end in.
fn statuses(method: &str, path: &str) -> Vec<StatusCode> {
    use StatusCode as S;

    if path.starts_with(WEBHOOK) {
        let large = (method == "post").then_some(S::PAYLOAD_TOO_LARGE);
        let statuses = [S::BAD_REQUEST, S::FORBIDDEN, S::NOT_FOUND, S::REQUEST_TIMEOUT, S::INTERNAL_SERVER_ERROR];
        return statuses.into_iter().chain(large).collect();
    }
    let mut statuses = vec![
        S::BAD_REQUEST,
        S::REQUEST_TIMEOUT,
        S::UNPROCESSABLE_ENTITY,
        S::INTERNAL_SERVER_ERROR,
        S::SERVICE_UNAVAILABLE,
    ];
    if !["/healthz", "/readyz"].contains(&path) {
        statuses.extend([S::UNAUTHORIZED, S::FORBIDDEN]);
    }
    match (method, path) {
        ("post", "/users") => {
            statuses.extend([S::CONFLICT, S::PAYLOAD_TOO_LARGE, S::UNSUPPORTED_MEDIA_TYPE]);
        }
        ("get", "/users/{id}" | "/calls" | "/calls/{sid}") => statuses.push(S::NOT_FOUND),
        ("delete", _) => statuses.extend([S::NOT_FOUND, S::CONFLICT]),
        ("post", _) => {
            statuses.extend([S::CONFLICT, S::PRECONDITION_FAILED, S::PAYLOAD_TOO_LARGE]);
            statuses.extend([S::UNSUPPORTED_MEDIA_TYPE, S::BAD_GATEWAY]);
        }
        _ => {}
    }
    statuses
}

/// Describes an error of some status.
fn error(status: StatusCode, path: &str) -> RefOr<utoipa::openapi::Response> {
    let signed = path.starts_with(WEBHOOK);
    let of_signature = |kind: ErrorType| [ErrorType::SignatureMissing, ErrorType::SignatureInvalid].contains(&kind);
    let here = |kind| status != StatusCode::FORBIDDEN || signed == of_signature(kind);
    let kinds = ErrorType::TABLE.iter().filter(|(kind, known, _)| *known == status && here(*kind));
    let words: Vec<String> = kinds.map(|(kind, _, words)| format!("`{kind:?}`: {words}")).collect();
    let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    let mut response = ResponseBuilder::new().description(words.join("; ")).content("application/json", content);
    let header = |kind, words| {
        let schema = ObjectBuilder::new().schema_type(kind);
        HeaderBuilder::new().schema(Some(schema)).description(Some(words)).build()
    };
    if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) && !signed {
        response =
            response.header("WWW-Authenticate", header(Type::String, "the scheme, and the scope that is needed"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header("Retry-After", header(Type::Integer, "after how many seconds to try again"));
    }
    RefOr::T(response.build())
}
