//! Idempotency keys: if a request that created a user is sent again with the same key within a day,
//! it creates no second user and gets the same answer.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use postgres::{GenericClient, types::Type};
use uuid::Uuid;

use super::{DirectoryError, Writer, failed};

/// For how long an answer is given again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Identifies a request that a client sends again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The token it came with.
    pub token: i64,
    /// Its `Idempotency-Key`.
    pub key: String,
    /// The hash of what it asks for.
    pub request: [u8; 32],
}

/// What was answered under a key.
#[derive(Debug, Clone)]
pub struct EarlierAnswer {
    /// The hash of what was asked for.
    pub request: Vec<u8>,
    /// The sealed answer.
    pub answer: Vec<u8>,
}

impl Writer<'_> {
    /// Finds what was answered under these keys, by token and key; forgets what is too old.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn find_answers(
        &mut self,
        tenant: Uuid,
        requests: &[&IdempotencyKey],
        now: Timestamp,
    ) -> Result<BTreeMap<(i64, String), EarlierAnswer>, DirectoryError> {
        if requests.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (tokens, keys) = columns(requests.iter().copied());
        let rows = self
            .client
            .query_typed(
                "with forgotten as (delete from idempotency_keys where tenant_id = $1 and created_at <= $4)
                 select distinct k.token, k.key, k.request, k.answer
                 from idempotency_keys k join unnest($2, $3) as n (token, key) using (token, key)
                 where k.tenant_id = $1 and k.created_at > $4",
                &[
                    (&tenant, Type::UUID),
                    (&tokens, Type::INT8_ARRAY),
                    (&keys, Type::TEXT_ARRAY),
                    (&now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN), Type::TIMESTAMPTZ),
                ],
            )
            .map_err(failed("look for an earlier answer"))?;
        let answered = |row: &postgres::Row| EarlierAnswer { request: row.get(2), answer: row.get(3) };
        Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), answered(row))).collect())
    }
}

/// Keeps answers, each under a key that is free.
pub(super) fn remember(
    db: &mut impl GenericClient,
    tenant: Uuid,
    answers: &[(&IdempotencyKey, Vec<u8>)],
    now: Timestamp,
) -> Result<(), DirectoryError> {
    if answers.is_empty() {
        return Ok(());
    }
    let (tokens, keys) = columns(answers.iter().map(|(once, _)| *once));
    let requests: Vec<&[u8]> = answers.iter().map(|(once, _)| once.request.as_slice()).collect();
    let answers: Vec<&[u8]> = answers.iter().map(|(_, answer)| answer.as_slice()).collect();
    db.query_typed(
        "insert into idempotency_keys (tenant_id, token, key, request, answer, created_at)
         select $1, n.token, n.key, n.request, n.answer, $6
         from unnest($2, $3, $4, $5) as n (token, key, request, answer)",
        &[
            (&tenant, Type::UUID),
            (&tokens, Type::INT8_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&requests, Type::BYTEA_ARRAY),
            (&answers, Type::BYTEA_ARRAY),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .map_err(failed("keep an answer"))?;
    Ok(())
}

fn columns<'a>(requests: impl Iterator<Item = &'a IdempotencyKey>) -> (Vec<i64>, Vec<&'a str>) {
    requests.map(|once| (once.token, once.key.as_str())).unzip()
}
