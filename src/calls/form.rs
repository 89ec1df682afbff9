//! The parameters of a request: every one of them, as it was sent.
//!
//! A signature covers what was received, so nothing is dropped, joined or trimmed here: names may come
//! twice, differ by case alone, or have no value.

use std::ops::Range;

/// The parameters of a form or a query, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// All names and values, one behind the other.
    text: String,
    parameters: Vec<Parameter>,
}

/// Where a parameter stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    name: Range<usize>,
    value: Range<usize>,
}

impl Form {
    /// Reads a form or a raw query. Percent signs are decoded once: a value may hold more of them.
    pub fn parse(bytes: &[u8]) -> Self {
        form_urlencoded::parse(bytes).collect()
    }

    /// Finds the value of a parameter by its exact name: of several, the first that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// Lists the values of a parameter by its exact name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Lists the parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |range: &Range<usize>| &self.text[range.clone()];
        self.parameters.iter().map(move |Parameter { name, value }| (text(name), text(value)))
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Form {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs {
            let parameter = Parameter { name: form.push(name.as_ref()), value: form.push(value.as_ref()) };
            form.parameters.push(parameter);
        }
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_kept_as_it_was_sent() {
        let form = Form::parse(b"To=&to=ana&Digits=1&Digits=2&Empty&x=%20a+&CallToken=%257B%2522a%2522%253A1%257D");
        let kept: Vec<_> = form.iter().collect();
        assert_eq!(
            kept,
            [
                ("To", ""),
                ("to", "ana"),
                ("Digits", "1"),
                ("Digits", "2"),
                ("Empty", ""),
                ("x", " a "),
                // Decoded once: what is left is the value.
                ("CallToken", "%7B%22a%22%3A1%7D"),
            ]
        );
        assert_eq!((form.get("To"), form.get("to"), form.get("Digits")), (None, Some("ana"), Some("1")));
    }
}
