//! PINs of boxes.

use crate::model::Secret;

/// Five digits: how many PINs there are.
const PINS: u32 = 100_000;

/// Makes a PIN of five digits out of random bytes: none that is guessed first.
pub(super) fn generate(random: &[u8; 24]) -> Secret {
    // 2^32 is 42,949 times as much: some PINs are likelier than others by 1 in 42,949.
    let pins = random.chunks_exact(4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % PINS);
    let mut pins = pins.map(|pin| format!("{pin:05}"));
    let last = pins.next_back().unwrap_or_default();
    let pin = pins.find(|pin| !is_run(pin)).unwrap_or(last);
    match Secret::new(&pin) {
        Ok(secret) => secret,
        Err(_) => unreachable!("digits are printable"),
    }
}

/// Tells whether each digit follows on the one before in the same way: `11111`, `12345`, `97531`.
fn is_run(pin: &str) -> bool {
    let digits = pin.as_bytes();
    digits
        .windows(3)
        .all(|three| i16::from(three[1]) - i16::from(three[0]) == i16::from(three[2]) - i16::from(three[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_has_five_digits_and_is_no_run() {
        for byte in 0..=u8::MAX {
            let mut random = [byte; 24];
            random[4..8].copy_from_slice(&(27_182_u32 + u32::from(byte)).to_be_bytes());
            random[..4].copy_from_slice(&11_111_u32.to_be_bytes());
            let pin = generate(&random);
            assert_eq!(pin.reveal(), (27_182 + u32::from(byte)).to_string());
        }
        assert!(["00000", "11111", "12345", "54321", "97531"].into_iter().all(is_run));
        assert!(!is_run("27182") && !is_run("11112"));
        assert_eq!(generate(&[0; 24]).reveal().len(), 5);
    }
}
