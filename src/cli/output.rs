//! How the output and the log look.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::usage;
use crate::log::{self, FlatJson, LogQueue};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// When to colour the output
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, display_order = 900, value_name = "WHEN")]
    pub(crate) color: Color,
    /// The level of the log on stderr: error, warn, info, debug, trace
    #[arg(
        long,
        env = "RECONCILE_LOG",
        global = true,
        display_order = 901,
        value_name = "LEVEL",
        value_parser = usage::level,
        hide_env_values = true
    )]
    pub(crate) log: Option<String>,
    /// The format of the log
    #[arg(
        long,
        env = "RECONCILE_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        global = true,
        display_order = 902,
        value_name = "FORMAT",
        hide_env_values = true
    )]
    pub(crate) log_format: LogFormat,
}

impl OutputArgs {
    /// What holds if the arguments could not be read.
    pub(crate) fn plain() -> Self {
        Self { color: Color::Never, log: None, log_format: LogFormat::Text }
    }
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// Starts logging to stderr; a second call in the same process changes nothing.
pub(crate) fn log(args: &OutputArgs, level: &str) {
    let level = args.log.as_deref().unwrap_or(level);
    let mut filter = tracing_subscriber::EnvFilter::try_new(level).unwrap_or_default();
    // They write whole addresses and requests, and the address of `--notify` is a secret.
    for silent in ["ureq=off", "ureq_proto=off"] {
        if let Ok(directive) = silent.parse() {
            filter = filter.add_directive(directive);
        }
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogQueue::default).with_ansi(false);
    let first = match args.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.fmt_fields(FlatJson).event_format(FlatJson).try_init(),
    };
    if first.is_ok()
        && let Err(error) = log::start()
    {
        let _ = writeln!(io::stderr(), "warning: nothing is logged: {error}");
    }
}
