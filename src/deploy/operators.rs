//! Which endpoints, auths and AORs files other than ours define, so that they run after a reload, too.

use std::{collections::BTreeMap, fs, path::Path};

use super::{Host, includes};
use crate::{
    asterisk::{ConfigFile, lines},
    fs::FileError,
};

/// The file of the module that makes objects of few lines.
const WIZARD: &str = "pjsip_wizard.conf";

/// The file that says where Asterisk looks for objects.
const SORCERY: &str = "sorcery.conf";

/// What the operator's files define.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OperatorsNames {
    /// Each name with its place, as `file:line`.
    Known(BTreeMap<String, String>),
    /// Asterisk also looks elsewhere, such as in a database.
    Unknown,
}

impl Host {
    /// Reads the names of all sections that Asterisk would load without our files.
    ///
    /// # Errors
    /// If a file cannot be read: what it defines is not known then.
    pub(super) fn operators_names(&self) -> Result<OperatorsNames, FileError> {
        let file = ConfigFile::Endpoints.facts();
        let generated = fs::canonicalize(self.config_dir.join(file.folder)).ok();
        let is_ours = |path: &Path| {
            let name = path.file_name().is_some_and(|name| *name == *ConfigFile::Endpoints.name());
            name && generated
                .as_ref()
                .is_some_and(|folder| fs::canonicalize(path).is_ok_and(|path| path.starts_with(folder)))
        };
        if includes::read(&self.config_dir, &self.config_dir.join(SORCERY))?
            .iter()
            .any(|file| looks_elsewhere(&file.text))
        {
            return Ok(OperatorsNames::Unknown);
        }
        let mut names = BTreeMap::new();
        for top in [file.includer, WIZARD] {
            for file in includes::read(&self.config_dir, &self.config_dir.join(top))? {
                if is_ours(&file.path) {
                    continue;
                }
                for (line, name) in defined(&file.text) {
                    let place = || format!("{}:{line}", includes::below(&self.config_dir, &file.path));
                    names.entry(name).or_insert_with(place);
                }
            }
        }
        Ok(OperatorsNames::Known(names))
    }
}

/// Lists the names of sections that are neither templates nor additions.
fn defined(text: &str) -> Vec<(usize, String)> {
    let section = |(line, text): (usize, std::borrow::Cow<'_, str>)| {
        let (name, options) = text.strip_prefix('[')?.split_once(']')?;
        let options = options.trim_start_matches('(').trim_end_matches(')').split(',').map(str::trim);
        let defines = options.into_iter().all(|option| option != "!" && !option.starts_with('+'));
        defines.then(|| (line, name.to_owned()))
    };
    lines(text).filter_map(section).collect()
}

/// Tells whether a `sorcery.conf` takes phones from anything but `pjsip.conf`.
fn looks_elsewhere(text: &str) -> bool {
    let mut is_pjsip = false;
    lines(text).any(|(_, line)| {
        if let Some(name) = line.strip_prefix('[') {
            is_pjsip = name.starts_with("res_pjsip]");
            return false;
        }
        let Some((kind, source)) = line.split_once('=') else { return false };
        let kind = kind.trim().split('/').next().unwrap_or_default();
        let source = source.trim_start_matches('>').trim();
        let is_file = source.starts_with("config,pjsip.conf") || source.starts_with("memory");
        is_pjsip && ["endpoint", "auth", "aor"].contains(&kind) && !is_file
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_define_an_object_are_found() {
        let text = "[a](!)\n[1000](a)\ntype = auth\n;[1001]\n;--\n[1002]\n--;\n[1000](+)\n[b](+,a)\n[1003]\n";
        assert_eq!(defined(text), [(2, "1000".to_owned()), (10, "1003".to_owned())]);
    }

    #[test]
    fn objects_of_a_database_are_not_known() {
        for (text, elsewhere) in [
            ("[res_pjsip]\nendpoint=realtime,ps_endpoints\n", true),
            (
                "[res_pjsip]\nendpoint/cache = memory_cache,maximum_objects=100\nendpoint = config,pjsip.conf,criteria=type=endpoint\n",
                false,
            ),
            ("[test]\nendpoint=realtime,x\n[res_pjsip]\ntransport=realtime,y\n;auth=realtime,z\n", false),
            ("[res_pjsip]\nauth => realtime,ps_auths\n", true),
        ] {
            assert_eq!(looks_elsewhere(text), elsewhere, "{text}");
        }
    }
}
