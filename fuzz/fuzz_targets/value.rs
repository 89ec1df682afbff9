//! What is written into a line is read back as it was, by us and by Asterisk, and is one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reconcile::{model::{DisplayName, Extension}, asterisk::{Value, read_value}};

fuzz_target!(|bytes: &[u8]| {
    let text = &*String::from_utf8_lossy(bytes);
    if let Ok(value) = Value::new("fuzz", text) {
        assert_eq!(read_value(value.as_str()), text);
        assert_eq!(read_by_asterisk(value.as_str()).as_deref(), Some(text));
    }
    let Ok(name) = text.parse::<DisplayName>() else { return };
    let Ok(number) = Extension::try_from(1001) else { return };
    let value = Value::caller_id(&name, number).expect("a name that was parsed can be written");
    let read = read_value(value.as_str());
    assert_eq!(read_by_asterisk(value.as_str()), Some(read.clone()));
    let (name_read, number_read) = read.rsplit_once(' ').expect("a name and a number");
    assert_eq!(number_read, "<1001>");
    assert_eq!(unquoted(name_read).as_deref(), Some(name.shown().trim_end()));
});

/// Reads `key = VALUE` as `config_text_file_load` in Asterisk's `main/config.c` does; none where
/// the line would not be one, or would open or end a comment of several lines.
fn read_by_asterisk(value: &str) -> Option<String> {
    let mut line = format!("key = {value}").into_bytes();
    if line.len() > 8190 || line.iter().any(|byte| b"\n\r\0".contains(byte)) {
        return None;
    }
    let mut from = 0;
    while let Some(at) = line[from..].iter().position(|byte| *byte == b';').map(|at| from + at) {
        if at > from && line[at - 1] == b'\\' {
            line.remove(at - 1);
            from = at;
        } else if line[at + 1..].starts_with(b"--") && line.get(at + 3) != Some(&b'-') {
            return None;
        } else if at >= from + 2 && line[..at].ends_with(b"--") {
            return None;
        } else {
            line.truncate(at);
            break;
        }
    }
    let line = String::from_utf8(line).ok()?;
    let (_, value) = line.split_once('=')?;
    let value = value.strip_prefix('>').unwrap_or(value);
    // Its idea of a blank: everything up to the space.
    Some(value.trim_matches(|c: char| c <= ' ').to_owned())
}

/// Reads a quoted string as Asterisk's caller id parser does.
fn unquoted(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '\\' => name.push(chars.next()?),
            '"' => return chars.next().is_none().then_some(name),
            c => name.push(c),
        }
    }
}
