//! Whether the operator's files lead Asterisk to ours: the include lines as Asterisk reads them,
//! comments left out, wildcards and further files followed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use glob::{MatchOptions, Pattern};

/// How deep files may include each other.
const DEEPEST: usize = 8;

/// As Asterisk's wildcards: none of them crosses a folder or finds a hidden file.
const WILDCARDS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Tells whether a file includes another one, itself or through files that it includes.
pub(super) fn leads_to(config_dir: &Path, file: &Path, target: &Path) -> bool {
    follows(config_dir, file, target, 0)
}

fn follows(config_dir: &Path, file: &Path, target: &Path, depth: usize) -> bool {
    let Ok(bytes) = fs::read(file) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let patterns: Vec<String> = includes(&text).map(|name| absolute(config_dir, name)).collect();
    let finds = |pattern: &String| Pattern::new(pattern).is_ok_and(|p| p.matches_path_with(target, WILDCARDS));
    patterns.iter().any(finds)
        || (depth < DEEPEST
            && patterns.iter().any(|pattern| {
                let found = glob::glob_with(pattern, WILDCARDS).into_iter().flatten().flatten();
                let mut found: Vec<PathBuf> = found.collect();
                found.retain(|path| path != file);
                found.iter().any(|path| follows(config_dir, path, target, depth + 1))
            }))
}

fn absolute(config_dir: &Path, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    format!("{}/{name}", Pattern::escape(&config_dir.to_string_lossy()))
}

/// Lists what `#include` and `#tryinclude` lines name, outside of comments.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    let mut commented = false;
    text.lines().filter_map(move |line| {
        if commented {
            commented = !line.contains("--;");
            return None;
        }
        let line = line.trim();
        if line.starts_with(";--") && !line.starts_with(";---") {
            commented = !line[3..].contains("--;");
            return None;
        }
        let name = line.strip_prefix("#include").or_else(|| line.strip_prefix("#tryinclude"))?;
        let name = name.strip_prefix([' ', '\t', '"', '<'])?.split(';').next()?;
        let name = name.trim_matches([' ', '\t', '"', '<', '>']);
        (!name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_lines_are_read_as_asterisk_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let (top, target) =
            (folder.path().join("pjsip.conf"), folder.path().join("pjsip.d/acme/generated_endpoints.conf"));
        let leads = |text: &str| {
            fs::write(&top, text).unwrap();
            leads_to(folder.path(), &top, &target)
        };
        fs::write(folder.path().join("mine.conf"), "#include pjsip.d/*/generated_endpoints.conf\n").unwrap();
        for text in [
            "#include pjsip.d/*/generated_endpoints.conf",
            "  #include \"pjsip.d/acme/*.conf\" ; ours",
            "#tryinclude <pjsip.d/acme/generated_endpoints.conf>",
            "#include mine.conf",
            ";-- a note --;\n#include mi*.conf",
            &format!("#include {}/pjsip.d/*/generated_endpoints.conf", folder.path().display()),
        ] {
            assert!(leads(text), "{text}");
        }
        for text in [
            ";#include pjsip.d/*/generated_endpoints.conf",
            ";--\n#include pjsip.d/*/generated_endpoints.conf\n--;",
            "#include pjsip.d/lab/generated_endpoints.conf",
            "#include \"pjsip.d/nosuch\"; pjsip.d/*/generated_endpoints.conf",
            "#include pjsip.d/*.conf",
            "#include pjsip.conf",
            "",
        ] {
            assert!(!leads(text), "{text}");
        }
    }
}
