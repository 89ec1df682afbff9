//! The patch of the files that an import came from.

use anyhow::Result;

use super::{Folder, Phones, hinted};
use crate::{
    asterisk::ConfigFile,
    deploy,
    error::Hinted,
    import::{
        Imported,
        conf::{Files, Keep},
        patch::{Appended, Tree, patch},
    },
    model::Tenant,
};

/// The line that includes the files of all tenants, for each file that every tenant has.
const INCLUDES: [(ConfigFile, &str); 2] = [
    (ConfigFile::Endpoints, "#tryinclude pjsip.d/*/generated_endpoints.conf"),
    (ConfigFile::Routing, "#tryinclude extensions.d/*/generated_routing.conf"),
];

/// Writes the patch; lists what it does not take out.
pub(super) fn of(folder: &Folder, tenant: &Tenant, phones: Option<&Phones>, imported: &mut Imported) -> Result<String> {
    let Some(Phones { pjsip, wizard }) = phones else {
        let hint = "Asterisk 21 and later have no chan_sip: set up a new host with the imported file";
        return Err(Hinted::new("there is no patch of sip.conf, because its phones are not PJSIP's", hint).into());
    };
    let trees = [
        Tree { top: "pjsip.conf", config: pjsip, keep: Keep::Options },
        Tree { top: "pjsip_wizard.conf", config: wizard, keep: Keep::Options },
    ];
    let mut appended = Vec::new();
    for (file, line) in INCLUDES {
        let facts = file.facts();
        if deploy::includes_file(&folder.0, facts.includer, &file.path(tenant))? {
            continue;
        }
        let Some(text) = folder.read(facts.includer).map_err(anyhow::Error::msg)? else {
            let hint = format!("make an empty {} in the configuration folder", facts.includer);
            return Err(Hinted::new(format!("there is no {} to include our file in", facts.includer), hint).into());
        };
        // Only its lines are counted.
        let text = String::from_utf8_lossy(&text).into_owned();
        appended.push(Appended { file: facts.includer, text, line });
    }
    let endpoints = imported.endpoints.keys().cloned().collect();
    patch(folder, &trees, &endpoints, &appended, &mut imported.left_out).map_err(hinted)
}
