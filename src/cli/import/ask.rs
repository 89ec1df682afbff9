//! What an import asks the running Asterisk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use anyhow::Result;

use crate::{
    asterisk::{ConfigFile, parameters},
    deploy::{Asterisk, missing_folder},
    error::Hinted,
    fs::failed,
    import::{answers, running},
    render::section_names,
};

/// Asks Asterisk all that the import needs.
pub(super) fn ask(asterisk: &Asterisk, config_dir: &Path) -> Result<answers::Answers> {
    asterisk.wait_until_booted()?;
    if let Some(missing) = missing_folder(config_dir, Some(asterisk))? {
        return Err(Hinted::new(&missing, missing.hint()).into());
    }
    let shows = |kind: &str, names: &BTreeSet<String>, read: fn(&str) -> answers::Options| -> Result<BTreeMap<_, _>> {
        let commands: Vec<String> = names.iter().map(|name| format!("pjsip show {kind} {name}")).collect();
        let answers = asterisk.ask_all(&commands)?;
        Ok(names.iter().cloned().zip(answers.iter().map(|answer| read(answer.raw()))).collect())
    };
    let endpoints = running::endpoints(asterisk.ask("pjsip show endpoints")?.raw());
    let names = endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
    let mut answers = answers::Answers {
        ours: ours(config_dir)?,
        settings: parameters(asterisk.ask("pjsip show settings")?.raw()),
        options: shows("endpoint", &names, running::endpoint_options)?,
        endpoints,
        registered: running::registered(asterisk.ask("database show registrar/contact")?.raw()),
        ..answers::Answers::default()
    };
    answers.auths = shows("auth", &answers.first_of("auth"), parameters)?;
    answers.aors = shows("aor", &answers.first_of("aors"), parameters)?;
    let mut next: Vec<String> = answers.dialled().into_iter().collect();
    while let Some(name) = next.pop() {
        if answers.contexts.contains_key(&name) {
            continue;
        }
        let context = running::context(asterisk.ask(&format!("dialplan show {name}"))?.raw());
        next.extend(context.includes.iter().cloned());
        answers.contexts.insert(name, context);
    }
    Ok(answers)
}

/// Names the endpoints that generated files on this host define.
pub(super) fn ours(config_dir: &Path) -> Result<BTreeSet<String>> {
    let facts = ConfigFile::Endpoints.facts();
    let folder = config_dir.join(facts.folder);
    let tenants = match fs::read_dir(&folder) {
        Ok(tenants) => tenants,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed("read", &folder)(error).into()),
    };
    let mut names = BTreeSet::new();
    // The folder holds our lock, too.
    for tenant in tenants.flatten().filter(|tenant| tenant.path().is_dir()) {
        let text = crate::fs::read(&tenant.path().join(ConfigFile::Endpoints.name()))?;
        names.extend(text.iter().flat_map(|text| section_names(text)).map(str::to_owned));
    }
    Ok(names)
}
