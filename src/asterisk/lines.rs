//! A configuration file without its comments, as Asterisk reads it.

use std::borrow::Cow;

/// Lists the lines of a configuration file, each with its number, trimmed and without comments: from an unescaped `;` to
/// the end of the line, and between `;--` and `--;`, which may hold others.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let mut comments = Comments::default();
    let bare = text.lines().enumerate().map(move |(index, line)| (index + 1, comments.strip(index + 1, line)));
    bare.filter(|(_, line)| !line.is_empty())
}

/// Finds the line of a comment that makes Asterisk drop the rest of a file: `;--` that is never closed, or `--;` that
/// closes nothing.
pub(crate) fn endless_comment(text: &str) -> Option<usize> {
    let mut comments = Comments::default();
    for (index, line) in text.lines().enumerate() {
        comments.strip(index + 1, line);
    }
    comments.stray.or_else(|| (comments.depth > 0).then_some(comments.opened))
}

/// The block comments at a line.
#[derive(Default)]
struct Comments {
    /// How many are open.
    depth: usize,
    /// The line of the outermost one.
    opened: usize,
    /// The first line with an end that has no beginning.
    stray: Option<usize>,
}

/// Tells whether Asterisk takes a character for a blank: a control character does, a no-break space does not.
pub(crate) fn is_blank(c: char) -> bool {
    c <= ' '
}

impl Comments {
    /// Returns a line without comments. Each `;` is looked at in the order in which Asterisk does.
    fn strip<'a>(&mut self, number: usize, line: &'a str) -> Cow<'a, str> {
        if self.depth == 0 && !line.contains(';') {
            return line.trim_matches(is_blank).into();
        }
        let mut kept = String::new();
        let (mut begin, mut from) = ((self.depth == 0).then_some(0), 0);
        while let Some(at) = line[from..].find(';').map(|at| from + at) {
            let (before, comment) = (&line[from..at], &line[at..]);
            // `;---` begins a comment of one line.
            let opens = comment.starts_with(";--") && !comment.starts_with(";---");
            from = at + if opens { 3 } else { 1 };
            if before.ends_with('\\') {
                from = at + 1;
            } else if opens {
                kept += begin.take().map_or("", |begin| &line[begin..at]);
                if self.depth == 0 {
                    self.opened = number;
                }
                self.depth += 1;
            } else if self.depth > 0 {
                if before.ends_with("--") {
                    self.depth -= 1;
                    begin = (self.depth == 0).then_some(from);
                }
            } else {
                if before.ends_with("--") {
                    self.stray.get_or_insert(number);
                }
                kept += begin.take().map_or("", |begin| &line[begin..at]);
                break;
            }
        }
        kept += begin.map_or("", |begin| &line[begin..]);
        kept.trim_matches(is_blank).to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_with_their_line_or_where_they_are_closed() {
        let read = |text: &str| lines(text).map(|(line, text)| (line, text.into_owned())).collect::<Vec<_>>();
        let kept = |line, text: &str| (line, text.to_owned());
        assert_eq!(read("a = 1 ; b\n; c\n  d = 2\n"), [kept(1, "a = 1"), kept(3, "d = 2")]);
        assert_eq!(read("a = x\\;y ;z\n"), [kept(1, "a = x\\;y")]);
        assert_eq!(read(";--\na = 1\n--; b = 2\nc = 3\n"), [kept(3, "b = 2"), kept(4, "c = 3")]);
        assert_eq!(read("a ;-- b --; = 1\n"), [kept(1, "a  = 1")]);
        assert_eq!(read(";-- ;-- a --; b --; c = 1\n"), [kept(1, "c = 1")]);
        assert_eq!(read(";--- a --;\nb = 1\n"), [kept(2, "b = 1")]);
        assert_eq!(read(";--\n; a \\; --; b = 1\n"), [kept(2, "b = 1")]);
    }

    #[test]
    fn a_comment_that_swallows_the_rest_is_found_with_its_line() {
        for (text, line) in [
            ("a = 1\n;-- b\nc = 2\n;-- d --;\n", Some(2)),
            ("a = 1\nb = 2 --; c\n", Some(2)),
            ("a = 1 \\;-- b\n", None),
            (";-- a ;-- b --; --;\n;---- c --;\n", None),
        ] {
            assert_eq!(endless_comment(text), line, "{text}");
        }
    }
}
