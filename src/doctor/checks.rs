//! The table of checks: their ids, and what each is for. `docs/reference/checks.md` comes from here.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// What checks look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The running Asterisk.
    Asterisk,
    /// The operator's own configuration files.
    Operator,
    /// The generated files.
    Files,
    /// What this user and Asterisk's user may do.
    Rights,
    /// The database.
    Database,
    /// Keys and files with secrets.
    Secrets,
    /// The work tree, and the runner.
    Ci,
}

impl Group {
    /// Returns the word in the output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asterisk => "asterisk",
            Self::Operator => "operator",
            Self::Files => "files",
            Self::Rights => "rights",
            Self::Database => "database",
            Self::Secrets => "secrets",
            Self::Ci => "ci",
        }
    }
}

/// Declares the checks and all that is derived from the list of them.
macro_rules! checks {
    ($($check:ident $id:literal $group:ident $about:literal)*) => {
        /// A check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $(#[doc = $about] $check,)*
        }

        impl Check {
            /// All checks, by group.
            pub const ALL: &[Self] = &[$(Self::$check),*];

            /// Returns its id.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$check => $id,)*
                }
            }

            /// Returns what it looks at.
            pub fn group(self) -> Group {
                match self {
                    $(Self::$check => Group::$group,)*
                }
            }

            /// Says what it finds, and what that does.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$check => $about,)*
                }
            }
        }
    };
}

checks! {
    AsteriskSilent "asterisk-silent" Asterisk
        "Asterisk does not run, does not answer within a second, or may not be asked. No apply can begin."
    AsteriskVersion "asterisk-version" Asterisk
        "Asterisk is older than 22, the version that reconcile is tested with."
    ReloadDeadlock "reload-deadlock" Asterisk
        "`core reload` can block this version of Asterisk for ever while `res_pjsip_config_wizard` is loaded (asterisk issue 1855)."
    ResolverUnbound "resolver-unbound" Asterisk
        "`res_resolver_unbound` is not loaded. One phone whose contacts have host names that nobody answers for can hold up the requests of all phones, emergency calls included."
    MissingModules "missing-modules" Asterisk
        "Asterisk has not loaded a module that the dialplan or the trunks of a tenant need. An apply stops at the rail of this name."
    Clocks "clocks" Asterisk
        "Asterisk's clock shows another time than reconcile's in a time zone of opening hours. An apply stops at the rail of this name."
    MissingFolder "missing-folder" Operator
        "Asterisk's configuration folder is not where reconcile looks for it. Nothing in it can be checked."
    BrokenInclude "broken-include" Operator
        "A plain `#include` matches no file. Asterisk rejects the whole file at its next start."
    MissingInclude "missing-include" Operator
        "The operator's file does not include the generated file of a tenant. Asterisk does not take it."
    IncludedTwice "included-twice" Operator
        "Several lines include the same generated file. Asterisk rejects the objects at its next start."
    ChangesOurs "changes-ours" Operator
        "A section such as `[1000](+)` changes what reconcile generates."
    DuplicateName "duplicate-name" Operator
        "A section has the name and type of a generated one. Asterisk then takes no object of this type at its next start."
    Wizard "wizard" Operator
        "`pjsip_wizard.conf` still makes objects with generated names, and `res_pjsip_config_wizard` is loaded."
    Anonymous "anonymous" Operator
        "There is an endpoint `anonymous`. Anyone can call its context without a password."
    OpenEndpoint "open-endpoint" Operator
        "An endpoint has no `auth` and is found by the name in From. Anyone who sends this name can call its context."
    Realm "realm" Operator
        "Asterisk's `default_realm` is not the realm of a tenant's phones. Its answers tell strangers which numbers exist."
    MissingName "missing-name" Operator
        "Asterisk does not have a context, extension, prompt or transport that a tenant names. An apply stops at the rail `missing-names`."
    ShadowedNumber "shadowed-number" Operator
        "A number in a context of `dialplan.include` lies in the tenant's range. The pattern of the range is tried first, and the number is never reached."
    Emergency "emergency" Operator
        "Phones cannot dial an emergency number of the tenant's country."
    SearchContexts "search-contexts" Operator
        "`searchcontexts` in `voicemail.conf` makes Asterisk ignore boxes whose numbers another tenant has as well."
    EditedFile "edited-file" Files
        "A generated file was edited or cut short."
    OpenFile "open-file" Files
        "More users than Asterisk's can read or write a generated file. It holds what phones log in with."
    FileGroup "file-group" Files
        "A generated file has another group than its folder. Asterisk may not be able to read it, and then removes all its objects."
    LinkedFile "linked-file" Files
        "A link or a folder is where a generated file belongs."
    UnreadableFile "unreadable-file" Files
        "This user cannot read a generated file."
    ForeignFile "foreign-file" Files
        "A generated file was written from another database."
    UnreadableFiles "unreadable-files" Rights
        "Asterisk's user cannot read the generated files. An apply stops at the rail of this name."
    NotWritable "not-writable" Rights
        "This user cannot write a folder that an apply writes."
    DatabaseAway "database-away" Database
        "The database does not answer within a second, or rejects this user."
    DatabaseTls "database-tls" Database
        "The database is on another machine, and its certificate is not checked. Anyone in between can read and change what is recorded."
    DatabaseSchema "database-schema" Database
        "The tables are those of another version of reconcile."
    DatabaseRole "database-role" Database
        "The role of this connection is a superuser, and needs no such rights."
    DatabaseClock "database-clock" Database
        "The clocks of the database and of this host differ by more than 10 seconds. Holds, tokens and the audit log use both."
    Unreadable "unreadable-rows" Database
        "A document in the database cannot be read."
    Key "key" Secrets
        "A key is missing that opens what is recorded, or none is given."
    OpenSecretFile "open-secret-file" Secrets
        "Other users can read or write a file that holds a key, a password or a token."
    OpenSecretsFolder "open-secrets-folder" Secrets
        "Other users can write the folder of declared secrets."
    OpenStateFolder "open-state-folder" Secrets
        "Other users can list or write the state folder."
    ImportFileLeft "import-file-left" Secrets
        "A file with the plain secrets of an import is still there."
    CiDatabase "ci-database" Ci
        "A CI job has no database. A private one would be empty at each run."
    CiRelease "ci-release" Ci
        "The CI recipe installs another version of reconcile than this one."
    EnvTracked "env-tracked" Ci
        "`.env` lies in a git work tree and no line of `.gitignore` leaves it out. It may hold keys and passwords."
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_checks_stand_by_group() {
        let ids: BTreeSet<&str> = Check::ALL.iter().map(|check| check.id()).collect();
        assert_eq!(ids.len(), Check::ALL.len());
        assert!(Check::ALL.is_sorted_by_key(|check| check.group()));
    }
}
