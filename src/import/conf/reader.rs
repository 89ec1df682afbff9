//! Sections, templates, additions and includes.

use std::{collections::HashMap, sync::Arc};

use super::{Config, Fault, Files, Keep, Line, SourceFile, codecs::Codecs};
use crate::{
    asterisk::{Include, endless_comment, include, is_blank, lines},
    import::{Refused, answers::Options},
    model::printable,
};

/// How deep files may include each other, as in Asterisk.
const DEEPEST: usize = 10;

/// How many bytes all files may have, each counted as often as it is included.
const LARGEST: usize = 64 * 1024 * 1024;

/// How many bytes the options of all sections may take together. Templates multiply what a file holds: 100 KB of them took
/// 1.7 GB of memory.
const LARGEST_INHERITED: usize = 256 * 1024 * 1024;

/// What an option takes beside its text, in bytes.
const OF_AN_OPTION: usize = 64;

/// The longest line that Asterisk reads, in bytes.
const LONGEST: usize = 8190;

/// How many sections may have one name: Asterisk has fewer types of objects.
const MOST_OF_A_NAME: usize = 100;

/// How many options a section may have, inherited ones included: Asterisk knows fewer.
const MOST_OPTIONS: usize = 300;

/// A section.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    /// Its name, as written.
    pub(crate) name: String,
    /// Where it begins.
    pub(crate) line: Line,
    /// Whether it is a template, `[name](!)`.
    pub(crate) is_template: bool,
    /// The last value of each option, inherited ones included. Sections without lines of their own share it.
    pub(crate) options: Arc<Options>,
    /// The codecs that `allow` and `disallow` leave.
    pub(crate) codecs: Codecs,
    /// Its own lines in their order, if all are kept: key in lower case, value, place.
    pub(crate) entries: Vec<(String, String, Line)>,
    /// Where each option of its own stands last.
    pub(crate) places: HashMap<String, Line>,
    /// The templates whose lines it has before its own.
    pub(crate) bases: Vec<usize>,
    /// The lines that it is made of: headers, options, and those of additions.
    pub(crate) lines: Vec<Line>,
}

impl Section {
    /// Returns an option; an absent one is empty.
    pub(crate) fn option(&self, key: &str) -> &str {
        self.options.get(key).map_or("", String::as_str)
    }
}

/// Reads a file and all that it includes.
///
/// # Errors
/// If a file cannot be read. What Asterisk would drop or reject stands in [`Config::faults`].
pub(crate) fn read(files: &dyn Files, top: &str, keep: &Keep) -> Result<Config, Refused> {
    let mut reader = Reader {
        source: files,
        keep,
        config: Config::default(),
        indexes: HashMap::new(),
        names: HashMap::new(),
        current: None,
        open: Vec::new(),
        bytes: 0,
        inherited: 0,
        is_stopped: false,
    };
    reader.file(top)?;
    Ok(reader.config)
}

/// The sections of one name, whatever its case.
#[derive(Default)]
struct Named {
    /// All of them, templates included.
    all: Vec<usize>,
    /// The first that is no template.
    real: Option<usize>,
}

struct Reader<'a> {
    source: &'a dyn Files,
    keep: &'a Keep,
    config: Config,
    /// The files by name.
    indexes: HashMap<String, usize>,
    /// The sections by name in lower case.
    names: HashMap<String, Named>,
    /// The section that options go to.
    current: Option<usize>,
    /// The files that include the one that is read.
    open: Vec<String>,
    bytes: usize,
    /// How many bytes of options were copied from templates.
    inherited: usize,
    /// Asterisk reads nothing behind this place.
    is_stopped: bool,
}

impl Reader<'_> {
    fn fault(&mut self, line: Line, what: impl Into<String>) {
        let place = self.config.place(line);
        self.config.faults.push(Fault { place, what: what.into() });
    }

    /// Adds a fault behind which Asterisk reads nothing.
    fn stop(&mut self, line: Line, what: impl Into<String>) {
        self.fault(line, what);
        self.is_stopped = true;
    }

    /// Reads a file; says whether there is one.
    fn file(&mut self, name: &str) -> Result<bool, Refused> {
        let failed = |why: String| Refused::new(format!("cannot read `{}`: {why}", printable(name)), HINT);
        let Some(bytes) = self.source.read(name).map_err(failed)? else { return Ok(false) };
        self.bytes += bytes.len();
        if self.bytes > LARGEST {
            let message = format!("the files are larger than {LARGEST} bytes");
            return Err(Refused::new(message, "import from the running Asterisk (`--running`)"));
        }
        let index = match self.indexes.get(name) {
            Some(index) => *index,
            None => self.add(name, &bytes)?,
        };
        self.open.push(name.to_owned());
        // A copy, because a file may include itself.
        let text = self.config.files[index].text.clone();
        for (number, line) in lines(&text) {
            if self.is_stopped {
                break;
            }
            self.line((index, number), &line)?;
        }
        self.open.pop();
        Ok(true)
    }

    /// Adds a file that is read for the first time.
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<usize, Refused> {
        let shown = printable(name);
        let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).map_err(|error| {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            let hint = "import from the running Asterisk (`--running`), or convert a copy by `iconv -f latin1 -t utf8`";
            Refused::new(format!("{shown}:{line}: this is not UTF-8"), hint)
        })?;
        let index = self.config.files.len();
        self.config.files.push(SourceFile { name: shown, text: text.to_owned() });
        self.indexes.insert(name.to_owned(), index);
        if let Some(line) = endless_comment(text) {
            self.fault((index, line), "a block comment without its other end: Asterisk reads nothing behind it");
        }
        for (number, line) in text.lines().enumerate() {
            if line.len() > LONGEST {
                self.fault((index, number + 1), format!("a line of more than {LONGEST} bytes: Asterisk skips it"));
            } else if line.contains('\0') {
                self.fault((index, number + 1), "a null byte: Asterisk reads nothing of the line behind it");
            }
        }
        Ok(index)
    }

    fn line(&mut self, line: Line, text: &str) -> Result<(), Refused> {
        if let Some(head) = text.strip_prefix('[') {
            self.section(line, head);
        } else if text.starts_with('\\') {
            self.stop(line, "a line that begins with `\\`: Asterisk rejects the whole configuration");
        } else if let Some(found) = include(text) {
            self.include(line, &found)?;
        } else if text.starts_with('#') {
            let word = text.split_whitespace().next().unwrap_or_default();
            if word.eq_ignore_ascii_case("#exec") {
                let place = self.config.place(line);
                self.config.programs.push(place);
            } else {
                self.fault(line, "an unknown directive: Asterisk ignores the line");
            }
        } else {
            self.option(line, text);
        }
        Ok(())
    }

    fn include(&mut self, line: Line, Include { optional, name }: &Include) -> Result<(), Refused> {
        let found = self.source.find(name).map_err(|why| {
            Refused::new(format!("{}: cannot look for the included files: {why}", self.config.place(line)), HINT)
        })?;
        let mut is_there = false;
        for name in found {
            if self.is_stopped {
                break;
            }
            if self.open.contains(&name) {
                self.stop(line, "the file includes itself: Asterisk rejects all of it");
            } else if self.open.len() > DEEPEST {
                self.stop(line, format!("more than {DEEPEST} files include each other: Asterisk rejects all of them"));
            } else {
                is_there |= self.file(&name)?;
            }
        }
        if !is_there && !optional && !self.is_stopped {
            self.stop(line, "an `#include` that matches no file: Asterisk rejects the whole configuration");
        }
        Ok(())
    }

    fn section(&mut self, line: Line, head: &str) {
        let Some((name, rest)) = head.split_once(']') else {
            return self.stop(line, "a section without `]`: Asterisk reads nothing behind it");
        };
        let options = match rest.strip_prefix('(').map(|rest| rest.rsplit_once(')')) {
            Some(None) => return self.stop(line, "a section without `)`: Asterisk reads nothing behind it"),
            Some(Some((options, _))) => options,
            None if rest.trim_start().starts_with('(') => {
                return self.fault(line, "a blank before `(`: Asterisk ignores the templates behind it");
            }
            None => "",
        };
        let mut section = Section { name: name.to_owned(), line, ..Section::default() };
        let mut adds_to = None;
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            if option == "!" {
                section.is_template = true;
            } else if let Some(filter) = option.strip_prefix('+') {
                let Some(index) = self.addition(name, filter) else {
                    let what = "an addition to a section that does not exist: Asterisk reads nothing behind it";
                    return self.stop(line, what);
                };
                adds_to = Some(index);
            } else {
                let base = self.names.get(&option.to_ascii_lowercase()).and_then(|named| named.all.first());
                let Some(base) = base.copied() else {
                    let what = "a template that is not defined before: Asterisk reads nothing behind it";
                    return self.stop(line, what);
                };
                self.inherit(adds_to, &mut section, base);
                if self.inherited > LARGEST_INHERITED {
                    return self.stop(line, TOO_LARGE);
                }
            }
        }
        let index = adds_to.unwrap_or_else(|| self.push(section));
        self.config.sections[index].lines.push(line);
        self.current = Some(index);
    }

    /// Finds the section that `[name](+)` or `[name](+type=endpoint)` adds to.
    fn addition(&self, name: &str, filter: &str) -> Option<usize> {
        let named = self.names.get(&name.to_ascii_lowercase())?;
        let Some((key, value)) = filter.split_once('=') else { return named.real };
        let has = |index: &&usize| {
            let section = &self.config.sections[**index];
            !section.is_template && section.option(key.trim()) == value.trim()
        };
        named.all.iter().find(has).copied()
    }

    fn inherit(&mut self, adds_to: Option<usize>, section: &mut Section, base: usize) {
        // Not its lines: a large template would be copied for each of its sections.
        let Section { options, codecs, .. } = &self.config.sections[base];
        let (options, codecs) = (Arc::clone(options), codecs.clone());
        let to = match adds_to {
            Some(index) => &mut self.config.sections[index],
            None => section,
        };
        to.bases.push(base);
        if to.options.is_empty() {
            to.options = options;
        } else {
            self.inherited += size(&options);
            if Arc::strong_count(&to.options) > 1 {
                self.inherited += size(&to.options);
            }
            Arc::make_mut(&mut to.options).extend(options.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        to.codecs.inherit(&codecs);
    }

    fn push(&mut self, section: Section) -> usize {
        let index = self.config.sections.len();
        let (line, is_template) = (section.line, section.is_template);
        let named = self.names.entry(section.name.to_ascii_lowercase()).or_default();
        named.all.push(index);
        if !is_template {
            named.real.get_or_insert(index);
        }
        let is_too_many = named.all.len() == MOST_OF_A_NAME;
        self.config.sections.push(section);
        if is_too_many {
            self.stop(
                line,
                format!("{MOST_OF_A_NAME} sections of one name: Asterisk rejects objects that it has twice"),
            );
        }
        index
    }

    fn option(&mut self, line: Line, text: &str) {
        let Some((key, value)) = text.split_once('=') else {
            return self.fault(line, "a line without `=`: Asterisk ignores it");
        };
        let Some(current) = self.current else {
            return self.stop(line, "an option before any section: Asterisk rejects the whole file");
        };
        if key.ends_with('+') {
            return self.fault(line, "`+=` adds to an inherited value, which an import does not do");
        }
        let key = key.trim_matches(is_blank).to_ascii_lowercase();
        let value = value.strip_prefix('>').unwrap_or(value).trim_matches(is_blank).replace("\\;", ";");
        let section = &mut self.config.sections[current];
        section.lines.push(line);
        match self.keep {
            Keep::Entries => section.entries.push((key, value, line)),
            Keep::Options => {
                if let "allow" | "disallow" = key.strip_prefix("endpoint/").unwrap_or(&key) {
                    section.codecs.apply(key.trim_start_matches("endpoint/"), &value);
                } else if section.options.len() < MOST_OPTIONS || section.options.contains_key(&key) {
                    if Arc::strong_count(&section.options) > 1 {
                        self.inherited += size(&section.options);
                    }
                    section.places.insert(key.clone(), line);
                    Arc::make_mut(&mut section.options).insert(key, value);
                    if self.inherited > LARGEST_INHERITED {
                        self.stop(line, TOO_LARGE);
                    }
                } else {
                    self.stop(line, format!("more than {MOST_OPTIONS} options in a section: Asterisk knows fewer"));
                }
            }
        }
    }
}

/// Returns how many bytes a copy of options takes.
fn size(options: &Options) -> usize {
    options.iter().map(|(key, value)| key.len() + value.len() + OF_AN_OPTION).sum()
}

const TOO_LARGE: &str = "templates hand on more than 256 MiB of options by here, which an import does not read";

const HINT: &str = "run as a user who may read Asterisk's files, such as root";

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, Instant},
    };

    use super::*;

    /// Files in memory; an include names one of them, or all that begin with what is before its `*`.
    struct Memory(BTreeMap<&'static str, String>);

    impl Files for Memory {
        fn find(&self, name: &str) -> Result<Vec<String>, String> {
            let found = self.0.keys().filter(|key| match name.split_once('*') {
                Some((before, _)) => key.starts_with(before),
                None => **key == name,
            });
            Ok(found.map(|key| (*key).to_owned()).collect())
        }

        fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
            Ok(self.0.get(name).map(|text| text.clone().into_bytes()))
        }
    }

    fn read_all(files: &[(&'static str, &str)]) -> Config {
        let files = files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        read(&Memory(files), "pjsip.conf", &Keep::Options).unwrap()
    }

    fn faults(text: &str) -> Vec<String> {
        let config = read_all(&[("pjsip.conf", text), ("other.conf", "#include pjsip.conf\n")]);
        config.faults.iter().map(|Fault { place, what }| format!("{place}: {what}")).collect()
    }

    #[test]
    fn templates_additions_and_includes_are_resolved_as_asterisk_does() {
        let config = read_all(&[
            (
                "pjsip.conf",
                "[a](!)\nType=endpoint\nallow=alaw\n[b](!,a)\ncontext => x\n#include d/*\n[1](+type=auth)\npassword=p\\;q ; r\n",
            ),
            ("d/1", "[1](b)\nallow=ulaw\n[1]\ntype=auth\npassword=old\n[1](+)\ncontext=y\n"),
            ("d/2", "username=1\n"),
        ]);
        assert_eq!(config.faults, []);
        let [phone, auth] = config.real().collect::<Vec<_>>()[..] else { panic!("{config:?}") };
        assert_eq!(
            (phone.option("type"), phone.option("context"), phone.codecs.shown()),
            ("endpoint", "y", "(alaw|ulaw)".to_owned())
        );
        // What an included file begins with goes to the section before it: here the addition, which is the endpoint's.
        assert_eq!((phone.option("username"), auth.option("password")), ("1", "p;q"));
        assert_eq!(config.place(phone.line), "d/1:1");
        assert_eq!(phone.lines, [(1, 1), (1, 2), (1, 6), (1, 7), (2, 1)]);
    }

    #[test]
    fn what_asterisk_drops_or_rejects_is_a_fault_with_its_place_and_quotes_nothing() {
        for (text, fault) in [
            ("[a\ncanary=1\n", "pjsip.conf:1: a section without `]`: Asterisk reads nothing behind it"),
            ("[a](canary\n", "pjsip.conf:1: a section without `)`: Asterisk reads nothing behind it"),
            ("[a](canary)\n", "pjsip.conf:1: a template that is not defined before: Asterisk reads nothing behind it"),
            (
                &(0..301).fold("[a]\n".to_owned(), |text, n| text + &format!("canary{n}=1\n")),
                "pjsip.conf:302: more than 300 options in a section: Asterisk knows fewer",
            ),
            (
                "[a](+)\n",
                "pjsip.conf:1: an addition to a section that does not exist: Asterisk reads nothing behind it",
            ),
            ("[a](!)\n[b] (a)\n", "pjsip.conf:2: a blank before `(`: Asterisk ignores the templates behind it"),
            ("canary=1\n", "pjsip.conf:1: an option before any section: Asterisk rejects the whole file"),
            (
                "[a]\n\\canary=1\n",
                "pjsip.conf:2: a line that begins with `\\`: Asterisk rejects the whole configuration",
            ),
            ("[a]\ncanary\n", "pjsip.conf:2: a line without `=`: Asterisk ignores it"),
            ("#foo canary\n", "pjsip.conf:1: an unknown directive: Asterisk ignores the line"),
            (
                "#include none\n",
                "pjsip.conf:1: an `#include` that matches no file: Asterisk rejects the whole configuration",
            ),
            ("[a]\n#include other.conf\n", "other.conf:1: the file includes itself: Asterisk rejects all of it"),
            (
                "[a]\n;-- canary\n",
                "pjsip.conf:2: a block comment without its other end: Asterisk reads nothing behind it",
            ),
        ] {
            assert_eq!(faults(text), [fault], "{text}");
        }
        assert_eq!(faults("#tryinclude none\n"), [""; 0]);
        let config = read_all(&[("pjsip.conf", "#exec /bin/canary\n")]);
        assert_eq!(config.programs, ["pjsip.conf:1"]);
        let refused = config.require_whole().unwrap_err();
        assert_eq!(refused.message, "pjsip.conf:1: `#exec` is never run by an import");
    }

    /// 100 KB of templates, each made of the one before it, took 1.7 GB of memory.
    #[test]
    fn what_templates_multiply_is_bounded() {
        let long = "x".repeat(8000);
        let mut text = "[t0](!)\n".to_owned();
        text.extend((0..290).map(|n| format!("x{n}={long}\n")));
        text.extend((1..1000).map(|n| format!("[t{n}](!,t{})\nx1={n}\n", n - 1)));
        let found = faults(&text);
        assert_eq!(
            found,
            ["pjsip.conf:523: templates hand on more than 256 MiB of options by here, which an import does not read"]
        );
    }

    /// Copies of inherited lines would make 50,000 sections of a large template quadratic.
    #[test]
    fn a_hundred_thousand_lines_take_linear_time() {
        let mut text = "[t](!)\n".to_owned();
        text.extend((0..200).map(|n| format!("x{n}=1\n")));
        text.extend((0..50_000).map(|_| "x7=1\n"));
        text.extend((0..50_000).map(|n| format!("[{n}](t)\n")));
        let files = BTreeMap::from([("pjsip.conf", text)]);
        let begin = Instant::now();
        let config = read(&Memory(files), "pjsip.conf", &Keep::Options).unwrap();
        assert_eq!((config.sections.len(), config.sections[50_000].option("x7")), (50_001, "1"));
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }
}
