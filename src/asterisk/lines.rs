//! A configuration file without its comments, as Asterisk reads it.

use std::borrow::Cow;

/// Lists the lines of a configuration file, each with its number, trimmed and without comments: from an unescaped `;` to
/// the end of the line, and between `;--` and `--;`, which may hold others.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let mut depth = 0;
    let bare = text.lines().enumerate().map(move |(index, line)| (index + 1, bare(line, &mut depth)));
    bare.filter(|(_, line)| !line.is_empty())
}

/// Returns a line without comments; `depth` says how many are open.
fn bare<'a>(line: &'a str, depth: &mut usize) -> Cow<'a, str> {
    if *depth == 0 && !line.contains(';') {
        return line.trim().into();
    }
    let (mut kept, mut rest) = (String::new(), line);
    loop {
        if *depth > 0 {
            let (begin, end) = (rest.find(";--"), rest.find("--;"));
            match (begin, end) {
                (Some(begin), end) if end.is_none_or(|end| begin < end) => {
                    *depth += 1;
                    rest = &rest[begin + 3..];
                }
                (_, Some(end)) => {
                    *depth -= 1;
                    rest = &rest[end + 3..];
                }
                _ => break,
            }
            continue;
        }
        let Some((at, _)) = rest.match_indices(';').find(|(at, _)| !rest[..*at].ends_with('\\')) else {
            kept += rest;
            break;
        };
        kept += &rest[..at];
        // `;---` begins a comment of one line.
        match rest[at..].strip_prefix(";--") {
            Some(comment) if !comment.starts_with('-') => (*depth, rest) = (1, comment),
            _ => break,
        }
    }
    kept.trim().to_owned().into()
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
    }
}
