//! `reconcile tenant remove`: a tenant's phones, numbers and rows, ended for good.

use std::{cell::RefCell, collections::BTreeMap};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    Exit,
    printer::Printer,
    session,
    settings::{ActorArgs, HostArgs, PlanFormat, StateArgs},
    stop::Stop,
};
use crate::{
    deploy::{self, Comparison, NamePlaces, Observer, Policy, Request, Survey},
    desired,
    directory::{DesiredFiles, Directory, DirectoryError, ManagedBy, Recorded},
    error::Hinted,
    model::Tenant,
    plan::{InboundValues, Inputs, RailStop},
    report::{RecordedIn, Report},
};

/// Remove a tenant
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// End a tenant: its phones on this host, its numbers, and all that is recorded about it
    ///
    /// Deletes all users, those of the API as well, and everything else that the tenant declares, at the same rails as an
    /// apply. The generated files stay as stubs, because an `#include` line may name them. Then the rows, calls, tokens and
    /// the audit log are deleted. They stay until the same command has run on each host that has files of the tenant.
    /// Voicemail messages stay in the spool.
    #[command(after_help = "Example:\n  reconcile tenant remove acme --allow deletes=12")]
    Remove(Box<RemoveArgs>),
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// The tenant
    #[arg(value_name = "SLUG")]
    tenant: String,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    host: HostArgs,
    /// Let N cases pass a rail (a safety limit), such as `deletes=57`
    #[arg(long, value_name = "NAME=N")]
    allow: Vec<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Write the files and leave Asterisk alone
    #[arg(long)]
    no_reload: bool,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let Command::Remove(args) = &args.command;
    let tenant: Tenant = args.tenant.parse().map_err(Stop::argument)?;
    let allowance = session::allowance(&args.allow)?;
    let host = args.host.resolve(&args.state, !args.no_reload)?;
    let (mut directory, keys) = args.state.open_to_write(&mut |line| printer.talk(line))?;
    directory.migrate()?;
    if !directory.knows(&tenant)? {
        let message = format!("tenant `{tenant}` is not recorded");
        return Err(Hinted::new(message, "check the spelling and DATABASE_URL").into());
    }
    let name = format!("tenant remove {tenant}");
    let loaded = desired::load_text(&name, &format!("version: 1\ntenant: {tenant}\nusers: []\n"));
    let desired = session::checked(name, loaded, printer)?;
    let (database, now) = (directory.show(), Timestamp::now());
    let (secrets, inbound) = (BTreeMap::new(), InboundValues::default());
    let generation = RefCell::new(String::new());
    let compare = |recorded: &Recorded, survey: &Survey| {
        let all = owned_by_the_file(recorded);
        let inputs = Inputs {
            declared: &desired.declared,
            recorded: &all,
            secrets: &secrets,
            inbound: &inbound,
            allowance: &allowance,
            highest_box: 0,
            now,
        };
        let comparison = deploy::compare(&inputs, survey, Vec::new())?;
        *generation.borrow_mut() = comparison.generation();
        Ok(comparison)
    };
    let printing = RefCell::new(printer);
    let show = |comparison: &mut Comparison| {
        let mut printer = printing.borrow_mut();
        let recorded_in = RecordedIn::Database(&database);
        let report = Report { desired: &desired, comparison, recorded_in, allowance: &allowance, arguments: "" };
        let document = super::plan::written(&report, PlanFormat::Text, &printer)?;
        // It names another command than this one.
        let lines = document.lines().filter(|line| !line.starts_with("Apply exactly this:"));
        printer.document(&lines.map(|line| format!("{line}\n")).collect::<Vec<_>>().concat());
        let stops: Vec<String> = comparison.stops.iter().map(RailStop::to_string).collect();
        if stops.is_empty() { Ok(()) } else { Err(Stop::new(Exit::Rail, stops.join("\n")).into()) }
    };
    let (places, actor) = (NamePlaces::new(), args.actor.resolve());
    let request = Request {
        tenant: &tenant,
        secrets: &secrets,
        object_secrets: &inbound.secrets,
        keys: &keys,
        compare: &compare,
        show: &show,
        policy: Policy { allowance: &allowance, places: &places, now },
        expect: None,
        again: true,
        desired: DesiredFiles::new(),
        actor: actor.clone(),
        git_commit: None,
    };
    let applied = deploy::apply(&request, &mut directory, &host, &mut Silent)?;
    let printer = printing.into_inner();
    for warning in &applied.warnings {
        printer.talk(&format!("warning: {warning}"));
    }
    host.forget_previous(&tenant)?;
    let left = delete(&mut directory, &tenant, &generation.into_inner())?;
    printer.document(&if left.is_empty() {
        format!("Removed: the files of `{tenant}` on this host are stubs, and nothing is recorded about it any more.\n")
    } else {
        let hosts = left.join(", ");
        format!("Ended on this host. The rows of `{tenant}` stay until the same command has run on: {hosts}\n")
    });
    Ok(Exit::Done)
}

/// Deletes the rows, unless another host still has files with phones; returns these hosts.
fn delete(directory: &mut Directory, tenant: &Tenant, generation: &str) -> Result<Vec<String>, DirectoryError> {
    let mut writer = directory.write(tenant)?;
    let left = writer.hosts_with_files(tenant, generation)?;
    if left.is_empty() {
        writer.remove_tenant(tenant)?;
        writer.commit()?;
    }
    Ok(left)
}

/// Takes users of the API for users of the file, so that all of them are deleted at the same rails.
fn owned_by_the_file(recorded: &Recorded) -> Recorded {
    let mut all = recorded.clone();
    for user in all.users.values_mut() {
        user.managed_by = ManagedBy::File;
    }
    all
}

/// Says nothing while it works.
struct Silent;

impl Observer for Silent {
    fn phase(&mut self, name: &'static str) {
        tracing::info!("{name}");
    }
}
