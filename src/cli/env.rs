//! The table of all environment variables, from which `.env.example` and `docs/reference/environment.md` are made. Most
//! are read where a flag names them, in `settings.rs`.

use std::fmt::Write;

/// A variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
    /// An example for `.env.example`; shown as a comment.
    pub example: &'static str,
}

/// The table.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "DATABASE_URL",
        about: "the URL of the database; without it, a private PostgreSQL cluster runs on demand",
        example: "postgres://pbx@db.example/pbx?sslmode=verify-full",
    },
    Variable {
        name: "DATABASE_URL_FILE",
        about: "a file with that URL, instead of the variable",
        example: "/run/secrets/database-url",
    },
    Variable { name: "PGPASSWORD", about: "the password of the database, if its URL has none", example: "" },
    Variable {
        name: "PGPASSFILE",
        about: "libpq's password file, if URL and `PGPASSWORD` have none; by default `~/.pgpass`; not used if others can read it",
        example: "/etc/reconcile/pgpass",
    },
    Variable {
        name: "RECONCILE_DATABASE",
        about: "`external` forbids the private cluster: without a URL, commands fail instead of using an empty database",
        example: "external",
    },
    Variable { name: "RECONCILE_FILE", about: "the desired-state file or folder", example: "pbx.yaml" },
    Variable {
        name: "RECONCILE_STATE_DIR",
        about: "the last good files, and the private cluster with its key",
        example: "/var/lib/reconcile",
    },
    Variable {
        name: "RECONCILE_HOST",
        about: "the name of this Asterisk host in the audit log; by default the host's name",
        example: "pbx1",
    },
    Variable {
        name: "RECONCILE_SECRET_KEY",
        about: "the key that seals SIP secrets: 32 bytes in base64; several keys with commas between them, the current key first",
        example: "",
    },
    Variable {
        name: "RECONCILE_SECRET_KEY_FILE",
        about: "a file with that key, instead of the variable",
        example: "/etc/reconcile/secret.key",
    },
    Variable {
        name: "RECONCILE_ALLOW_ENV",
        about: "patterns of the variables that `{ env: NAME }` may read, with commas between them; `*` matches any text",
        example: "*_SECRET,*_PHONE_NUMBER",
    },
    Variable {
        name: "RECONCILE_SECRETS_DIR",
        about: "the folder that `secret: { file: NAME }` reads from",
        example: "/run/secrets",
    },
    Variable {
        name: "RECONCILE_PG_BIN",
        about: "the folder with `postgres` and `initdb` for the private cluster",
        example: "/usr/lib/postgresql/15/bin",
    },
    Variable {
        name: "RECONCILE_RETENTION",
        about: "how long calls, what runs changed and the secrets of deleted users are kept: days, by default `90d`, or `forever`",
        example: "365d",
    },
    Variable { name: "RECONCILE_ACTOR", about: "the name to record in the audit log", example: "ana" },
    Variable { name: "ASTERISK_CONFIG_DIR", about: "Asterisk's configuration folder", example: "/etc/asterisk" },
    Variable {
        name: "ASTERISK_COMMAND",
        about: "the command that runs Asterisk's CLI; `-rx COMMAND` is appended",
        example: "sudo asterisk",
    },
    Variable { name: "RECONCILE_LOG", about: "what is logged to stderr, such as `debug`", example: "info" },
    Variable { name: "RECONCILE_LOG_FORMAT", about: "how the log is written: `text` or `json`", example: "json" },
    Variable { name: "RECONCILE_LISTEN", about: "where `reconcile serve` listens", example: "127.0.0.1:8000" },
    Variable {
        name: "RECONCILE_TLS_CERT",
        about: "the certificate of `reconcile serve`, with the chain behind it, as PEM",
        example: "/etc/reconcile/portal.pem",
    },
    Variable {
        name: "RECONCILE_TLS_KEY",
        about: "the private key of that certificate, as PEM",
        example: "/etc/reconcile/portal.key",
    },
    Variable {
        name: "RECONCILE_PUBLIC_URL",
        about: "the URL under which Twilio reaches `reconcile serve`",
        example: "https://pbx.example",
    },
    Variable {
        name: "TWILIO_AUTH_TOKEN",
        about: "the auth token with which Twilio signs its requests; several with commas between them while it is replaced",
        example: "",
    },
    Variable {
        name: "TWILIO_AUTH_TOKEN_FILE",
        about: "a file with that token, instead of the variable",
        example: "/run/secrets/twilio",
    },
    Variable {
        name: "TWILIO_PHONE_NUMBER",
        about: "the caller ID of calls that are passed on through Twilio; without it, the called number",
        example: "+15551234567",
    },
    Variable {
        name: "RECONCILE_NOTIFY_URL",
        about: "the `https://` URL that receives a POST if something is wrong, and once it is right again",
        example: "https://hooks.example/services/phones",
    },
    Variable {
        name: "RECONCILE_NOTIFY_URL_FILE",
        about: "a file with that URL, instead of the variable",
        example: "/run/secrets/notify-url",
    },
    Variable {
        name: "RECONCILE_NOTIFY_KEY",
        about: "the key that signs notifications: HMAC-SHA256 of the body, in the header `X-Reconcile-Signature`",
        example: "",
    },
    Variable {
        name: "RECONCILE_NOTIFY_KEY_FILE",
        about: "a file with that key, instead of the variable",
        example: "/run/secrets/notify-key",
    },
    Variable { name: "NO_COLOR", about: "turns colours off", example: "1" },
    Variable {
        name: "CI",
        about: "set by CI systems: the private cluster is then rejected unless `--state-dir` names its folder",
        example: "",
    },
];

/// Writes `.env.example`.
pub fn example() -> String {
    let mut text =
        "# What reconcile reads from the environment. A flag beats its variable, and an empty variable counts as absent.\n\
         # Nothing here is required.\n"
            .to_owned();
    for Variable { name, about, example } in VARIABLES.iter().filter(|variable| variable.name != "CI") {
        let _ = write!(text, "\n# {about}\n# {name}={example}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_in_step() {
        assert_eq!(include_str!("../../.env.example"), example(), "write `example()` into .env.example");
    }
}
