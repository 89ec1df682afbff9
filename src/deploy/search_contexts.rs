//! `searchcontexts` in the operator's `voicemail.conf`: Asterisk then ignores a box if another tenant has its number.

use super::{Host, includes};
use crate::{
    asterisk::{ConfigFile, lines},
    fs::FileError,
    plan::Plan,
};

impl Host {
    /// Says where `searchcontexts` is set, if the plan has boxes: each tenant numbers them from 1, and with this option
    /// Asterisk takes only the first box of each number.
    ///
    /// # Errors
    /// If `voicemail.conf`, or a file that it includes, cannot be read.
    pub(super) fn search_contexts(&self, plan: &Plan) -> Result<Option<String>, FileError> {
        if !plan.routes.have_boxes() {
            return Ok(None);
        }
        let files = includes::read(&self.config_dir, &self.path(ConfigFile::Voicemail.facts().includer))?;
        Ok(files.iter().find_map(|file| {
            let place = format!("{}:{}", includes::below(&self.config_dir, &file.path), search(&file.text)?);
            let harm = "Asterisk ignores boxes of one tenant whose numbers another tenant has as well";
            Some(format!("`searchcontexts` is set in {place}: {harm}; remove that option"))
        }))
    }
}

/// Finds the line of `[general]` that sets the option. What an included file has before its first section may belong there.
fn search(text: &str) -> Option<usize> {
    let mut is_general = true;
    lines(text).find_map(|(line, text)| {
        if let Some((name, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            is_general = name.eq_ignore_ascii_case("general");
            return None;
        }
        let (key, value) = text.split_once('=')?;
        let is_key = key.trim_end_matches([' ', '\t', '+']).eq_ignore_ascii_case("searchcontexts");
        let value = value.trim_start_matches('>').trim().to_ascii_lowercase();
        let is_true = ["yes", "true", "y", "t", "1", "on"].contains(&value.as_str());
        (is_general && is_key && is_true).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_found_where_asterisk_reads_it() {
        for text in [
            "[general]\nsearchcontexts = yes\n",
            "[General](+) ; x\nSearchContexts=>On ; x\n",
            "; x\nsearchcontexts=1\n",
        ] {
            assert_eq!(search(text), Some(2), "{text}");
        }
        for text in [
            "[general]\nsearchcontexts = no\n",
            "[general]\n;searchcontexts = yes\n",
            "[default]\nsearchcontexts = yes\n",
            "[general]\nformat = wav\n",
        ] {
            assert_eq!(search(text), None, "{text}");
        }
    }
}
