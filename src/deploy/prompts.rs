//! Whether the Asterisk host has the prompts that calls hear. Asterisk plays nothing for one that is missing, and goes on.

use super::{
    asterisk::{Asterisk, AsteriskError},
    needs::{ask, result},
};
use crate::model::Prompt;

/// The endings of sound files that Asterisk plays.
const ENDINGS: [&str; 16] = [
    "wav", "WAV", "wav16", "gsm", "ulaw", "ul", "mu", "pcm", "alaw", "al", "g722", "sln", "sln16", "g729", "opus",
    "ogg",
];

/// The folders in which Asterisk looks for a prompt, below its folder of data: that of its language, and without a
/// language.
const FOLDERS: [&str; 2] = ["sounds/${CHANNEL(language)}/", "sounds/"];

/// Tells of each prompt whether Asterisk has a file of it; `None` if its answers do not tell. It looks itself, as the user
/// that it runs as.
///
/// # Errors
/// When it does not run, or stays silent.
pub(super) fn exist(asterisk: &Asterisk, prompts: &[&Prompt]) -> Result<Vec<Option<bool>>, AsteriskError> {
    if prompts.is_empty() {
        return Ok(Vec::new());
    }
    let commands: Vec<String> =
        prompts.iter().flat_map(|prompt| FOLDERS.map(|folder| command(folder, prompt))).collect();
    let answers = ask(asterisk, &commands)?;
    let of_prompt = answers.chunks(FOLDERS.len()).map(|answers| {
        let found: Option<Vec<bool>> = answers.iter().map(|answer| has_file(result(answer.as_ref()?)?)).collect();
        Some(found?.into_iter().any(|found| found))
    });
    Ok(of_prompt.collect())
}

/// Asks for all endings at once. A command has at most 512 bytes.
fn command(folder: &str, prompt: &Prompt) -> String {
    let files: String = ENDINGS.map(|ending| format!("${{STAT(e,${{P}}.{ending})}}")).concat();
    format!("dialplan eval function EVAL(${{SET(P=${{ASTDATADIR}}/{folder}{prompt}):0:0}}{files})")
}

/// Reads which of the files exist: a digit each.
fn has_file(answer: &str) -> Option<bool> {
    let is_answer = answer.len() == ENDINGS.len() && answer.bytes().all(|b| b == b'0' || b == b'1');
    is_answer.then(|| answer.contains('1'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_not_cut() {
        let longest: Prompt = "a".repeat(100).parse().unwrap();
        assert!(command(FOLDERS[0], &longest).len() < 512, "{}", command(FOLDERS[0], &longest));
    }

    #[test]
    fn a_digit_for_each_ending_is_an_answer() {
        assert_eq!(has_file("0000000000000000"), Some(false));
        assert_eq!(has_file("0001000000000000"), Some(true));
        for unclear in ["", "0", "000100000000000x"] {
            assert_eq!(has_file(unclear), None, "{unclear}");
        }
    }
}
