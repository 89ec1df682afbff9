//! Words of menus: prompts and keys.

use super::{Code, Invalid, quoted, text_type};

text_type! {
    /// A sound file below Asterisk's `sounds` folder, without language and ending, such as `acme/welcome`.
    Prompt,
    |text| {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if text.len() <= 100 && text.split('/').all(plain) {
            return Ok(text.to_owned());
        }
        let hint = "write its path below the folder `sounds`, without language and ending, such as `acme/welcome`: letters, \
                    digits and `_ - /`, at most 100 characters";
        Err(Invalid::new(Code::InvalidPrompt, format!("{} is not a prompt", quoted(text)), hint))
    },
    { "type": "string", "pattern": "^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", "maxLength": 100 }
}

text_type! {
    /// A key of a phone.
    MenuKey,
    |text| {
        if text.len() == 1 && text.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#') {
            return Ok(text.to_owned());
        }
        let hint = "write one digit, `\"*\"` or `\"#\"`";
        Err(Invalid::new(Code::InvalidDigit, format!("{} is not a key of a phone", quoted(text)), hint))
    },
    { "type": "string", "pattern": "^[0-9*#]$" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_a_path_below_the_sounds() {
        for name in ["welcome", "acme/welcome-2", "a/b/c_d", "1"] {
            assert_eq!(name.parse::<Prompt>().unwrap().as_str(), name);
        }
        let long = "a".repeat(101);
        for bad in
            ["", "/etc/x", "../x", "a/../b", "a//b", "a/", "a.wav", "a&b", "a,b", "${X}", "http://x", "a b", "ä", &long]
        {
            assert!(bad.parse::<Prompt>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_one_of_twelve() {
        for key in ["0", "9", "*", "#"] {
            assert_eq!(key.parse::<MenuKey>().unwrap().as_str(), key);
        }
        for bad in ["", "10", "a", "i", "t", "_", "X", "**", " "] {
            assert!(bad.parse::<MenuKey>().is_err(), "{bad}");
        }
    }
}
