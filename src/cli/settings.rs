//! Arguments that commands share, and their resolution into ready objects.

use std::{
    borrow::Cow,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};

use super::{
    keys,
    printer::Printer,
    stop::Stop,
    variable::{text_or_file, variable, variable_path},
};
use crate::{
    accounts,
    deploy::{Asterisk, Host},
    directory::{self, Directory, DirectoryError, Retention, Url, embedded::Embedded, seal::Keyring},
    error::Hinted,
    model::{printable, shown},
};

/// How documents look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one versioned document.
    Json,
}

/// How plans look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people.
    Text,
    /// For programs: one versioned document.
    Json,
    /// For comments on a pull request: at most 60,000 bytes.
    Markdown,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FileArgs {
    /// The desired-state file, a folder of them, or `-` for standard input
    #[arg(
        short,
        long,
        env = "RECONCILE_FILE",
        default_value = "pbx.yaml",
        value_name = "PATH",
        hide_env_values = true
    )]
    pub(crate) file: PathBuf,
}

impl FileArgs {
    /// Names the file for people.
    pub(crate) fn name(&self) -> String {
        if self.file == Path::new("-") { "stdin".to_owned() } else { shown(&self.file) }
    }

    /// Writes the file as an argument for a shell, unless a command without one finds the same. Standard input is gone.
    pub(crate) fn argument(&self) -> Option<String> {
        let own = env::var_os("RECONCILE_FILE").filter(|file| !file.is_empty()).unwrap_or_else(|| "pbx.yaml".into());
        let file = self.file.to_str().filter(|file| *file != "-" && *own != **file)?;
        shlex::try_quote(file).ok().map(Cow::into_owned)
    }
}

/// Which databases may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatabaseKind {
    /// The database in `DATABASE_URL` if that is set, otherwise the private cluster.
    Auto,
    /// Only the database in `DATABASE_URL`, never the private cluster.
    External,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StateArgs {
    /// The folder for the last good files and the private database cluster [default: /var/lib/reconcile for root,
    /// else `$XDG_STATE_HOME/reconcile` or `~/.local/state/reconcile`]
    #[arg(long, env = "RECONCILE_STATE_DIR", value_name = "DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
    /// Which database may be used: `external` fails if `DATABASE_URL` is not set
    #[arg(
        long,
        env = "RECONCILE_DATABASE",
        value_enum,
        default_value_t = DatabaseKind::Auto,
        value_name = "KIND",
        hide_env_values = true
    )]
    database: DatabaseKind,
}

impl StateArgs {
    /// Resolves the folder: as told, else the platform's.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        let dir = match &self.state_dir {
            Some(dir) => dir.clone(),
            None if rustix::process::geteuid().is_root() => PathBuf::from("/var/lib/reconcile"),
            None => match (std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")) {
                (Some(state), _) if Path::new(&state).is_absolute() => PathBuf::from(state).join("reconcile"),
                (_, Some(home)) => PathBuf::from(home).join(".local/state/reconcile"),
                _ => bail!(Hinted::new(
                    "there is no home folder for the state folder",
                    "name a folder with `--state-dir`"
                )),
            },
        };
        std::path::absolute(&dir).with_context(|| format!("the state folder `{}`", dir.display()))
    }

    /// Opens the directory to read it, or returns `None` if nothing was ever recorded. Creates nothing.
    pub(crate) fn open_to_read(&self, talk: &mut dyn FnMut(&str)) -> Result<Option<Directory>> {
        if let Some(url) = url()? {
            return Ok(Some(Directory::connect(url)?));
        }
        let settings = self.embedded()?;
        if !Embedded::exists(&settings) {
            return Ok(None);
        }
        Ok(Some(Directory::embedded(Embedded::start(&settings, talk)?)?))
    }

    /// Opens the directory to write it, with the keys for its secrets; creates what is missing. Says so if that is the
    /// private database because no other is given.
    pub(crate) fn open_to_write(&self, talk: &mut dyn FnMut(&str)) -> Result<(Directory, Keyring)> {
        let mut directory = if let Some(url) = url()? {
            Directory::connect(url)?
        } else {
            let settings = self.embedded()?;
            talk(&format!("note: {}", writing_privately(&settings)));
            Directory::embedded(Embedded::start(&settings, talk)?)?
        };
        let keys = self.keys(Some(&mut directory))?;
        Ok((directory, keys))
    }

    /// Prepares to open the directory again and again, its schema brought up to date.
    pub(crate) fn opener(&self) -> Result<Opener> {
        if let Some(url) = url()? {
            return Ok(Opener::Url(Box::new(url)));
        }
        let settings = self.embedded()?;
        tracing::warn!("{}", writing_privately(&settings));
        Ok(Opener::Embedded(settings))
    }

    /// Makes sure that what is given lets the database be written: one by URL needs a key.
    pub(crate) fn need_key(&self) -> Result<()> {
        if let Some(url) = url()? {
            self.keys(Some(&mut Directory::connect(url)?))?;
        }
        Ok(())
    }

    /// Keeps the key that is given as the key of the private database, in which nothing is sealed yet.
    ///
    /// # Errors
    /// If the key cannot be read or written.
    pub(crate) fn keep_given_key(&self) -> Result<()> {
        match self.own_key()? {
            Some(path) => keys::keep_given(&path),
            None => Ok(()),
        }
    }

    /// Finds the keys of the directory, if one is open.
    pub(crate) fn keys(&self, directory: Option<&mut Directory>) -> Result<Keyring> {
        let own = self.own_key()?;
        keys::find(own.as_deref().map_or(keys::Home::Url, keys::Home::Private), directory)
    }

    /// Says why an apply could not open or seal the directory's secrets.
    pub(crate) fn lack_of_keys(&self, directory: Option<&mut Directory>) -> Result<Option<String>> {
        let own = self.own_key()?;
        Ok(keys::lack(own.as_deref().map_or(keys::Home::Url, keys::Home::Private), directory))
    }

    /// Names the file with the key of the private database, if that is the one in use.
    fn own_key(&self) -> Result<Option<PathBuf>> {
        if has_url() { Ok(None) } else { Ok(Some(self.dir()?.join("secret.key"))) }
    }

    /// Opens the directory to read it, and names the private one on stderr: without `DATABASE_URL` an empty list may
    /// only mean that the variable was forgotten.
    pub(crate) fn open_to_list(&self, printer: &mut Printer) -> Result<Option<Directory>> {
        printer.phase("reading what is recorded");
        let directory = self.open_to_read(&mut |line| tracing::info!("{line}"))?;
        if !has_url() {
            let state_dir = self.dir()?;
            let state = if directory.is_some() { "reading the" } else { "there is no" };
            printer
                .talk(&format!("note: DATABASE_URL is not set; {state} private database in `{}`", shown(&state_dir)));
        }
        Ok(directory)
    }

    /// Rejects a flag that names a database beside another flag that stands for all of it. Variables are left alone: a flag
    /// beats the environment.
    pub(crate) fn refuse_beside(&self, other: &str) -> Result<(), Stop> {
        let is_dir_given = self.state_dir != variable_path("RECONCILE_STATE_DIR");
        let is_kind_given = self.database == DatabaseKind::External && variable("RECONCILE_DATABASE").is_none();
        let flags = [("--state-dir", is_dir_given && self.state_dir.is_some()), ("--database", is_kind_given)];
        match flags.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => {
                let message = format!("`{flag}` cannot be given beside `{other}`");
                Err(Stop::usage(message, &format!("leave `{flag}` out: `{other}` reads no database")))
            }
            None => Ok(()),
        }
    }

    /// Tells whether this is a CI job with a private database, which would be empty at each run.
    pub(crate) fn is_empty_in_ci(&self) -> bool {
        let in_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
        in_ci && self.state_dir.is_none() && !has_url()
    }

    fn embedded(&self) -> Result<directory::embedded::Settings> {
        if self.database == DatabaseKind::External {
            return Err(Stop::usage(
                "no database is given, and the private one is forbidden",
                "set DATABASE_URL or DATABASE_URL_FILE, or unset RECONCILE_DATABASE",
            )
            .into());
        }
        if self.is_empty_in_ci() {
            bail!(Hinted::new(
                "in CI a private database would be empty at each run, and an apply would rewrite every phone",
                "set DATABASE_URL, or `--state-dir` to a folder that is kept between runs; `plan --recorded FILE` needs no database",
            ));
        }
        Ok(directory::embedded::Settings {
            state_dir: self.dir()?,
            bin_dir: std::env::var_os("RECONCILE_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from),
            path: std::env::var_os("PATH"),
        })
    }
}

/// Where connections to the directory come from.
#[derive(Debug)]
pub(crate) enum Opener {
    /// A server.
    Url(Box<Url>),
    /// The private cluster, which is started where it does not run.
    Embedded(directory::embedded::Settings),
}

impl Opener {
    /// Opens a connection.
    pub(crate) fn open(&self) -> Result<Directory> {
        let mut directory = self.connect()?;
        for migration in directory.migrate()? {
            tracing::info!("migrated: {migration}");
        }
        Ok(directory)
    }

    /// Opens a connection to the database as it is.
    pub(crate) fn connect(&self) -> Result<Directory> {
        Ok(match self {
            Self::Url(url) => Directory::connect(Url::clone(url))?,
            Self::Embedded(settings) => {
                Directory::embedded(Embedded::start(settings, &mut |line| tracing::info!("{line}"))?)?
            }
        })
    }
}

/// Says that the private database is written: the variable may only have been forgotten.
fn writing_privately(settings: &directory::embedded::Settings) -> String {
    format!("DATABASE_URL is not set; writing to the private database in `{}`", shown(&settings.state_dir))
}

/// Finds the connection URL, in `DATABASE_URL` or the file that `DATABASE_URL_FILE` names, with its password.
pub(crate) fn url() -> Result<Option<Url>> {
    const FORM: &str = "write it as `postgres://user@host/database?sslmode=verify-full`";
    const ENCODED: &str = "in user and password, write `@` as `%40`, `:` as `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23` and `%` as `%25`";
    let Some(text) = text_or_file("DATABASE_URL", "the database URL")? else { return Ok(None) };
    let file = variable_path("DATABASE_URL_FILE").filter(|_| variable("DATABASE_URL").is_none());
    // A file ends with a line break.
    let text = if file.is_some() { text.trim() } else { &text };
    if let Some(path) = file.filter(|_| text.is_empty()) {
        bail!(Hinted::new(format!("`{}`, the file of DATABASE_URL_FILE, is empty", path.display()), FORM));
    }
    let mut url = Url::parse(text).map_err(|error| match error {
        DirectoryError::AmbiguousUrl => Hinted::new(error, ENCODED),
        error => Hinted::new(error, FORM),
    })?;
    let home = || Some(variable_path("HOME")?.join(".pgpass"));
    let password = variable("PGPASSWORD").map(zeroize::Zeroizing::new);
    let passfile = variable_path("PGPASSFILE").or_else(home);
    if let Err(why) = url.add_password(password.as_ref().map(|text| text.as_str()), passfile.as_deref()) {
        tracing::warn!("{why}");
    }
    Ok(Some(url))
}

/// Tells whether a database is given by URL.
pub(crate) fn has_url() -> bool {
    variable("DATABASE_URL").is_some() || variable_path("DATABASE_URL_FILE").is_some()
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RetentionArgs {
    /// How long calls, what runs changed and the secrets of deleted users are kept: days, or `forever`
    #[arg(long, env = "RECONCILE_RETENTION", default_value = "90d", value_name = "DAYS", hide_env_values = true)]
    pub(crate) retention: Retention,
}

#[derive(Debug, Args)]
pub(crate) struct ActorArgs {
    /// The name to record in the audit log [default: the actor of the CI job, otherwise the user]
    #[arg(long, env = "RECONCILE_ACTOR", value_name = "NAME", hide_env_values = true)]
    actor: Option<String>,
}

impl ActorArgs {
    /// Names who runs this: as told, else the CI's actor, else the user.
    pub(crate) fn resolve(&self) -> String {
        let variable = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let known = ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID", "SUDO_USER", "USER", "LOGNAME"];
        let actor = self.actor.clone().unwrap_or_else(|| {
            let uid = rustix::process::getuid().as_raw();
            let uid = || accounts::user(uid).map_or_else(|| format!("uid {uid}"), |user| user.name);
            known.iter().find_map(variable).unwrap_or_else(uid) + "@" + &host_name()
        });
        // The audit log is shown on terminals and in CI logs, and anybody may name themselves.
        printable(&actor)
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct HostName {
    /// The name of this Asterisk host in the audit log [default: the host's name]
    #[arg(long, env = "RECONCILE_HOST", value_name = "NAME", hide_env_values = true)]
    host: Option<String>,
}

impl HostName {
    /// Names the host.
    pub(crate) fn resolve(&self) -> String {
        printable(&self.host.clone().unwrap_or_else(host_name))
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct HostArgs {
    #[command(flatten)]
    host: HostName,
    /// Asterisk's configuration folder
    #[arg(
        long,
        env = "ASTERISK_CONFIG_DIR",
        default_value = "/etc/asterisk",
        value_name = "DIR",
        hide_env_values = true
    )]
    asterisk_config_dir: PathBuf,
    /// The command that runs Asterisk's CLI; `-rx COMMAND` is appended
    #[arg(long, env = "ASTERISK_COMMAND", default_value = "asterisk", value_name = "COMMAND", hide_env_values = true)]
    asterisk_command: String,
}

impl HostArgs {
    /// Resolves the host; `ask` says whether its Asterisk may be asked.
    pub(crate) fn resolve(&self, state: &StateArgs, ask: bool) -> Result<Host> {
        let name = self.host.resolve();
        let (asterisk, config_dir) = self.asterisk()?;
        Ok(Host { name, config_dir, state_dir: state.dir()?, asterisk: ask.then_some(asterisk) })
    }

    /// Resolves how Asterisk is asked, and its configuration folder.
    pub(crate) fn asterisk(&self) -> Result<(Asterisk, PathBuf)> {
        let asterisk =
            Asterisk::new(&self.asterisk_command).ok_or_else(|| anyhow!("`--asterisk-command` holds no command"))?;
        let config_dir = std::path::absolute(&self.asterisk_config_dir)
            .with_context(|| format!("the folder `{}`", self.asterisk_config_dir.display()))?;
        Ok((asterisk, config_dir))
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SecretArgs {
    /// Patterns of the variables that `{ env: NAME }` may read, instead of the default patterns; `*` matches any text
    #[arg(
        long,
        env = "RECONCILE_ALLOW_ENV",
        value_name = "PATTERN",
        value_delimiter = ',',
        default_values = ["*_SECRET", "*_PHONE_NUMBER"],
        hide_env_values = true
    )]
    pub(crate) allow_env: Vec<String>,
    /// The folder that `secret: { file: NAME }` reads from
    #[arg(long, env = "RECONCILE_SECRETS_DIR", value_name = "DIR", hide_env_values = true)]
    pub(crate) secrets_dir: Option<PathBuf>,
}
