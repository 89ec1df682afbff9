//! The language of `extensions.conf`: a dialplan as a tree of contexts, extensions and typed steps.
//!
//! Printed in one place, which escapes `;`. There is no way to put raw text into it: arguments are
//! [`Expr`]essions, and text that callers control is a type of its own, [`Foreign`]. What Asterisk must
//! have loaded is collected from the same steps.

mod contact;
mod counter;
mod expr;
mod from_model;
mod step;

use std::fmt::{self, Write};

pub(crate) use counter::Counter;
pub(crate) use expr::{CallerField, Expr, Foreign, ForeignVariable, Hash, Variable, Words};
pub(crate) use step::{Place, Step};

use super::{BadValue, Name};
use crate::model::visible;

/// A dialplan, in the order in which it is printed.
#[derive(Debug, Default)]
pub(crate) struct Dialplan {
    contexts: Vec<Context>,
}

/// A context with what stands in it.
#[derive(Debug)]
pub(crate) struct Context {
    name: Name,
    /// The comment before it.
    comment: Option<String>,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    Comment(String),
    Include(Expr),
    Hint(Pattern, Expr),
    Extension(Extension),
}

/// The name or pattern of an extension.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(String);

/// An extension with its steps.
#[derive(Debug)]
pub(crate) struct Extension {
    pattern: Pattern,
    steps: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    label: Option<&'static str>,
    step: Step,
    comment: Option<&'static str>,
}

impl Pattern {
    /// Names one extension.
    pub(crate) fn literal(name: impl Into<Expr>) -> Self {
        Self(name.into().as_str().to_owned())
    }

    /// Takes a pattern whose extensions hold digits only, so that `${EXTEN}` may stand anywhere.
    ///
    /// # Errors
    /// When it is a pattern for anything else than digits.
    pub(crate) fn digits(pattern: String) -> Result<(Self, Expr), BadValue> {
        let digits = |b: u8| b.is_ascii_digit() || b"_X[-]".contains(&b);
        if pattern.bytes().all(digits) {
            Ok((Self(pattern), Expr::exten()))
        } else {
            Err(BadValue { what: "a pattern", reason: "it matches more than digits" })
        }
    }

    /// Takes a pattern of a context that no phone and no trunk is in, that is included nowhere, and that
    /// only steps of ours lead to: `${EXTEN}` is what they named.
    pub(crate) fn ours(pattern: &'static str) -> (Self, Expr) {
        (Self(pattern.to_owned()), Expr::exten())
    }

    /// Takes a pattern that a caller may fill in. The second text is what stands before parameters, such as
    /// `;npdi=yes`.
    pub(crate) fn anything(pattern: &'static str) -> (Self, Foreign) {
        (Self(pattern.to_owned()), Foreign::exten_without_parameters())
    }

    /// Takes a name or number with any parameters behind it. `x`, `z` and `n` stand for digits in a pattern.
    pub(crate) fn with_parameters(name: impl Into<Expr>) -> Self {
        let mut pattern = String::from("_");
        for sign in name.into().as_str().chars() {
            if matches!(sign, 'x' | 'z' | 'n') {
                pattern.extend(['[', sign, ']']);
            } else {
                pattern.push(sign);
            }
        }
        Self(pattern + ";!")
    }
}

impl Extension {
    /// Begins an extension.
    pub(crate) fn new(pattern: Pattern) -> Self {
        Self { pattern, steps: Vec::new() }
    }

    /// Adds a step.
    pub(crate) fn step(&mut self, step: Step) -> &mut Self {
        self.steps.push(Line { label: None, step, comment: None });
        self
    }

    /// Adds a step that others jump to.
    pub(crate) fn labelled(&mut self, label: &'static str, step: Step) -> &mut Self {
        self.steps.push(Line { label: Some(label), step, comment: None });
        self
    }

    /// Adds a step and says why.
    pub(crate) fn explained(&mut self, step: Step, comment: &'static str) -> &mut Self {
        self.steps.push(Line { label: None, step, comment: Some(comment) });
        self
    }
}

impl Context {
    /// Begins a context with a comment before it.
    pub(crate) fn new(name: &Name, comment: impl fmt::Display) -> Self {
        Self { name: name.clone(), comment: Some(comment.to_string()), items: Vec::new() }
    }

    /// Begins a context.
    pub(crate) fn bare(name: &Name) -> Self {
        Self { name: name.clone(), comment: None, items: Vec::new() }
    }

    /// Adds a comment: what the next extension is for.
    pub(crate) fn comment(&mut self, text: impl fmt::Display) {
        self.items.push(Item::Comment(text.to_string()));
    }

    /// Adds an extension.
    pub(crate) fn extension(&mut self, extension: Extension) {
        self.items.push(Item::Extension(extension));
    }

    /// Adds an extension of one step.
    pub(crate) fn one_step(&mut self, pattern: Pattern, step: Step) {
        self.items.push(Item::Extension(Extension { pattern, steps: vec![Line { label: None, step, comment: None }] }));
    }

    /// Adds the state that a lamp shows.
    pub(crate) fn hint(&mut self, pattern: Pattern, device: Expr) {
        self.items.push(Item::Hint(pattern, device));
    }

    /// Includes another context: it is tried after this one.
    pub(crate) fn include(&mut self, context: Expr) {
        self.items.push(Item::Include(context));
    }
}

impl Context {
    pub(crate) fn print(&self, text: &mut String) {
        let Self { name, comment, items } = self;
        if let Some(comment) = comment {
            write_comment(text, comment);
        }
        let _ = writeln!(text, "[{name}]");
        for item in items {
            match item {
                Item::Comment(comment) => write_comment(text, comment),
                Item::Include(context) => write_line(text, "include => ", context.as_str(), None),
                Item::Hint(pattern, device) => {
                    write_line(text, "exten => ", &format!("{},hint,{device}", pattern.0), None);
                }
                Item::Extension(extension) => extension.print(text),
            }
        }
    }
}

impl Dialplan {
    /// Adds a context.
    pub(crate) fn push(&mut self, context: Context) {
        self.contexts.push(context);
    }

    /// Lists the applications and functions that it uses, without those of Asterisk's core.
    pub(crate) fn words(&self) -> Words {
        let mut words = Words::new();
        for item in self.contexts.iter().flat_map(|context| &context.items) {
            match item {
                Item::Extension(extension) => {
                    for line in &extension.steps {
                        line.step.write(&mut words);
                    }
                }
                Item::Hint(_, device) => words.extend(device.words()),
                Item::Comment(_) | Item::Include(_) => {}
            }
        }
        words
    }

    /// Prints it, with a blank line before each context.
    pub(crate) fn print(&self, text: &mut String) {
        for context in &self.contexts {
            text.push('\n');
            context.print(text);
        }
    }
}

impl Extension {
    fn print(&self, text: &mut String) {
        for (index, Line { label, step, comment }) in self.steps.iter().enumerate() {
            let label = label.map(|label| format!("({label})")).unwrap_or_default();
            let step = step.write(&mut Words::new());
            if index == 0 {
                write_line(text, "exten => ", &format!("{},1{label},{step}", self.pattern.0), *comment);
            } else {
                write_line(text, " same => ", &format!("n{label},{step}"), *comment);
            }
        }
    }
}

/// Writes a line: `;` would begin a comment, and `\;` is one.
fn write_line(text: &mut String, key: &str, value: &str, comment: Option<&str>) {
    let comment = comment.map(|comment| format!(" ; {comment}")).unwrap_or_default();
    let _ = writeln!(text, "{key}{}{comment}", value.replace(';', "\\;"));
}

/// Writes a comment of one line.
fn write_comment(text: &mut String, comment: &str) {
    let comment: String = visible(comment).filter_map(|(c, seen)| seen.then_some(c)).collect();
    let _ = writeln!(text, "; {comment}");
}
