//! The lines by which a configuration file includes others.

/// What an include line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Include {
    /// Whether Asterisk goes on if nothing matches: `#tryinclude`.
    pub(crate) optional: bool,
    /// What it names.
    pub(crate) name: String,
}

/// Reads an `#include` or `#tryinclude` line, in whatever case.
pub(crate) fn include(text: &str) -> Option<Include> {
    let (word, name) = text.split_at_checked(text.find([' ', '\t', '"', '<'])?)?;
    let optional = match word.to_ascii_lowercase().as_str() {
        "#include" => false,
        "#tryinclude" => true,
        _ => return None,
    };
    let name = name.trim_matches([' ', '\t', '"', '<', '>']);
    (!name.is_empty()).then(|| Include { optional, name: name.to_owned() })
}
