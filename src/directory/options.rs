//! Takes options out of a connection string that the driver does not know, such as `sslrootcert`.
//!
//! Two forms, both of libpq: a URL, whose query is percent-encoded, and `key=value` pairs, whose values may be
//! quoted. A URL library does not read them: libpq's URLs name several hosts, each with a port.

use percent_encoding::percent_decode_str;

/// A connection string without some of its options, and those.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SplitOptions {
    /// What is left for the driver.
    pub(super) rest: String,
    /// The values by the order of the names; of an option given twice the last one, as libpq has it.
    pub(super) values: Vec<Option<String>>,
}

/// Returns whether the text is meant as a URL, not as pairs.
pub(super) fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Takes the named options out; `None` if the text is of neither form.
pub(super) fn take(text: &str, names: &[&str]) -> Option<SplitOptions> {
    let mut taken = SplitOptions { rest: String::new(), values: vec![None; names.len()] };
    if is_url(text) {
        from_url(text, names, &mut taken)?;
    } else {
        from_pairs(text, names, &mut taken)?;
    }
    Some(taken)
}

fn from_url(text: &str, names: &[&str], taken: &mut SplitOptions) -> Option<()> {
    // As the driver has it, a password may hold `/`, `?` and `#`: it ends at the `@`.
    let host = text.find('@').map_or(text.find("://")? + 3, |at| at + 1);
    let query = text[host..].find('?').map_or(text.len(), |at| host + at);
    let mut left: Vec<&str> = Vec::new();
    for pair in text[query..].trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        // A `+` is a plus: this is no form.
        let key = percent_decode_str(key).decode_utf8().ok()?;
        match names.iter().position(|name| *name == key) {
            Some(at) => taken.values[at] = Some(percent_decode_str(value).decode_utf8().ok()?.into_owned()),
            None => left.push(pair),
        }
    }
    text[..query].clone_into(&mut taken.rest);
    if !left.is_empty() {
        taken.rest = format!("{}?{}", taken.rest, left.join("&"));
    }
    Some(())
}

fn from_pairs(text: &str, names: &[&str], taken: &mut SplitOptions) -> Option<()> {
    let mut left: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=')?;
        let (value, behind) = value(behind.trim_start())?;
        match names.iter().position(|name| *name == key.trim_end()) {
            Some(at) => taken.values[at] = Some(value),
            None => left.push(format!("{}='{}'", key.trim_end(), value.replace('\\', "\\\\").replace('\'', "\\'"))),
        }
        rest = behind.trim_start();
    }
    taken.rest = left.join(" ");
    Some(())
}

/// Reads a value, quoted or up to a blank, in which a backslash stands before a character that is meant itself.
/// Answers with what is behind it, too.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (String, Option<String>, Option<String>) {
        let SplitOptions { rest, values } = take(text, &["sslmode", "sslrootcert"]).unwrap();
        let [mode, root] = values.try_into().unwrap();
        (rest, mode, root)
    }

    fn both(rest: &str, mode: &str, root: &str) -> (String, Option<String>, Option<String>) {
        (rest.to_owned(), Some(mode.to_owned()), Some(root.to_owned()))
    }

    #[test]
    fn keys_and_values_of_a_url_are_decoded_once() {
        assert_eq!(
            taken("postgres://u@db/pbx?sslmode=verify-full&sslrootcert=%2Fetc%2Fmy%20ca%2Bb%252F.pem"),
            both("postgres://u@db/pbx", "verify-full", "/etc/my ca+b%2F.pem")
        );
        assert_eq!(
            taken("postgresql://db/pbx?ssl%6Dode=require&options=-c%20a%3D1&sslrootcert=a+b%c3%a9&application_name=x"),
            both("postgresql://db/pbx?options=-c%20a%3D1&application_name=x", "require", "a+bé")
        );
        assert_eq!(
            taken("postgres://db/pbx?sslmode=require&sslmode=prefer&sslrootcert="),
            both("postgres://db/pbx", "prefer", "")
        );
    }

    #[test]
    fn a_password_is_no_query() {
        let url = "postgres://u:a?sslmode=b&c@db1:1,db2:2/pbx?sslmode=disable&sslrootcert=x&target_session_attrs=any";
        assert_eq!(
            taken(url),
            both("postgres://u:a?sslmode=b&c@db1:1,db2:2/pbx?target_session_attrs=any", "disable", "x")
        );
        let slash = "postgres://u:a/b?sslrootcert=c@db/pbx";
        assert_eq!(taken(slash), (slash.to_owned(), None, None));
        let plain = "postgres://u:p%3Fsslmode%3Dx@db/pbx";
        assert_eq!(taken(plain), (plain.to_owned(), None, None));
    }

    #[test]
    fn quoted_pairs_are_read_as_libpq_reads_them() {
        assert_eq!(
            taken(r"host = db  sslrootcert='/my ca/it\'s \\.pem' password='a sslmode=x' sslmode=verify-ca user=a\ b"),
            both(r"host='db' password='a sslmode=x' user='a b'", "verify-ca", r"/my ca/it's \.pem")
        );
    }

    #[test]
    fn other_text_is_rejected() {
        for bad in [
            "pbx",
            "host=db password='x",
            "postgres://db/pbx?sslmode",
            "host=db \\",
            "postgres://db/?a%ff=%ff&sslmode=%ff",
        ] {
            assert_eq!(take(bad, &["sslmode"]), None, "{bad}");
        }
    }
}
