//! The table of generated files. What differs between them is a column here, the renderer in `render`, or what is
//! read back in `deploy`; everything else goes by the table.

use std::{
    array,
    ops::{Index, IndexMut},
};

use super::{mark_context, mark_name};
use crate::model::Tenant;

/// An Asterisk module that reads a generated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module {
    /// The name that administrators know it by.
    pub name: &'static str,
    /// The name that Asterisk loads it by, without `.so`.
    pub object: &'static str,
    /// Asterisk's command for the narrow reload.
    pub(crate) reload_command: &'static str,
    /// The sources of Asterisk whose errors and warnings are about its configuration, beside `config.c`.
    pub(crate) log_sources: &'static [&'static str],
}

/// How Asterisk is asked for a generation. `{name}`, `{context}` and `{mark}` stand for
/// [`mark_name`], [`mark_context`] and the mark.
#[derive(Debug)]
pub struct MarkCheck {
    /// What bears the mark, for messages.
    pub kind: &'static str,
    command: &'static str,
    /// How a line of the answer begins, behind spaces, if it runs.
    line: &'static str,
}

impl MarkCheck {
    /// Returns the command that asks for a mark.
    pub fn command(&self, tenant: &Tenant, mark: &str) -> String {
        filled(self.command, tenant, mark)
    }

    /// Tells whether an answer to the command shows the mark.
    pub(crate) fn is_shown(&self, answer: &str, tenant: &Tenant, mark: &str) -> bool {
        let line = filled(self.line, tenant, mark);
        answer.lines().any(|found| found.trim_start().starts_with(&line))
    }
}

fn filled(text: &str, tenant: &Tenant, mark: &str) -> String {
    let text = text.replace("{name}", &mark_name(tenant, mark)).replace("{context}", &mark_context(tenant));
    text.replace("{mark}", mark)
}

/// What the sections of a file are to Asterisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sections {
    /// Objects with options. Only `[name](+)` adds to one.
    Objects,
    /// Contexts with entries. All sections of one name are one context.
    Contexts,
}

/// A row of the table.
#[derive(Debug)]
pub struct Facts {
    /// What it is called in messages.
    pub(crate) noun: &'static str,
    /// The word in the names of the file and of our notes about it.
    word: &'static str,
    /// The folder below Asterisk's configuration folder, with a folder for each tenant.
    pub folder: &'static str,
    /// The operator's file that includes it.
    pub(crate) includer: &'static str,
    /// The module whose narrow reload takes it.
    pub module: Module,
    /// What `module` is called in a sentence.
    pub reader: &'static str,
    /// What its sections are to Asterisk.
    pub sections: Sections,
    /// Whether only the tenants that use it have the file.
    pub is_optional: bool,
    /// What a reload does to tenants whose file the operator's file does not include.
    pub(crate) harm: &'static str,
    /// Modules that watch what the file defines, and that learn of a new watcher by a reload after that of the endpoints.
    pub(crate) watchers: &'static [Module],
    /// How Asterisk is asked whether it runs any generation. `None` if its marks are in the listings of objects.
    pub(crate) any_mark: Option<MarkCheck>,
    /// How Asterisk is asked for its mark: once for each type of object that loads independently.
    pub marks: &'static [MarkCheck],
}

/// Declares the files and all that is derived from the list of them.
macro_rules! config_files {
    ($($(#[$doc:meta])* $file:ident { $($facts:tt)* })*) => {
        /// A configuration file that is generated for each tenant.
        ///
        /// In the order of writing and of reload: the dialplan after what it names, and queues after the dialplan, whose hints
        /// tell whether a member is free. Asterisk takes a member for invalid, and calls nobody, if its hint is not there
        /// when the queue is loaded (measured with Asterisk 22).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ConfigFile {
            $($(#[$doc])* $file,)*
        }

        impl ConfigFile {
            /// All files, in the order of reload.
            pub const ALL: [Self; COUNT] = [$(Self::$file),*];
        }

        const COUNT: usize = [$(stringify!($file)),*].len();

        static CONFIG_FILES: PerFile<Facts> = PerFile([$(Facts { $($facts)* }),*]);

        impl<T> PerFile<T> {
            /// Makes a value for each file, up to the first error.
            ///
            /// # Errors
            /// The first error.
            pub(crate) fn try_from_fn<E>(mut make: impl FnMut(ConfigFile) -> Result<T, E>) -> Result<Self, E> {
                Ok(Self([$(make(ConfigFile::$file)?),*]))
            }
        }
    };
}

/// The line of `pjsip show` above an object's values. The table above it cuts long names; that there are values is
/// the proof.
const PARAMETERS: &str = "ParameterName";

config_files! {
    /// Voicemail boxes.
    Voicemail {
        noun: "voicemail file",
        word: "voicemail",
        folder: "voicemail.d",
        includer: "voicemail.conf",
        module: Module {
            name: "app_voicemail",
            object: "app_voicemail",
            reload_command: "module reload app_voicemail.so",
            log_sources: &["app_voicemail.c"],
        },
        reader: "app_voicemail",
        sections: Sections::Contexts,
        is_optional: true,
        harm: "a reload would leave Asterisk without their voicemail boxes",
        watchers: &[Module {
            name: "res_pjsip_mwi",
            object: "res_pjsip_mwi",
            reload_command: "module reload res_pjsip_mwi.so",
            log_sources: &["res_pjsip_mwi.c"],
        }],
        any_mark: Some(MarkCheck { kind: "box", command: "voicemail show users for {context}", line: "{context} " }),
        marks: &[MarkCheck { kind: "box", command: "voicemail show users for {context}", line: "{context} {mark} " }],
    }
    /// Phones and trunks.
    Endpoints {
        noun: "endpoint file",
        word: "endpoints",
        folder: "pjsip.d",
        includer: "pjsip.conf",
        module: Module {
            name: "res_pjsip",
            object: "res_pjsip",
            reload_command: "module reload res_pjsip.so",
            log_sources: &["config_options.c", "res_sorcery_config.c", "config_auth.c"],
        },
        reader: "res_pjsip",
        sections: Sections::Objects,
        is_optional: false,
        harm: "a reload would leave Asterisk without their phones and trunks",
        watchers: &[],
        any_mark: None,
        marks: &[
            MarkCheck { kind: "endpoint", command: "pjsip show endpoint {name}", line: PARAMETERS },
            MarkCheck { kind: "aor", command: "pjsip show aor {name}", line: PARAMETERS },
            MarkCheck { kind: "auth", command: "pjsip show auth {name}", line: PARAMETERS },
        ],
    }
    /// The dialplan.
    Routing {
        noun: "routing file",
        word: "routing",
        folder: "extensions.d",
        includer: "extensions.conf",
        module: Module {
            name: "dialplan",
            object: "pbx_config",
            reload_command: "dialplan reload",
            log_sources: &["pbx_config.c", "pbx.c"],
        },
        reader: "the dialplan",
        sections: Sections::Contexts,
        is_optional: false,
        harm: "a reload would leave Asterisk without their dialplan, so that their phones can dial nothing",
        watchers: &[],
        any_mark: Some(MarkCheck {
            kind: "dialplan",
            command: "dialplan show {context}",
            line: "[ Context '{context}'",
        }),
        marks: &[MarkCheck { kind: "dialplan", command: "dialplan show {mark}@{context}", line: "'{mark}'" }],
    }
    /// Queues.
    Queues {
        noun: "queue file",
        word: "queues",
        folder: "queues.d",
        includer: "queues.conf",
        module: Module {
            name: "app_queue",
            object: "app_queue",
            reload_command: "module reload app_queue.so",
            log_sources: &["app_queue.c"],
        },
        reader: "app_queue",
        sections: Sections::Objects,
        is_optional: true,
        harm: "a reload would leave Asterisk without their queues",
        watchers: &[],
        any_mark: Some(MarkCheck { kind: "queue", command: "queue show", line: "{name}" }),
        marks: &[MarkCheck { kind: "queue", command: "queue show {name}", line: "{name} has " }],
    }
}

impl ConfigFile {
    /// Returns its row of the table.
    pub const fn facts(self) -> &'static Facts {
        &CONFIG_FILES.0[self as usize]
    }

    /// Returns the module whose narrow reload takes it.
    pub const fn module(self) -> Module {
        self.facts().module
    }

    /// Returns its name in the folder of a tenant.
    pub fn name(self) -> String {
        format!("generated_{}.conf", self.facts().word)
    }

    /// Returns its path below Asterisk's configuration folder.
    pub fn path(self, tenant: &Tenant) -> String {
        format!("{}/{tenant}/{}", self.facts().folder, self.name())
    }

    /// Returns the line with which the operator includes it, once for all tenants. `#tryinclude`, because Asterisk
    /// rejects the whole of the operator's file if a plain `#include` matches nothing.
    pub(crate) fn include_line(self) -> String {
        format!("#tryinclude {}/*/{}", self.facts().folder, self.name())
    }

    /// Returns the name of the note that holds what Asterisk was last proven to run.
    pub(crate) fn last_good_note(self) -> String {
        format!("last_good_{}.conf", self.facts().word)
    }

    /// Returns the name of the note that holds what was last proven to run before that.
    pub fn previous_note(self) -> String {
        format!("previous_{}.conf", self.facts().word)
    }
}

/// One value for each generated file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerFile<T>([T; COUNT]);

impl<T> PerFile<T> {
    /// Takes the same value for each file.
    pub const fn all(value: T) -> Self
    where
        T: Copy,
    {
        Self([value; COUNT])
    }

    /// Takes another value for one file.
    #[must_use]
    pub const fn with(mut self, file: ConfigFile, value: T) -> Self
    where
        T: Copy,
    {
        self.0[file as usize] = value;
        self
    }

    /// Makes a value for each file.
    pub fn from_fn(mut make: impl FnMut(ConfigFile) -> T) -> Self {
        Self(array::from_fn(|index| make(ConfigFile::ALL[index])))
    }

    /// Makes another value of each.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> PerFile<U> {
        PerFile(self.0.map(make))
    }

    /// Borrows each value.
    pub fn each_ref(&self) -> PerFile<&T> {
        PerFile(self.0.each_ref())
    }

    /// Walks over the values, each with its file.
    pub fn iter(&self) -> impl Iterator<Item = (ConfigFile, &T)> {
        ConfigFile::ALL.into_iter().zip(&self.0)
    }

    /// Walks over the values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<ConfigFile> for PerFile<T> {
    type Output = T;

    fn index(&self, file: ConfigFile) -> &T {
        &self.0[file as usize]
    }
}

impl<T> IndexMut<ConfigFile> for PerFile<T> {
    fn index_mut(&mut self, file: ConfigFile) -> &mut T {
        &mut self.0[file as usize]
    }
}

impl<T> IntoIterator for PerFile<T> {
    type Item = (ConfigFile, T);
    type IntoIter = std::iter::Zip<array::IntoIter<ConfigFile, COUNT>, array::IntoIter<T, COUNT>>;

    fn into_iter(self) -> Self::IntoIter {
        ConfigFile::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn acme() -> Tenant {
        "acme".parse().unwrap()
    }

    /// Two files that share one of these would overwrite each other, or what is kept about them.
    #[test]
    fn no_two_files_share_a_path_or_a_note() {
        for name in [
            |file: ConfigFile| file.path(&acme()),
            ConfigFile::last_good_note,
            ConfigFile::previous_note,
            ConfigFile::include_line,
        ] {
            let names: BTreeSet<String> = ConfigFile::ALL.into_iter().map(name).collect();
            assert_eq!(names.len(), ConfigFile::ALL.len(), "{names:?}");
        }
    }

    /// The dialplan names boxes and endpoints, and queues look at its hints.
    #[test]
    fn what_needs_another_file_is_reloaded_after_it() {
        use ConfigFile::{Endpoints, Queues, Routing, Voicemail};
        assert_eq!(ConfigFile::ALL, [Voicemail, Endpoints, Routing, Queues]);
    }

    #[test]
    fn each_value_is_found_by_its_file() {
        let paths = PerFile::from_fn(|file| file.path(&acme()));
        assert!(ConfigFile::ALL.into_iter().all(|file| paths[file] == file.path(&acme())));
        assert!(paths.iter().all(|(file, path)| *path == file.path(&acme())));
        let stopped = PerFile::try_from_fn(|file| if file == ConfigFile::Routing { Err(file) } else { Ok(()) });
        assert_eq!(stopped, Err(ConfigFile::Routing));
        assert_eq!(paths[ConfigFile::Endpoints], "pjsip.d/acme/generated_endpoints.conf");
        assert_eq!(paths[ConfigFile::Routing], "extensions.d/acme/generated_routing.conf");
    }

    /// As Asterisk 22 answers.
    #[test]
    fn a_mark_runs_if_asterisk_shows_it_and_not_if_it_only_repeats_the_question() {
        let mark = "6d430e6d8d3f1e9feda7ae4d5dc778f1";
        let shows = |file: ConfigFile, answer: &str| {
            file.facts().marks.iter().map(|check| check.is_shown(answer, &acme(), mark)).collect::<BTreeSet<bool>>()
        };
        let auth = " ParameterName     : ParameterValue\n ========\n auth_type         : digest\n";
        let none = format!("Unable to find object acme-gen-{mark}.\n\n");
        assert_eq!(shows(ConfigFile::Endpoints, auth), BTreeSet::from([true]));
        assert_eq!(shows(ConfigFile::Endpoints, &none), BTreeSet::from([false]));
        let context = format!("[ Context 'acme-generation' created by 'pbx_config' ]\n  '{mark}' => 1. NoOp()\n");
        let none = format!("There is no existence of {mark}@acme-generation extension\n");
        assert_eq!(shows(ConfigFile::Routing, &context), BTreeSet::from([true]));
        assert_eq!(shows(ConfigFile::Routing, &none), BTreeSet::from([false]));
        let commands = ConfigFile::ALL.map(|file| file.facts().marks.iter().map(|check| check.command(&acme(), mark)));
        let commands: Vec<String> = commands.into_iter().flatten().collect();
        let boxes = format!("Context    Mbox  User  Zone  NewMsg\nacme-generation {mark}             0\n");
        let none = "No such voicemail context \"acme-generation\"\n";
        assert_eq!(shows(ConfigFile::Voicemail, &boxes), BTreeSet::from([true]));
        assert_eq!(shows(ConfigFile::Voicemail, none), BTreeSet::from([false]));
        assert!(commands.contains(&format!("pjsip show auth acme-gen-{mark}")), "{commands:?}");
        assert!(commands.contains(&format!("dialplan show {mark}@acme-generation")), "{commands:?}");
        assert!(commands.contains(&"voicemail show users for acme-generation".to_owned()), "{commands:?}");
        assert!(commands.iter().all(|command| !command.contains('{')), "{commands:?}");
    }

    #[test]
    fn the_docs_give_each_line_that_the_operator_adds_and_each_folder_that_serve_writes() {
        fn read(path: &Path, text: &mut String) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()) {
                read(&entry, text);
            }
            if path.extension().is_some_and(|extension| extension == "md") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut text = String::new();
        read(&root.join("README.md"), &mut text);
        read(&root.join("docs"), &mut text);
        for line in ConfigFile::ALL.map(ConfigFile::include_line) {
            assert!(text.lines().any(|found| found.trim() == line), "{line}");
        }
        let unit = fs::read_to_string(root.join("examples/serve/reconcile-serve.service")).unwrap();
        let writes = unit.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
        let writes: Vec<&str> = writes.split(' ').collect();
        let optional = |file: ConfigFile| if file.facts().is_optional { "-" } else { "" };
        for folder in ConfigFile::ALL.map(|file| format!("{}/etc/asterisk/{}", optional(file), file.facts().folder)) {
            assert!(writes.contains(&folder.as_str()), "{folder}");
        }
    }
}
