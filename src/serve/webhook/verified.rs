//! A request of the provider: taken only with its signature, and with all of its parameters.

use std::{borrow::Cow, sync::Arc, time::Instant};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, request::Parts},
};
use jiff::Timestamp;

use super::{
    super::{
        State,
        connections::Connection,
        error::{Detail, ErrorType, Failure},
        extract::read_body,
    },
    Settings, Webhook,
    address::Address,
};
use crate::calls::{Form, Incoming, Signed, is_signed};

/// The header with the signature.
const SIGNATURE: &str = "x-twilio-signature";

/// The header of the signature scheme that is not spoken.
const SHARED_KEY: &str = "x-twilio-webhooks-signature-settings";

/// The largest body, in bytes. Twilio documents none; its forms for calls have some 30 parameters, below 2 KiB.
const LARGEST_FORM: usize = 16 * 1024;

/// The most parameters of a form or of a query: each costs more to sort and sign than its bytes.
const MOST_PARAMETERS: usize = 256;

/// What the name of a signed parameter must not begin with. A signature has no border between the URL and the parameters:
/// with such a name, what was signed for one URL would fit another.
const OF_URLS: [char; 3] = ['/', '?', '&'];

/// A request that was signed.
pub(in crate::serve) struct Verified {
    pub(super) call_sid: String,
    /// The query as it was sent.
    pub(super) raw_query: String,
    pub(super) began: Instant,
    form: Form,
    query: Form,
    base: String,
    at: Timestamp,
}

impl Verified {
    pub(super) fn incoming(&self) -> Incoming<'_> {
        let Self { call_sid, form, query, base, at, .. } = self;
        Incoming { call_sid, form, query, base, at: *at, asks_fallback: false }
    }
}

impl FromRequest<Arc<State>> for Verified {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Failure> {
        let (began, at) = (Instant::now(), Timestamp::now());
        let Some(webhook) = state.webhook.as_ref().filter(|webhook| webhook.is_configured()) else {
            let why = match state.webhook {
                None => "`--no-webhook` turns it off",
                Some(_) => "set TWILIO_AUTH_TOKEN, or TWILIO_AUTH_TOKEN_FILE, and start the server again",
            };
            if !state.strangers.is_flood() {
                tracing::warn!("a webhook request is rejected: {why}");
            }
            let message = "this server answers no inbound calls; its log says why";
            return Err(Failure::new(ErrorType::NotFound, message));
        };
        let (parts, body) = request.into_parts();
        let signature = signature(webhook, &parts.headers)?;
        let bytes = read_body(&parts, body, LARGEST_FORM).await?;
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        for text in [raw_query.as_bytes(), &bytes] {
            if text.split(|byte| *byte == b'&').nth(MOST_PARAMETERS).is_some() {
                let message = format!("there are more than {MOST_PARAMETERS} parameters");
                return Err(Failure::new(ErrorType::BadRequest, message));
            }
        }
        let query = Form::parse(raw_query.as_bytes());
        // A GET says all in its query, which is signed with the URL.
        let asks = [Method::GET, Method::HEAD].contains(&parts.method);
        let form = if asks { Form::default() } else { Form::parse(&bytes) };
        let address = webhook.address(&parts);
        if let Some(signature) = signature {
            let urls = address.as_ref().map(|address| address.urls(path_and_query(&parts)));
            let urls = urls.as_ref().map_or(&[][..], |urls| &urls[..]);
            let is_ambiguous = form.iter().any(|(name, _)| name.starts_with(OF_URLS));
            if is_ambiguous || !is_signed(&webhook.settings.tokens, signature, &Signed { urls, form: &form }) {
                webhook.counters.refused("invalid");
                if !state.strangers.is_flood() {
                    tell(&webhook.settings, address.as_deref(), &parts, &form, &query);
                }
                return Err(Failure::new(ErrorType::SignatureInvalid, "the signature is not that of this request"));
            }
        }
        if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
            connection.know();
        }
        let form = if asks { query.clone() } else { form };
        let call_sid = form.get("CallSid").filter(|sid| is_sid(sid)).ok_or_else(malformed)?.to_owned();
        let base = address.map(|address| address.base()).unwrap_or_default();
        Ok(Self { call_sid, raw_query, began, form, query, base, at })
    }
}

/// Finds the signature, or `None` if signatures are not checked.
fn signature<'a>(webhook: &Webhook, headers: &'a HeaderMap) -> Result<Option<&'a str>, Failure> {
    if webhook.settings.skip_signature {
        return Ok(None);
    }
    let mut values = headers.get_all(SIGNATURE).iter();
    let Some(value) = values.next() else {
        webhook.counters.refused("missing");
        return Err(Failure::new(ErrorType::SignatureMissing, "this needs the header `X-Twilio-Signature`"));
    };
    // Two of them are no signature; neither is what holds other characters.
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    Ok(Some(text.unwrap_or_default()))
}

/// Any provider's id of a call.
fn is_sid(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn malformed() -> Failure {
    let detail = Detail::of("CallSid", "write the CallSid: 1 to 128 characters without spaces");
    Failure::new(ErrorType::BadRequest, "`CallSid` is missing or invalid").with(vec![detail])
}

fn path_and_query(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |path| path.as_str())
}

impl Webhook {
    /// Finds under which URL this server was reached.
    fn address(&self, parts: &Parts) -> Option<Cow<'_, Address>> {
        let Settings { public_url, trusted_proxies, .. } = &self.settings;
        let peer = parts.extensions.get::<Arc<Connection>>().map(|connection| connection.peer());
        let told = || Address::of(&parts.headers, peer, trusted_proxies, self.scheme).map(Cow::Owned);
        public_url.as_ref().map(Cow::Borrowed).or_else(told)
    }
}

/// Logs what was signed, without values and tokens.
fn tell(settings: &Settings, address: Option<&Address>, parts: &Parts, form: &Form, query: &Form) {
    let names = |form: &Form| form.iter().take(40).map(|(name, _)| shown(name)).collect::<Vec<_>>().join(" ");
    let urls = address.map(|address| address.without_user().urls(parts.uri.path()).join(" or ")).unwrap_or_default();
    let hint = if parts.headers.contains_key(SHARED_KEY) {
        "signatures with a shared key are not supported: have Twilio sign the number's webhooks with the auth token"
    } else if settings.public_url.is_none() {
        "check that this is the URL that Twilio calls, or set that URL with `--public-url`; then compare the auth token"
    } else {
        "compare scheme, host, port and path with the URL at the provider; then the auth token"
    };
    tracing::warn!(urls, query = names(query), parameters = names(form), hint, "a signature does not match");
}

/// Shows the name of a parameter where it looks like one: whoever it was sends what they like, and what
/// is no form may have a value where a name would be.
fn shown(name: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let is_name = name.len() <= 40 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(plain);
    if is_name { name } else { "(other)" }
}
