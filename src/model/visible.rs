//! Which characters a reader can see.
//!
//! A name is shown on phones, in plans and in reviews. Text that a reader cannot see can make two names look
//! alike, or carry a message past a review. So the whole class is refused in names and escaped in output:
//! controls, line and paragraph separators, and everything that Unicode calls a format character or ignorable
//! (text direction, zero-width characters, soft hyphens, tags, variation selectors, fillers).
//!
//! Four kinds of them are part of honest names, and are accepted in the one place where they mean something:
//! - U+200C and U+200D behind a letter of a script that joins its letters, such as Persian or Malayalam,
//! - U+200D between two emoji,
//! - U+FE0E and U+FE0F behind an emoji, or U+FE0F in a keycap such as 1️⃣,
//! - U+E0100 to U+E01EF behind an ideograph: the written form of a Japanese name.
//!
//! Each of them may occur once. A second one behind it is invisible.

use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

/// Tells whether a character is of the class that no reader can see, wherever it stands.
pub(crate) fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = c.general_category();
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || matches!(
        c,
        // Unicode's `Default_Ignorable_Code_Point`, as far as it is of another category.
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2065}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}'
            // The blank of Braille: a symbol by its category.
            | '\u{2800}'
    )
}

/// Goes through a text and tells of each character whether it can be shown where it stands.
pub(crate) fn visible(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = None;
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        let seen = !is_unseen(c) || has_meaning(before, c, rest.peek().copied());
        before = Some(c);
        Some((c, seen))
    })
}

/// Finds the first character that cannot be shown where it stands.
pub(crate) fn first_unprintable(text: &str) -> Option<char> {
    visible(text).find_map(|(c, seen)| (!seen).then_some(c))
}

/// Escapes what a reader would not see, or a terminal or a log would act on, in text that others may have
/// written.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same, but for characters that the place can bear, such as tabs in a diff.
pub(crate) fn escaped(text: &str, bears: fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for (c, seen) in visible(text) {
        if seen || bears(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// Tells whether an unseen character does something for the ones beside it.
fn has_meaning(before: Option<char>, c: char, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        NON_JOINER => joins(before),
        JOINER => joins(before) || (ends_emoji(before) && after.is_some_and(is_emoji)),
        '\u{fe0e}' => is_emoji(before),
        '\u{fe0f}' => is_emoji(before) || (matches!(before, '0'..='9' | '#' | '*') && after == Some('\u{20e3}')),
        '\u{e0100}'..='\u{e01ef}' => is_ideograph(before),
        _ => false,
    }
}

/// Tells whether a character is a letter or mark of a script in which a joiner changes how letters are drawn:
/// the Arabic ones and their neighbours, the Indic ones, Myanmar, Khmer and Mongolian.
fn joins(c: char) -> bool {
    matches!(
        c,
        '\u{620}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}'
            | '\u{a800}'..='\u{abff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{11000}'..='\u{11fff}'
    ) && !is_unseen(c)
        && matches!(
            c.general_category(),
            GeneralCategory::OtherLetter
                | GeneralCategory::ModifierLetter
                | GeneralCategory::NonspacingMark
                | GeneralCategory::SpacingMark
        )
}

fn is_emoji(c: char) -> bool {
    !c.is_ascii() && c.is_emoji_char()
}

fn ends_emoji(c: char) -> bool {
    is_emoji(c) || c == '\u{fe0f}'
}

fn is_ideograph(c: char) -> bool {
    matches!(
        c,
        '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_cannot_be_seen_hides_in_a_name() {
        let hidden = [
            "an\u{ad}a",
            "an\u{200b}a",
            "an\u{200c}a",
            "an\u{200d}a",
            "\u{200d}ana",
            "an\u{2060}a",
            "an\u{2064}a",
            "an\u{feff}a",
            "an\u{34f}a",
            "an\u{180e}a",
            "\u{115f}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{2800}",
            "an\u{fe0f}a",
            "an\u{fe00}a",
            "an\u{e0041}a",
            "an\u{e007f}",
            "an\u{e0101}a",
            "an\u{202e}a",
            "an\u{61c}a",
            "an\u{fff9}a",
            "an\u{1d173}a",
            "an\u{206a}a",
            "an\u{9}a",
            "an\u{7f}a",
            "an\u{9b}a",
            "1\u{fe0f}",
            "🎧\u{fe0f}\u{fe0f}",
            "🎧\u{200d}",
            "🎧\u{200d}a",
            "می\u{200c}\u{200c}خواهم",
            "🏴\u{e0067}\u{e0062}\u{e007f}",
            "葛\u{e0100}\u{e0101}",
            "葛\u{fe00}",
            "🎧\u{e0100}",
        ];
        for name in hidden {
            let bad = first_unprintable(name).unwrap_or_else(|| panic!("{name:?} passes"));
            assert!(printable(name).contains(&bad.escape_default().to_string()), "{name:?}");
            assert_eq!(first_unprintable(&printable(name)), None, "{name:?}");
        }
    }

    #[test]
    fn what_joins_letters_and_emoji_stays() {
        let names = [
            "Ana Silva",
            "Zoë O'Neil",
            "نمی\u{200c}خواهم",
            "علی\u{200c}رضا",
            "ශ්\u{200d}රී",
            "രമേശന്\u{200d}",
            "क्\u{200d}ष",
            "👨\u{200d}👩\u{200d}👧",
            "👩🏽\u{200d}💻",
            "❤\u{fe0f}\u{200d}🔥",
            "☎\u{fe0e}",
            "1\u{fe0f}\u{20e3}",
            "葛\u{e0100}城",
            "日本 🎧",
            "🇵🇹",
            "한국",
            "ភាសា",
            "\u{a0}Ana",
        ];
        for name in names {
            assert_eq!(first_unprintable(name), None, "{name:?}");
            assert_eq!(printable(name), name);
        }
    }

    #[test]
    fn every_control_and_format_character_is_of_the_class() {
        let missed: Vec<char> = ('\0'..=char::MAX)
            .filter(|c| {
                let category = c.general_category();
                matches!(category, GeneralCategory::Control | GeneralCategory::Format) && !is_unseen(*c)
            })
            .collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}
