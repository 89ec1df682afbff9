//! `reconcile numbers`: what each number is, and whose.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Exit,
    printer::Printer,
    settings::Format,
    users::{TenantArgs, extensions},
};
use crate::{
    directory::Recorded,
    model::{E164, Extension},
    objects::NumberOwner,
    report::json,
};

/// The version of the document: raised when a reader of the old one would misunderstand it.
const FORMAT_VERSION: u32 = 1;

/// List the recorded numbers with their owners: extensions, voicemail boxes and public numbers
///
/// Also lists extensions that are held for a former owner, with the date until which, and those that are left to your own
/// contexts: reserved ones and emergency numbers. All other numbers of the ranges are free.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reconcile numbers -f pbx.yaml\n  reconcile numbers held --extension 1000-1099")]
pub(crate) struct Args {
    /// Only rows that hold this text, in upper or lower case: a number, `held`, an owner or a name
    text: Option<String>,
    /// Only this extension, or those of a range such as 1000-1099
    #[arg(long, value_name = "N|RANGE")]
    extension: Option<String>,
    #[command(flatten)]
    which: TenantArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The numbers of a tenant.
#[derive(Debug, Serialize, JsonSchema)]
struct NumbersDocument<'a> {
    /// The version of this document: 1.
    format_version: u32,
    /// The tenant's slug.
    tenant: &'a str,
    /// The numbers: extensions first, then voicemail boxes, then public numbers, each in ascending order.
    numbers: Vec<Number>,
}

#[expect(clippy::struct_field_names, reason = "the words of the document")]
/// A number.
#[derive(Debug, Serialize, JsonSchema)]
struct Number {
    /// The digits, of a public number in E.164 form with its `+`.
    number: String,
    /// What it is: `user`, `held`, `reserved`, `emergency` or `public`, or the kind of the object that has it, such as
    /// `group` or `box`.
    kind: String,
    /// The e-mail or id of the user, or the name of the object that has it. Of a held number the former owner, of a public
    /// one the objects that name it. Null for a number without an owner.
    owner: Option<String>,
    /// The user's display name; null of all others.
    name: Option<String>,
    /// The moment until which a held number is kept; null of all others.
    until: Option<String>,
}

impl Number {
    fn new(number: &impl ToString, kind: &(impl ToString + ?Sized), owner: Option<String>) -> Self {
        Self { number: number.to_string(), kind: kind.to_string(), owner, name: None, until: None }
    }

    fn holds(&self, text: &str) -> bool {
        let values = [Some(&self.number), Some(&self.kind), self.owner.as_ref(), self.name.as_ref()];
        values.into_iter().flatten().any(|value| value.to_lowercase().contains(text))
    }
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let within = args.extension.as_deref().map(extensions).transpose()?;
    let tenant = args.which.tenant(printer)?;
    let recorded = match args.which.state.open_to_list(printer)? {
        Some(mut directory) => directory.read_readable(&tenant)?,
        None => Recorded::default(),
    };
    args.which.require(&tenant, recorded.tenant.is_some())?;
    let in_range = |number: &Extension| within.is_none_or(|(first, last)| (first..=last).contains(number));
    let listed = of_phones(&recorded, Timestamp::now());
    let mut numbers: Vec<Number> =
        listed.into_iter().filter(|(number, _)| in_range(number)).map(|(_, listed)| listed).collect();
    if within.is_none() {
        numbers.extend(of_boxes(&recorded));
        numbers.extend(public(&recorded));
    }
    if let Some(text) = args.text.as_ref().map(|text| text.to_lowercase()) {
        numbers.retain(|number| number.holds(&text));
    }
    printer.document(&match args.format {
        Format::Text => table(&numbers),
        Format::Json => {
            json::pretty(&NumbersDocument { format_version: FORMAT_VERSION, tenant: tenant.as_str(), numbers })?
        }
    });
    Ok(Exit::Done)
}

/// Lists the numbers that phones dial. One that has an owner is nothing else.
fn of_phones(recorded: &Recorded, now: Timestamp) -> BTreeMap<Extension, Number> {
    let mut numbers = BTreeMap::new();
    if let Some(tenant) = &recorded.tenant {
        let settings = &tenant.settings;
        let emergency = settings.emergency_numbers().into_iter().map(|number| (number, "emergency"));
        let reserved = settings.reserved.iter().map(|number| (*number, "reserved"));
        numbers.extend(reserved.chain(emergency).map(|(number, kind)| (number, Number::new(&number, kind, None))));
        for (number, hold) in &recorded.holds {
            let until = hold.freed_at.checked_add(SignedDuration::from_hours(24 * i64::from(settings.hold_days)));
            let until = until.unwrap_or(Timestamp::MAX);
            if until > now {
                let owner = Some(hold.owner.to_string());
                let held = Number { until: Some(until.to_string()), ..Number::new(number, "held", owner) };
                numbers.insert(*number, held);
            }
        }
    }
    for ((kind, name), number) in recorded.routes.extensions() {
        numbers.insert(number, Number::new(&number, &kind, Some(name)));
    }
    for user in recorded.users.values() {
        let (number, owner) = (user.extension, Some(user.email.to_string()));
        numbers.insert(number, Number { name: Some(user.name.to_string()), ..Number::new(&number, "user", owner) });
    }
    numbers
}

/// Lists the numbers of voicemail boxes, in ascending order.
fn of_boxes(recorded: &Recorded) -> Vec<Number> {
    let objects = recorded.routes.objects();
    let mut boxes: Vec<_> = objects
        .iter()
        .filter_map(|((kind, name), object)| {
            let (number, user) = object.mailbox()?;
            let owner = user.and_then(|user| recorded.users.get(user)).map(|user| user.email.to_string());
            Some((number, Number::new(number, kind, Some(owner.unwrap_or_else(|| name.clone())))))
        })
        .collect();
    boxes.sort_by_key(|(number, _)| (number.as_str().len(), *number));
    boxes.into_iter().map(|(_, listed)| listed).collect()
}

/// Lists the public numbers, each with the objects because of which it is the tenant's.
fn public(recorded: &Recorded) -> Vec<Number> {
    let objects = recorded.routes.objects();
    let mut owners: BTreeMap<&E164, Vec<String>> = BTreeMap::new();
    for (id, object) in &objects {
        for number in object.numbers() {
            owners.entry(number).or_default().push(NumberOwner::Object(id.clone()).to_string());
        }
    }
    owners.into_iter().map(|(number, owners)| Number::new(number, "public", Some(owners.join(", ")))).collect()
}

fn table(numbers: &[Number]) -> String {
    let width = |head: &str, of: fn(&Number) -> &str| {
        numbers.iter().map(|number| of(number).chars().count()).max().unwrap_or(0).max(head.len())
    };
    let owner: fn(&Number) -> &str = |number| number.owner.as_deref().unwrap_or_default();
    let (number, kind) = (width("NUMBER", |number| &number.number), width("KIND", |number| &number.kind));
    let wide = width("OWNER", owner);
    let mut text = format!("{:<number$}  {:<kind$}  {:<wide$}  NAME\n", "NUMBER", "KIND", "OWNER");
    for listed in numbers {
        let until = listed.until.as_ref().map(|until| format!("until {}", until.get(..10).unwrap_or(until)));
        let last = listed.name.clone().or(until).unwrap_or_default();
        let line = format!("{:<number$}  {:<kind$}  {:<wide$}  {last}", listed.number, listed.kind, owner(listed));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Writes the JSON schema of the document.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn schema() -> Result<String> {
    json::pretty(&schemars::schema_for!(NumbersDocument<'static>))
}
