//! Twilio's signature: who has the token has signed the URL and every parameter.
//!
//! `X-Twilio-Signature` is the base64 of an HMAC-SHA1 over the URL, then each name with each of its
//! values, both in the order of their code points. It holds no time and no number used once: whoever
//! sees a signed request may send it again. Nothing parts URL, names and values: what was signed as a
//! form would also fit a longer URL, so the method is not the sender's choice, see `webhook::Method`. For
//! the same reason a JSON body, which Twilio covers by a hash in the query, is not taken: calls come as forms.
//! Source: `RequestValidator` of the `PyPI` package `twilio` 9.13. Its second scheme, by a shared key of
//! the webhooks' configuration (`X-Twilio-Webhooks-Signature-Settings`), is not spoken.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::Form;
use crate::model::SENSITIVE;

/// The tokens that requests may be signed with: more than one while a token is replaced.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Zeroizing<String>>);

impl Tokens {
    /// Reads tokens that are separated by commas or blanks.
    pub fn parse(text: &str) -> Self {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        Self(parts.map(|part| Zeroizing::new(part.to_owned())).collect())
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

/// What a signature is over.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The URLs it may have been sent to, as the sender writes them; any one of them is enough.
    pub(crate) urls: &'a [String],
    /// The form in the body; empty for a GET.
    pub form: &'a Form,
}

/// Tells whether a request was signed with one of the tokens.
pub(crate) fn is_signed(tokens: &Tokens, signature: &str, signed: &Signed<'_>) -> bool {
    let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
    let parameters = parameters(signed.form);
    // Each is compared in a time that tells nothing; and who knows one that fits learns no other.
    let mut macs = tokens.0.iter().flat_map(|token| signed.urls.iter().filter_map(|url| mac(token, url, &parameters)));
    macs.any(|mac| mac.verify_slice(&signature).is_ok())
}

fn mac(token: &str, url: &str, parameters: &str) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).ok()?;
    mac.update(url.as_bytes());
    mac.update(parameters.as_bytes());
    Some(mac)
}

/// Writes each name with each of its values once, in order.
fn parameters(form: &Form) -> String {
    let mut pairs: Vec<(&str, &str)> = form.iter().collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut text = String::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len()).sum());
    text.extend(pairs.into_iter().flat_map(|(name, value)| [name, value]));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Form {
        let mut text = form_urlencoded::Serializer::new(String::new());
        Form::parse(text.extend_pairs(pairs).finish().as_bytes())
    }

    fn sign(token: &str, url: &str, form: &Form) -> String {
        let mac = mac(token, url, &parameters(form)).unwrap();
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    }

    fn check(tokens: &str, signature: &str, url: &str, form: &Form) -> bool {
        let urls = [url.to_owned()];
        let signed = Signed { urls: &urls, form };
        is_signed(&Tokens::parse(tokens), signature, &signed)
    }

    /// The vector of Twilio's documentation, which the tests of its libraries use.
    #[test]
    fn the_known_request_is_signed() {
        let form = form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ]);
        let (url, signature) = ("https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert!(check("12345", signature, url, &form));
        assert!(check("first, 12345", signature, url, &form), "a second token");
        assert!(!check("54321", signature, url, &form));
        assert!(!check("", signature, url, &form), "no token");
        assert!(!check("12345", signature, "https://mycompany.com/myapp.php?bar=2&foo=1", &form));
        for forged in ["", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "RSOYDt4T1cUTdK1PDd93/VVr8B9=", "AAAA", "é"] {
            assert!(!check("12345", forged, url, &form), "{forged}");
        }
    }

    #[test]
    fn names_are_ordered_by_code_point_and_equal_parameters_count_once() {
        let url = "https://a.example/";
        let signature = sign("t", url, &form(&[("To", ""), ("to", "x"), ("a", "2"), ("a", "1"), ("é", "😀")]));
        let other_order = form(&[("é", "😀"), ("a", "1"), ("a", "2"), ("a", "1"), ("to", "x"), ("To", "")]);
        assert!(check("t", &signature, url, &other_order));
        assert!(!check("t", &signature, url, &form(&[("to", "x"), ("a", "2"), ("a", "1"), ("é", "😀")])), "no `To`");
    }

    #[test]
    fn tokens_are_never_shown() {
        assert_eq!(format!("{:?}", Tokens::parse("abc,def")), "(sensitive)");
    }

    proptest! {
        #[test]
        fn whatever_is_changed_is_noticed(
            pairs in proptest::collection::vec((".{1,8}", ".{0,8}"), 0..6),
            which in 0..6_usize,
        ) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let url = "https://a.example/webhooks/twilio";
            let signature = sign("t", url, &form(&pairs));
            prop_assert!(check("t", &signature, url, &form(&pairs)));
            let shuffled: Vec<_> = pairs.iter().rev().copied().collect();
            prop_assert!(check("t", &signature, url, &form(&shuffled)));
            let mut more = pairs.clone();
            more.insert(which.min(pairs.len()), ("new", "1"));
            prop_assert!(!check("t", &signature, url, &form(&more)));
            if let Some((_, value)) = pairs.get(which) {
                let mut other = pairs.clone();
                let longer = format!("{value}!");
                other[which].1 = &longer;
                // The same again, should the longer value be there already.
                prop_assume!(parameters(&form(&other)) != parameters(&form(&pairs)));
                prop_assert!(!check("t", &signature, url, &form(&other)));
            }
        }
    }
}
