//! What makes a SIP secret easy to guess.

use std::collections::BTreeMap;

/// Below so many characters a secret is weak.
const LONG_ENOUGH: usize = 12;

/// A secret, and the names that whoever guesses tries first.
pub(crate) struct Guessable<'a> {
    pub(crate) secret: &'a str,
    pub(crate) names: Vec<&'a str>,
}

/// Says of each secret why it is weak, if it is. No secret is quoted.
pub(crate) fn weaknesses(secrets: &[Guessable<'_>]) -> Vec<Option<String>> {
    let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
    for Guessable { secret, .. } in secrets {
        *holders.entry(secret).or_default() += 1;
    }
    let weakness = |Guessable { secret, names }: &Guessable<'_>| {
        if holders[secret] > 1 {
            Some("its secret is also that of other phones".to_owned())
        } else if names.contains(secret) {
            Some("its secret is its user name".to_owned())
        } else {
            (secret.len() < LONG_ENOUGH).then(|| format!("its secret has fewer than {LONG_ENOUGH} characters"))
        }
    };
    secrets.iter().map(weakness).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_are_shared_a_name_or_short_are_weak() {
        let guessable = |secret, name| Guessable { secret, names: vec![name] };
        let long = "long-enough-1";
        let found = weaknesses(&[
            guessable("a-shared-secret", "1"),
            guessable("a-shared-secret", "2"),
            guessable(long, long),
            guessable("short", "4"),
            guessable("long-enough-2", "5"),
        ]);
        let found: Vec<&str> = found.iter().map(|why| why.as_deref().unwrap_or("strong")).collect();
        assert_eq!(
            found,
            [
                "its secret is also that of other phones",
                "its secret is also that of other phones",
                "its secret is its user name",
                "its secret has fewer than 12 characters",
                "strong"
            ]
        );
    }
}
