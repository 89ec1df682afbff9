//! PINs in the voicemail file in place that are not the recorded ones, though nothing was recorded since the last apply.

use super::InPlace;
use crate::{
    asterisk::ConfigFile,
    directory::{Recorded, RecordedSecret},
    plan::{Plan, SecretPlan},
};

/// Notes that the next apply makes other PINs valid: an older dump was restored, and with it PINs that were renewed.
pub(super) fn note(plan: &Plan, recorded: &Recorded, in_place: &InPlace) -> Option<String> {
    let boxes = &in_place[ConfigFile::Voicemail].as_ref()?.parsed.boxes;
    let logins = plan.routes.logins();
    let is_applied = |row: &RecordedSecret| match (&row.print, &row.applied) {
        (Some(print), Some(applied)) => print.shown == *applied,
        _ => false,
    };
    let kept = plan.secrets.iter().filter(|(_, planned)| planned.secret == SecretPlan::Keep);
    let others = kept.filter(|(id, planned)| {
        let place = logins.get(*id).map(|login| login.place(&plan.tenant, id)).unwrap_or_default();
        let in_file = place.split_once(' ').and_then(|(context, number)| boxes.get(context)?.get(number));
        let is_other = planned.print.as_ref().zip(in_file).is_some_and(|(print, found)| !print.is_shown(&found.secret));
        is_other && recorded.secrets.get(*id).is_some_and(is_applied)
    });
    let count = others.count();
    let boxes = if count == 1 { "1 voicemail box".to_owned() } else { format!("{count} voicemail boxes") };
    (count > 0).then(|| {
        format!(
            "the generated file and the database have different PINs for {boxes}, though nothing was recorded since the \
             last apply: another host of this database applied the change, an older dump was restored, or the file was \
             edited; an apply makes the PINs of the database valid"
        )
    })
}
