//! The file of a backup: lines of JSON, the last one with the hash of those before it. Pure.
//!
//! Plain data. Each line is one of the three forms below and nothing else, and no line names code.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    directory::{Rows, TABLES},
    error::Hinted,
    model::hex,
};

/// The version of the file: raised when an older program would misunderstand it.
const FORMAT_VERSION: u32 = 1;

/// A line of a backup.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// The first line.
    Head(Head),
    /// Rows of a table.
    Rows(RowsLine),
    /// The last line.
    End(End),
}

/// What proves that a backup is whole, and that somebody with the key wrote it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// The SHA-256 of all bytes before this line, in hexadecimal digits.
    pub(super) sha256: String,
    /// The same, sealed with the current key, in hexadecimal digits: it opens only with a key that opens the secrets.
    pub(super) seal: String,
}

/// What a backup is of.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The version of this file: 1.
    pub(super) format_version: u32,
    /// The version of reconcile that wrote it.
    pub(super) written_by: String,
    /// When it was written.
    pub(super) written_at: String,
    /// The version of the tables.
    pub(super) schema: i32,
    /// The id of the directory, which is in the head of each generated file.
    pub(super) directory: String,
    /// The Asterisk host that it was written on.
    pub(super) host: String,
    /// The ids of the keys that the secrets are sealed with.
    pub(super) keys: Vec<String>,
}

/// Rows of a table.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsLine {
    /// The table.
    table: String,
    /// The rows, as PostgreSQL writes them.
    rows: Vec<BTreeMap<String, Value>>,
}

/// A backup that is being written.
pub(super) struct Written(String);

impl Written {
    pub(super) fn new(head: Head) -> Result<Self> {
        let mut written = Self(String::new());
        written.line(&Line::Head(head))?;
        Ok(written)
    }

    pub(super) fn rows(&mut self, Rows { table, rows }: Rows) -> Result<()> {
        let row = |row: Value| match row {
            Value::Object(columns) => Ok(columns.into_iter().collect()),
            _ => bail!("a row of `{table}` is no object"),
        };
        let rows = rows.into_iter().map(row).collect::<Result<_>>()?;
        self.line(&Line::Rows(RowsLine { table: table.clone(), rows }))
    }

    /// Ends the file. `seal` seals the hash.
    pub(super) fn end(mut self, seal: impl FnOnce(&str) -> Result<Vec<u8>>) -> Result<String> {
        let sha256 = hex(&Sha256::digest(&self.0));
        let seal = hex(&seal(&sha256)?);
        self.line(&Line::End(End { sha256, seal }))?;
        Ok(self.0)
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        self.0 += &serde_json::to_string(line)?;
        self.0.push('\n');
        Ok(())
    }
}

/// A backup that was read and is whole.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) head: Head,
    pub(super) rows: Vec<Rows>,
    pub(super) end: End,
}

fn refuse(message: &str, hint: &str) -> anyhow::Error {
    Hinted::new(format!("this is no backup that can be restored: {message}"), hint).into()
}

/// Reads a backup. Who wrote it is not known before its seal is opened.
///
/// # Errors
/// If it is cut short, its bytes are not those that were written, or it is of another version. No line is quoted.
pub(super) fn read(text: &str) -> Result<Backup> {
    const WHOLE: &str = "take another copy of the file";
    let body = text.strip_suffix('\n').ok_or_else(|| refuse("it is cut short", WHOLE))?;
    let (before, last) = body.rsplit_once('\n').ok_or_else(|| refuse("it is cut short", WHOLE))?;
    let first: Value = serde_json::from_str(before.lines().next().unwrap_or_default())
        .map_err(|_| refuse("its first line is no head of a backup", WHOLE))?;
    // Told first: a later version may have other lines.
    let version = first["head"]["format_version"].as_u64().unwrap_or_default();
    if version > u64::from(FORMAT_VERSION) {
        let hint = "use the later version of reconcile that wrote it";
        return Err(refuse(&format!("it has format version {version}, and this program reads {FORMAT_VERSION}"), hint));
    }
    let Ok(Line::End(end)) = serde_json::from_str(last) else { return Err(refuse("it is cut short", WHOLE)) };
    if end.sha256 != hex(&Sha256::digest(format!("{before}\n"))) {
        return Err(refuse("its bytes are not those that were written", WHOLE));
    }
    let mut lines = before.lines().enumerate().map(|(index, line)| {
        let bad = |_| refuse(&format!("its line {} is none of a backup", index + 1), WHOLE);
        serde_json::from_str::<Line>(line).map_err(bad)
    });
    let Some(Line::Head(head)) = lines.next().transpose()? else {
        return Err(refuse("its first line is no head of a backup", WHOLE));
    };
    let mut rows = Vec::new();
    for line in lines {
        match line? {
            Line::Rows(RowsLine { table, rows: found }) if TABLES.contains(&table.as_str()) => {
                let found = found.into_iter().map(|row| Value::Object(row.into_iter().collect())).collect();
                rows.push(Rows { table, rows: found });
            }
            Line::Rows(RowsLine { table, .. }) => {
                return Err(refuse(&format!("it has a table `{}`", table.escape_debug()), WHOLE));
            }
            Line::Head(_) | Line::End(_) => return Err(refuse("it holds several files", WHOLE)),
        }
    }
    Ok(Backup { head, rows, end })
}

impl Head {
    pub(super) fn version() -> u32 {
        FORMAT_VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(format_version: u32) -> Head {
        Head {
            format_version,
            written_by: "0.1.0".into(),
            written_at: "2026-11-30T12:00:00Z".into(),
            schema: 14,
            directory: "00000000-0000-0000-0000-000000000001".into(),
            host: "pbx".into(),
            keys: Vec::new(),
        }
    }

    fn written(format_version: u32) -> String {
        let mut written = Written::new(head(format_version)).unwrap();
        let row = serde_json::json!({ "slug": "acme" });
        written.rows(Rows { table: "tenants".into(), rows: vec![row] }).unwrap();
        written.end(|_| Ok(Vec::new())).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let Backup { head, rows, .. } = read(&written(1)).unwrap();
        assert_eq!((head.schema, rows.len(), rows[0].table.as_str()), (14, 1, "tenants"));
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let whole = written(1);
        let said = |text: &str| read(text).unwrap_err().to_string();
        let head = "this is no backup that can be restored: ";
        for cut in 0..whole.len() {
            assert!(said(&whole[..cut]).starts_with(head), "{cut}");
        }
        assert_eq!(said(&whole.replace("acme", "evil")), format!("{head}its bytes are not those that were written"));
        assert_eq!(said(&(whole.clone() + &whole)), format!("{head}its bytes are not those that were written"));
        assert_eq!(said(&written(2)), format!("{head}it has format version 2, and this program reads 1"));
        let mut other = Written::new(self::head(1)).unwrap();
        other.rows(Rows { table: "pg_authid".into(), rows: Vec::new() }).unwrap();
        assert_eq!(said(&other.end(|_| Ok(Vec::new())).unwrap()), format!("{head}it has a table `pg_authid`"));
    }
}
