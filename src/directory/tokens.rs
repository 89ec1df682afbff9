//! Tokens of the portal API: who may do what for which tenant. Only hashes are kept.
//!
//! A token is `rct_` and 32 random bytes in base64url. The first 8 bytes are its id, which is no
//! secret and by which the row is found; the other 24 (192 bits) nobody can guess. So the look-up
//! depends on nothing secret, and the hashes are compared in constant time.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use postgres::types::Type;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Directory, DirectoryError, failed, sql::bad_row};
use crate::model::{SENSITIVE, Tenant, quoted};

/// What every token begins with, so that one is recognised where it was left lying.
const PREFIX: &str = "rct_";

/// Random bytes of which a token is made.
pub type TokenBytes = [u8; 32];

/// A word that a token cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not a name.
    #[error("{0} cannot name a token: use letters, digits and `_ . -`, at most 64 characters")]
    Name(String),
    /// Not a scope.
    #[error("{0} is not a scope")]
    Scope(String),
}

/// What a token lets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See users.
    Read,
    /// Make and delete users.
    Write,
    /// Plan and apply.
    Apply,
    /// See calls, with callers' numbers.
    Calls,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Apply, Self::Calls];

    /// Returns the word on the command line and in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Apply => "apply",
            Self::Calls => "calls",
        }
    }
}

impl FromStr for Scope {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        Self::ALL.into_iter().find(|scope| scope.word() == text).ok_or_else(|| BadToken::Scope(quoted(text)))
    }
}

/// The name of a token: 1 to 64 letters, digits and `_ . -`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TokenName(String);

impl TokenName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadToken::Name(quoted(text)))
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text of a token, as good as a password: `Debug` prints `(sensitive)`.
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// Writes random bytes as a token.
    pub fn new(random: &TokenBytes) -> Self {
        Self(Zeroizing::new(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random))))
    }

    /// Returns the text, for the one place that hands it out.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

/// Tells whether a text is written like a token, whether one in use reads like this or not.
pub(crate) fn is_token(text: &str) -> bool {
    id(text).is_some()
}

/// Finds the id in a token, or `None` if the text is no token.
fn id(text: &str) -> Option<i64> {
    let mut bytes = Zeroizing::new([0; size_of::<TokenBytes>()]);
    // The length is looked at first: a text of megabytes is not decoded.
    let encoded = text.strip_prefix(PREFIX).filter(|encoded| encoded.len() == 43)?;
    BASE64_URL_SAFE_NO_PAD.decode_slice(encoded, &mut *bytes).ok()?;
    Some(i64::from_be_bytes(bytes[..8].try_into().ok()?))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Who holds a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The token's id.
    pub token: i64,
    /// The token's name, for the audit log.
    pub name: TokenName,
    /// For whom it is.
    pub tenant: Tenant,
    /// What it lets do.
    pub scopes: BTreeSet<Scope>,
}

/// A token as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct TokenEntry {
    /// Its name.
    pub name: TokenName,
    /// What it lets do.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is refused; null where it is good.
    pub revoked_at: Option<Timestamp>,
}

fn name(text: &str) -> Result<TokenName, DirectoryError> {
    text.parse().map_err(bad_row("token name"))
}

fn scopes(words: Vec<&str>) -> Result<BTreeSet<Scope>, DirectoryError> {
    words.into_iter().map(|word| word.parse().map_err(bad_row("scope"))).collect()
}

impl Directory {
    /// Records a token for a tenant; false where one of this name is in use.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn add_token(
        &mut self,
        tenant: &Tenant,
        token_name: &TokenName,
        scopes: &BTreeSet<Scope>,
        text: &TokenText,
    ) -> Result<bool, DirectoryError> {
        let words: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
        let added = self
            .client()
            .query_typed(
                "insert into api_tokens (id, tenant, name, hash, scopes) values ($1, $2, $3, $4, $5)
                 on conflict (tenant, name) where revoked_at is null do nothing returning id",
                &[
                    (&id(text.reveal()), Type::INT8),
                    (&tenant.as_str(), Type::TEXT),
                    (&token_name.as_str(), Type::TEXT),
                    (&hash(text.reveal()).as_slice(), Type::BYTEA),
                    (&words, Type::TEXT_ARRAY),
                ],
            )
            .map_err(failed("record a token"))?;
        Ok(!added.is_empty())
    }

    /// Lists a tenant's tokens, the revoked ones too, by name and age.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tokens(&mut self, tenant: &Tenant) -> Result<Vec<TokenEntry>, DirectoryError> {
        let rows = self
            .client()
            .query_typed(
                "select name, scopes, created_at, revoked_at from api_tokens where tenant = $1
                 order by name, created_at, id",
                &[(&tenant.as_str(), Type::TEXT)],
            )
            .map_err(failed("list the tokens"))?;
        let entry = |row: &postgres::Row| {
            Ok(TokenEntry {
                name: name(row.get(0))?,
                scopes: scopes(row.get(1))?,
                created_at: row.get(2),
                revoked_at: row.get(3),
            })
        };
        rows.iter().map(entry).collect()
    }

    /// Tells whether a tenant is recorded. It may have tokens before.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn knows(&mut self, tenant: &Tenant) -> Result<bool, DirectoryError> {
        let rows = self
            .client()
            .query_typed("select 1 from tenants where slug = $1", &[(&tenant.as_str(), Type::TEXT)])
            .map_err(failed("look for the tenant"))?;
        Ok(!rows.is_empty())
    }

    /// Revokes a tenant's token of this name; false where there is none in use.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn revoke_token(&mut self, tenant: &Tenant, name: &TokenName) -> Result<bool, DirectoryError> {
        let revoked = self
            .client()
            .query_typed(
                "update api_tokens set revoked_at = now()
                 where tenant = $1 and name = $2 and revoked_at is null returning id",
                &[(&tenant.as_str(), Type::TEXT), (&name.as_str(), Type::TEXT)],
            )
            .map_err(failed("revoke a token"))?;
        Ok(!revoked.is_empty())
    }

    /// Finds the holder of a token, or `None` if the token is unknown or revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub fn verify_token(&mut self, text: &str) -> Result<Option<Bearer>, DirectoryError> {
        Ok(self.verify_tokens(&[text])?.pop().flatten())
    }

    /// Does the same for several tokens by one statement; the answers are in the order of the texts.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn verify_tokens(&mut self, texts: &[&str]) -> Result<Vec<Option<Bearer>>, DirectoryError> {
        let ids: Vec<i64> = texts.iter().filter_map(|text| id(text)).collect();
        if ids.is_empty() {
            return Ok(vec![None; texts.len()]);
        }
        let rows = self
            .client()
            .query_typed(
                "select name, tenant, scopes, hash, id from api_tokens where id = any($1) and revoked_at is null",
                &[(&ids, Type::INT8_ARRAY)],
            )
            .map_err(failed("look up a token"))?;
        let rows: HashMap<i64, postgres::Row> = rows.into_iter().map(|row| (row.get(4), row)).collect();
        let bearer = |text: &&str| {
            let Some((token, row)) = id(text).and_then(|id| Some((id, rows.get(&id)?))) else { return Ok(None) };
            if !bool::from(hash(text).ct_eq(row.get::<_, &[u8]>(3))) {
                return Ok(None);
            }
            Ok(Some(Bearer {
                token,
                name: name(row.get(0))?,
                tenant: row.get::<_, &str>(1).parse().map_err(bad_row("tenant"))?,
                scopes: scopes(row.get(2))?,
            }))
        };
        texts.iter().map(bearer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_has_an_id() {
        let token = TokenText::new(&std::array::from_fn(|at| u8::try_from(at).unwrap()));
        assert_eq!(token.reveal(), "rct_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert_eq!(id(token.reveal()), Some(0x0001_0203_0405_0607));
        assert_eq!(format!("{token:?}"), "(sensitive)");
        let long = "A".repeat(44);
        for text in ["", "rct_", "rct_AAEC", &token.reveal()[4..], &format!("rct_{long}"), "rct_\u{e9}"] {
            assert_eq!(id(text), None, "{text}");
        }
        // The last character has two bits to spare: one text a token, not four.
        assert_eq!(id(&token.reveal().replace("Hh8", "Hh9")), None);
    }
}
