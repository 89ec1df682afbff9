//! The language of `pjsip.conf`: sections of a type with options.

use std::fmt::{self, Write};

use super::{BadValue, ConfigFile, Name, Value};

/// The type of an object of `res_pjsip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionType {
    /// A user name with a secret.
    Auth,
    /// An address of record: where something is reached.
    Aor,
    /// An endpoint: how calls go to something and come from there.
    Endpoint,
    /// Addresses whose calls are those of an endpoint.
    Identify,
    /// A registration at a carrier.
    Registration,
}

impl SectionType {
    /// All types, in the order in which they are written.
    pub const ALL: [Self; 5] = [Self::Auth, Self::Aor, Self::Endpoint, Self::Identify, Self::Registration];

    /// Returns the word that Asterisk's configuration and commands use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Aor => "aor",
            Self::Endpoint => "endpoint",
            Self::Identify => "identify",
            Self::Registration => "registration",
        }
    }

    /// Finds the type that a word stands for.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.word() == word)
    }

    /// Tells whether a generation mark vouches for objects of this type.
    pub(crate) fn has_mark(self) -> bool {
        ConfigFile::Endpoints.facts().marks.iter().any(|mark| mark.kind == self.word())
    }
}

impl fmt::Display for SectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An object of `res_pjsip` to write: its type and its options, in the order in which they are printed.
#[derive(Debug)]
pub(crate) struct Section {
    name: Name,
    kind: SectionType,
    /// The module that Asterisk must have loaded for it, beside those of phones.
    module: Option<&'static str>,
    lines: Vec<(&'static str, Value)>,
}

impl Section {
    /// Begins a section of a type.
    pub(crate) fn new(name: &Name, kind: SectionType) -> Self {
        Self { name: name.clone(), kind, module: None, lines: Vec::new() }
    }

    /// Adds the module that Asterisk must have loaded for it.
    pub(crate) fn behind(self, module: &'static str) -> Self {
        Self { module: Some(module), ..self }
    }

    /// Adds an option.
    ///
    /// # Errors
    /// When the value cannot stand in a line.
    pub(crate) fn option(&mut self, key: &'static str, value: &str) -> Result<&mut Self, BadValue> {
        self.lines.push((key, Value::new(key, value)?));
        Ok(self)
    }

    /// Adds options.
    ///
    /// # Errors
    /// When a value cannot stand in a line.
    pub(crate) fn options<'a>(
        &mut self,
        options: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Result<&mut Self, BadValue> {
        for (key, value) in options {
            self.option(key, value)?;
        }
        Ok(self)
    }

    /// Returns its type and the module that Asterisk must have loaded for it, if there is one.
    pub(crate) fn module(&self) -> Option<(SectionType, &'static str)> {
        self.module.map(|module| (self.kind, module))
    }

    pub(crate) fn print(&self, text: &mut String) {
        let Self { name, kind, lines, .. } = self;
        let _ = writeln!(text, "[{name}]\ntype = {kind}");
        for (key, value) in lines {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
}
