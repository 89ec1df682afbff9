//! The database: who answers, over what, with which tables.

use super::{Check, Finding};
use crate::directory::{Probe, Schema};

/// How far two clocks may be apart, in seconds.
const CLOCKS: f64 = 10.0;

/// What is known of the database.
#[derive(Debug, Default)]
pub(crate) struct DatabaseFacts {
    /// Its URL without a password; `None` for the private cluster.
    pub(crate) url: Option<String>,
    /// Whether it is on another machine and nothing checks which.
    pub(crate) is_unchecked: bool,
    /// Why it cannot be used, and what to do.
    pub(crate) away: Option<(String, String)>,
    /// What its tables are.
    pub(crate) schema: Option<Schema>,
    /// What it says about the connection.
    pub(crate) probe: Option<Probe>,
    /// Documents that cannot be read, in words.
    pub(crate) unreadable: Vec<String>,
}

impl DatabaseFacts {
    /// Finds what is wrong with it.
    pub(crate) fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut add = |check, fact: String, fix: &str| found.push(Finding::new(check, fact, fix));
        if let Some((fact, fix)) = &self.away {
            add(Check::DatabaseAway, fact.clone(), fix);
        }
        let url = self.url.as_deref().unwrap_or("private");
        if self.is_unchecked {
            let fact = format!("the certificate of the database {url} is not checked");
            add(
                Check::DatabaseTls,
                fact,
                "add `sslmode=verify-full` to DATABASE_URL, and `sslrootcert` if its CA is your own",
            );
        }
        if let Some(Schema::Older(version)) = self.schema {
            add(
                Check::DatabaseSchema,
                format!("the tables have the earlier version {version}"),
                "run `reconcile migrate`",
            );
        }
        if let Some(Probe { is_superuser, seconds_ahead }) = &self.probe {
            if *is_superuser && self.url.is_some() {
                let fix = "make a role of its own, with `docs/database.md`, and name it in DATABASE_URL";
                add(Check::DatabaseRole, format!("the role of {url} is a superuser"), fix);
            }
            if seconds_ahead.abs() > CLOCKS {
                let way = if *seconds_ahead > 0.0 { "ahead of" } else { "behind" };
                let fact = format!("the database's clock is {:.0} seconds {way} this host's", seconds_ahead.abs());
                add(Check::DatabaseClock, fact, "let both hosts keep time by NTP");
            }
        }
        for document in &self.unreadable {
            add(Check::Unreadable, document.clone(), "restore a backup, or use the version of reconcile that wrote it");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::assert_found;

    #[test]
    fn each_fault_of_the_database_is_found() {
        let of = |change: &dyn Fn(&mut DatabaseFacts)| {
            let mut facts = DatabaseFacts { url: Some("postgres://db/pbx".to_owned()), ..DatabaseFacts::default() };
            change(&mut facts);
            facts.check()
        };
        let probe = |is_superuser, seconds_ahead| Some(Probe { is_superuser, seconds_ahead });
        assert_found(&of(&|facts| facts.probe = probe(false, 9.0)), &[]);
        assert_found(&of(&|facts| facts.schema = Some(Schema::Current)), &[]);
        assert_found(&of(&|facts| facts.away = Some(("x".into(), "y".into()))), &["database-away: x -> y"]);
        assert_found(
            &of(&|facts| facts.is_unchecked = true),
            &["database-tls: the certificate of the database postgres://db/pbx is not checked -> add \
               `sslmode=verify-full` to DATABASE_URL, and `sslrootcert` if its CA is your own"],
        );
        assert_found(
            &of(&|facts| facts.schema = Some(Schema::Older(3))),
            &["database-schema: the tables have the earlier version 3 -> run `reconcile migrate`"],
        );
        let role = "database-role: the role of postgres://db/pbx is a superuser -> make a role of its own, with \
             `docs/database.md`, and name it in DATABASE_URL";
        let clock =
            "database-clock: the database's clock is 30 seconds behind this host's -> let both hosts keep time by NTP";
        assert_found(&of(&|facts| facts.probe = probe(true, -30.0)), &[role, clock]);
        // The private cluster belongs to this program alone.
        let private = |facts: &mut DatabaseFacts| {
            facts.url = None;
            facts.probe = probe(true, 0.0);
        };
        assert_found(&of(&private), &[]);
        assert_found(
            &of(&|facts| facts.unreadable = vec!["the settings of `acme`".into()]),
            &[
                "unreadable-rows: the settings of `acme` -> restore a backup, or use the version of reconcile that wrote it",
            ],
        );
    }
}
