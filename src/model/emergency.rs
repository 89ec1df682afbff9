//! Which numbers callers dial for help, by country.
//!
//! The table is data of another project (its head names source, version and licence), written by
//! `tests/lab/emergency.py`. It knows more numbers than each country's main one: also those that
//! reach one service only, such as an ambulance.

use std::collections::BTreeSet;

use super::{Code, Extension, Invalid, quoted, text_type};

/// One line for each country: its code, a tab, its numbers. Lines with `#` are comments.
const TABLE: &str = include_str!("emergency/table.tsv");

/// The numbers that count as emergency numbers if no country is declared: those that mobile networks
/// take everywhere.
const WITHOUT_COUNTRY: [u32; 2] = [112, 911];

/// Codes that are often written in place of the ISO code of two letters.
const ALIASES: [(&str, &str); 9] = [
    ("UK", "GB"),
    ("EN", "GB"),
    ("EL", "GR"),
    ("GBR", "GB"),
    ("USA", "US"),
    ("DEU", "DE"),
    ("GER", "DE"),
    ("AUT", "AT"),
    ("CHE", "CH"),
];

text_type! {
    /// A country by its ISO 3166-1 code of two upper-case letters, such as `DE`.
    Country,
    |text| {
        if table().any(|(code, _)| code == text) {
            return Ok(text.to_owned());
        }
        let upper = text.to_ascii_uppercase();
        let alias = ALIASES.iter().find(|(alias, _)| *alias == upper).map(|(_, code)| *code);
        // Any two letters are near some code: only another case is taken for a slip.
        let near = alias.or_else(|| table().map(|(code, _)| code).find(|code| *code == upper));
        Err(Invalid::new(
            Code::UnknownCountry,
            format!("{} is not the code of a country whose emergency numbers are known", quoted(text)),
            &near.map_or_else(
                || {
                    "write the ISO 3166-1 code of two upper-case letters, such as `DE`; without `country:`, 112 and \
                     911 are kept free"
                        .to_owned()
                },
                |near| format!("did you mean `{near}`?"),
            ),
        ))
    },
    { "type": "string", "pattern": "^[A-Z]{2}$" }
}

/// Returns the codes and numbers of the table.
fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
}

/// Reads those of the numbers that could be extensions; one that begins with 0 could not.
fn extensions(numbers: &str) -> impl Iterator<Item = Extension> {
    numbers.split(' ').filter_map(|number| number.parse().ok())
}

/// Returns the emergency numbers of a country; without one, 112 and 911.
pub(crate) fn emergency_numbers(country: Option<&Country>) -> BTreeSet<Extension> {
    match country {
        Some(country) => {
            table().filter(|(code, _)| *code == country.as_str()).flat_map(|(_, numbers)| extensions(numbers)).collect()
        }
        None => WITHOUT_COUNTRY.into_iter().filter_map(|number| Extension::try_from(number).ok()).collect(),
    }
}

/// Returns the emergency numbers of a country as they are dialled, those that begin with 0 among them.
pub(crate) fn emergency_calls(country: &Country) -> impl Iterator<Item = &'static str> {
    let numbers = table().find(|(code, _)| *code == country.as_str()).map(|(_, numbers)| numbers);
    numbers.into_iter().flat_map(|numbers| numbers.split(' '))
}

/// Returns the emergency numbers of all countries.
pub(crate) fn emergency_numbers_anywhere() -> BTreeSet<Extension> {
    table().flat_map(|(_, numbers)| extensions(numbers)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(country: Option<&str>) -> String {
        let country: Option<Country> = country.map(|code| code.parse().unwrap());
        let numbers = emergency_numbers(country.as_ref());
        numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_country_has_its_numbers_and_no_country_has_those_of_mobile_networks() {
        assert_eq!(numbers(Some("DE")), "110 112");
        assert_eq!(numbers(Some("BR")), "112 128 190 192 193 911");
        assert_eq!(numbers(Some("AU")), "106 112", "000 cannot be an extension");
        assert_eq!(numbers(None), "112 911");
        let calls: Vec<&str> = emergency_calls(&"AU".parse().unwrap()).collect();
        assert_eq!(calls, ["000", "106", "112"]);
        let anywhere = emergency_numbers_anywhere();
        for number in [100, 101, 102, 108, 117, 122, 133, 144, 190, 191, 192, 193, 999] {
            assert!(anywhere.contains(&Extension::try_from(number).unwrap()), "{number}");
        }
    }

    #[test]
    fn each_line_of_the_table_is_a_country_with_numbers() {
        assert!(table().count() > 200);
        for (code, numbers) in table() {
            assert!(code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()), "{code}");
            assert!(numbers.split(' ').all(|number| number.bytes().all(|b| b.is_ascii_digit())), "{code}: {numbers}");
            assert!(code.parse::<Country>().is_ok());
        }
    }

    #[test]
    fn a_wrong_country_has_a_hint_with_the_right_one() {
        let hint = |text: &str| text.parse::<Country>().unwrap_err().hint.unwrap();
        assert_eq!(hint("de"), "did you mean `DE`?");
        assert_eq!(hint("UK"), "did you mean `GB`?");
        assert_eq!(hint("USA"), "did you mean `US`?");
        for text in ["Germany", "AQ"] {
            assert!(
                hint(text).starts_with("write the ISO 3166-1 code of two upper-case letters, such as `DE`; without")
            );
        }
    }
}
