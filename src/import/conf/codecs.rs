//! `allow` and `disallow`, which add up over the lines of a section and its templates.

/// How many codecs a section may name: Asterisk knows fewer.
const MOST: usize = 64;

/// What the lines of a section leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Codecs {
    names: Vec<String>,
    /// Codecs that a line removes if a template before it allowed them.
    removed: Vec<String>,
    /// Whether a line removes whatever was allowed before.
    starts_anew: bool,
}

impl Codecs {
    /// Takes one line, as Asterisk does.
    pub(super) fn apply(&mut self, key: &str, value: &str) {
        for word in value.split([',', '&', '|']).map(str::trim).filter(|word| !word.is_empty()) {
            let (word, takes) = match word.strip_prefix('!') {
                Some(word) => (word, key == "disallow"),
                None => (word, key == "allow"),
            };
            // `ulaw:20` also names the length of a packet.
            let name = word.split(':').next().unwrap_or(word).to_ascii_lowercase();
            match (takes, name.as_str()) {
                (false, "all") => *self = Self { starts_anew: true, ..Self::default() },
                (false, _) => {
                    self.names.retain(|codec| *codec != name);
                    if !self.removed.contains(&name) && self.removed.len() < MOST {
                        self.removed.push(name);
                    }
                }
                (true, _) => self.add(name),
            }
        }
    }

    /// Takes the lines of a template.
    pub(super) fn inherit(&mut self, from: &Self) {
        if from.starts_anew {
            self.clone_from(from);
        } else {
            self.names.retain(|codec| !from.removed.contains(codec));
            for name in &from.names {
                self.add(name.clone());
            }
        }
    }

    fn add(&mut self, name: String) {
        if !self.names.contains(&name) && self.names.len() < MOST {
            self.names.push(name);
        }
    }

    /// Writes the list as `pjsip show endpoint` does.
    pub(crate) fn shown(&self) -> String {
        format!("({})", self.names.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codecs(lines: &[(&str, &str)]) -> Codecs {
        let mut codecs = Codecs::default();
        for (key, value) in lines {
            codecs.apply(key, value);
        }
        codecs
    }

    #[test]
    fn lines_add_up_and_all_starts_anew() {
        for (lines, expected) in [
            (&[("disallow", "all"), ("allow", "alaw"), ("allow", "ulaw")][..], "(alaw|ulaw)"),
            (&[("allow", "g722,alaw"), ("allow", "!all,ulaw:20")], "(ulaw)"),
            (&[("allow", "g722&alaw&G722"), ("disallow", "alaw")], "(g722)"),
            (&[("allow", "g722,alaw,!g722")], "(alaw)"),
        ] {
            assert_eq!(codecs(lines).shown(), expected, "{lines:?}");
        }
        let mut inherited = codecs(&[("allow", "opus")]);
        inherited.inherit(&codecs(&[("allow", "gsm")]));
        assert_eq!(inherited.shown(), "(opus|gsm)");
        inherited.inherit(&codecs(&[("disallow", "opus"), ("allow", "ulaw")]));
        assert_eq!(inherited.shown(), "(gsm|ulaw)");
        inherited.inherit(&codecs(&[("disallow", "all"), ("allow", "alaw")]));
        assert_eq!(inherited.shown(), "(alaw)");
    }
}
