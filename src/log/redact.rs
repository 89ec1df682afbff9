//! Keeps people out of the log: e-mail addresses and phone numbers are taken out of every line,
//! wherever in it they come from.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// The user of a URL, which stays; or an e-mail address; or a phone number in E.164 form.
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static PERSONAL: LazyLock<Regex> = LazyLock::new(|| {
    let around = r#"\s"<>(),;:@\\"#;
    let (first, local, domain) = (format!("[^{around}`]"), format!("[^{around}]"), format!("[^{around}/'`"));
    Regex::new(&format!(r"://[^{around}/]+@|{first}{local}*@{domain}]+\.{domain}.]+|\+\d{{7,15}}")).expect("a pattern")
});

/// Takes people out of one line or of several. No match spans a line break.
pub(super) fn redacted(line: &str) -> Cow<'_, str> {
    let (mut text, mut taken) = (String::new(), 0);
    // What a match is shows in it: groups in the pattern would need a slower search.
    for found in PERSONAL.find_iter(line).filter(|found| !found.as_str().starts_with("://")) {
        text.push_str(&line[taken..found.start()]);
        if found.as_str().contains('@') {
            text.push_str("(e-mail)");
        } else {
            text.extend(["***", &line[found.end() - 4..found.end()]]);
        }
        taken = found.end();
    }
    if taken == 0 {
        return Cow::Borrowed(line);
    }
    text.push_str(&line[taken..]);
    Cow::Owned(text)
}

/// How long an address or a number is at most, in bytes.
const ADDRESS: usize = 320;

/// Gives the beginning of a text that is too long for a line, at most so many bytes, without people. An address that
/// a cut goes through is not recognised as one any more: people are taken out first.
pub(super) fn beginning(text: &str, at_most: usize) -> String {
    let looked_at = &text[..text.floor_char_boundary(2 * at_most)];
    let mut beginning = redacted(looked_at).into_owned();
    let whole = beginning.len().saturating_sub(ADDRESS).min(at_most);
    beginning.truncate(beginning.floor_char_boundary(whole));
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_taken_out_of_a_line() {
        for (line, expected) in [
            (r#"{"message":"`ana.silva@example.com` is a user"}"#, r#"{"message":"`(e-mail)` is a user"}"#),
            ("email=Bo+x@example.co.uk, to=+4930123456", "(e-mail), to=***3456"),
            (
                "cannot connect to postgres://pbx@db.example.com/pbx",
                "cannot connect to postgres://pbx@db.example.com/pbx",
            ),
            (
                "runs for ana@host since 2026-11-21T10:00:00.123456Z",
                "runs for ana@host since 2026-11-21T10:00:00.123456Z",
            ),
            ("extension 1042, run 123456789", "extension 1042, run 123456789"),
            (r#"{"m":"\"o'b`r=ien/x@example.com\" and <a.b@x.y.z>"}"#, r#"{"m":"\"(e-mail)\" and <(e-mail)>"}"#),
            ("josé@müller.example, 李@例え.jp; {x}@example.com", "(e-mail), (e-mail); (e-mail)"),
            ("https://host/users/ana@example.com", "https:(e-mail)"),
            ("a@example.com@b@example.org", "(e-mail)@(e-mail)"),
            ("tel:+493012345678x and \"+15551234567\"", "tel:***5678x and \"***4567\""),
        ] {
            assert_eq!(redacted(line), expected);
        }
    }

    #[test]
    fn a_cut_leaves_no_part_of_an_address() {
        let text = "ana.silva@example.com, +4930123456, ".repeat(1000);
        for at_most in 1..2000 {
            let beginning = beginning(&text, at_most);
            assert!(beginning.len() <= at_most, "{at_most}");
            assert!(!beginning.contains("ana") && !beginning.contains("+4"), "{at_most}: {beginning}");
        }
    }

    #[test]
    fn a_long_line_takes_no_long_time() {
        for part in ["a", "a.", "a@", "//a", "+1", "@."] {
            let line = part.repeat(100_000 / part.len());
            let began = std::time::Instant::now();
            redacted(&line);
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "{part}: {:?}", began.elapsed());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_is_left_in_a_line(
            local in "[a-zA-Z0-9!#$%&'*+/=?^_{|}~.-]{1,20}",
            domain in "[a-z0-9-]{1,10}\\.[a-z]{2,8}",
            before in "([a-z{\\[]* ?[\"`< (:,=])?",
            after in "([\"`> ),:;]{1,2}[ a-z]*)?",
        ) {
            // Behind a colon, that is the user of a URL.
            proptest::prop_assume!(!local.starts_with("//"));
            let line = redacted_debug(&format!("{before}{local}@{domain}{after}"));
            proptest::prop_assert!(!line.contains(&domain) && !line.contains('@'), "{}", line);
        }
    }

    /// The line as it is, and as JSON holds it.
    fn redacted_debug(line: &str) -> String {
        format!("{}{}", redacted(line), redacted(&serde_json::to_string(line).unwrap()))
    }
}
