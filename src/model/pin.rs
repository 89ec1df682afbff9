//! PINs of voicemail boxes, and what keeps them from being guessed.
//!
//! There are 100,000 PINs, so any hash of one gives it away. Each PIN has a random tag: both are sealed as one secret
//! and stand side by side in the generated file, and every hash of a PIN or of that file covers the tag as well.

use zeroize::Zeroizing;

use super::{Secret, hex};

/// The characters of a tag: 128 bits in hex.
const TAG: usize = 32;

/// Stands between a PIN and its tag.
const BETWEEN: char = '-';

/// The secret of a voicemail box, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin<'a> {
    /// What people type.
    pub digits: &'a str,
    /// The random tag. `None` if an earlier version made the PIN.
    pub(crate) tag: Option<&'a str>,
}

impl<'a> Pin<'a> {
    /// Takes the secret of a voicemail box apart.
    pub fn of(secret: &'a Secret) -> Self {
        let text = secret.reveal();
        match text.rsplit_once(BETWEEN).filter(|(_, tag)| is_tag(tag)) {
            Some((digits, tag)) => Self { digits, tag: Some(tag) },
            None => Self { digits: text, tag: None },
        }
    }

    /// Writes it as the secret of a voicemail box.
    pub(crate) fn joined(self) -> Zeroizing<String> {
        Zeroizing::new(match self.tag {
            Some(tag) => format!("{}{BETWEEN}{tag}", self.digits),
            None => self.digits.to_owned(),
        })
    }
}

/// Tells whether a text has the form of a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    text.len() == TAG && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Gives a PIN a tag of random bytes, unless it has one.
pub(crate) fn tagged(pin: &Secret, random: &[u8; 16]) -> Secret {
    let Pin { digits, tag: None } = Pin::of(pin) else { return pin.clone() };
    let tag = Zeroizing::new(hex(random));
    match Secret::new(&Pin { digits, tag: Some(&tag) }.joined()) {
        Ok(secret) => secret,
        Err(_) => unreachable!("digits are printable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_gets_one_tag_and_keeps_it() {
        let bare = Secret::new("27182").unwrap();
        assert!(Pin::of(&bare) == Pin { digits: "27182", tag: None });
        let secret = tagged(&bare, &[0xab; 16]);
        assert!(Pin::of(&secret) == Pin { digits: "27182", tag: Some(&"ab".repeat(16)) });
        assert!(tagged(&secret, &[1; 16]) == secret);
        assert_eq!(*Pin::of(&secret).joined(), secret.reveal());
    }
}
