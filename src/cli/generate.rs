//! `reconcile generate`: man pages and completions, for packages. Not listed in the help.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Command as Program;
use clap_complete::{Shell, generate};

use super::{Exit, printer::Printer};
use crate::{fs::create, model::shown};

/// Write man pages or shell completions into an empty folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A man page for the program and each command
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Completions for bash, zsh and fish
    Completions {
        /// The folder
        folder: PathBuf,
    },
}

pub(crate) fn run(args: &Args, mut program: Program, printer: &mut Printer) -> Result<Exit> {
    let (folder, count) = match &args.command {
        Command::Man { folder } => {
            program.build();
            (folder, man(folder, &program, "")?)
        }
        Command::Completions { folder } => (folder, completions(folder, &mut program)?),
    };
    printer.talk(&format!("{count} files written to `{}`", shown(folder)));
    Ok(Exit::Done)
}

/// Writes the page of a command and those below it, each named by the whole command; returns how many.
fn man(folder: &Path, program: &Program, before: &str) -> Result<usize> {
    let name = format!("{before}{}", program.get_name());
    let page = clap_mangen::Man::new(program.clone().display_name(name.clone())).source(env!("RECONCILE_VERSION"));
    let mut text = Vec::new();
    page.render(&mut text).context("cannot write a man page")?;
    write(&folder.join(format!("{name}.1")), &text)?;
    let mut count = 1;
    for command in program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        count += man(folder, command, &format!("{name}-"))?;
    }
    Ok(count)
}

/// Writes the completions of all shells; returns how many.
fn completions(folder: &Path, program: &mut Program) -> Result<usize> {
    let shells = [(Shell::Bash, "reconcile.bash"), (Shell::Zsh, "_reconcile"), (Shell::Fish, "reconcile.fish")];
    for (shell, name) in shells {
        let mut text = Vec::new();
        generate(shell, program, "reconcile", &mut text);
        write(&folder.join(name), &text)?;
    }
    Ok(shells.len())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    create(path, &String::from_utf8_lossy(bytes), 0o666)?;
    Ok(())
}
