//! Expressions of the dialplan, in two types: text of our own, and text that a caller or a phone controls.

use std::{collections::BTreeMap, fmt, ops::Add};

use sha2::{Digest, Sha256};

use super::super::BadValue;
use crate::model::{NamePrefix, hex};

/// Applications and functions, each with the module that provides it.
pub(crate) type Words = BTreeMap<&'static str, &'static str>;

/// Text of our own, or text that passed a check: it may stand in any argument.
///
/// There is no way from [`Foreign`] to this type except the checks in this module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expr {
    text: String,
    words: Words,
}

/// A short hash of a text, in hex, with a number behind it if several have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hash(String);

impl Hash {
    /// Hashes a text.
    pub(crate) fn of(text: &str) -> Self {
        Self(hex(&Sha256::digest(text.as_bytes())[..6]))
    }

    /// Tells it apart from others of the same text.
    pub(crate) fn numbered(&self, number: u32) -> Self {
        Self(format!("{}x{number}", self.0))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that a caller, a phone or a carrier controls. It may be copied into a variable or one field of the
/// channel, and checked. It cannot stand in a dial string, an option, a file name, an expression or a list.
///
/// Nor can it stand in the arguments of a function as it is: Asterisk reads `${REGEX("..." ${X})}` only once `X` is in
/// its place, so that `):0` within it would end the arguments, and the function would see what stands before it only.
/// A function gets it with `^` in place of parentheses.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    /// Text of our own before it.
    prefix: String,
    /// The variable or function that it is read from.
    name: String,
    words: Words,
}

/// A variable that holds text of our own only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The called number. If what was called is no number, the one that is shown in its place.
    Called,
    /// The caller's number in E.164 form, `withheld`, or nothing.
    Caller,
    /// The hang-up cause of the last target that did not answer.
    Cause,
    /// The same, for the channels of the dialplan that this one calls.
    InheritedCause,
    /// Asterisk: what runs before the channels that this one calls are told of a new caller: a context, `s`, and the
    /// priority.
    ConnectedLineSub,
    /// The ids of the contacts that were not read yet, with commas between them.
    ContactIds,
    /// The id of the contact that is read.
    ContactId,
    /// The digit that a callee pressed.
    Key,
    /// The dial string of the contacts or the members that may be dialled, with `&` before each.
    Line,
    /// The number of a voicemail box.
    Mailbox,
    /// How often the prompt of a menu was played.
    Tries,
    /// The name of the list of those who get a call that a user does not answer.
    NoAnswer,
    /// Which greeting of a box is played: `unavail` or `busy`.
    Greeting,
    /// Asterisk: how the last `VoiceMail` ended.
    VoicemailStatus,
    /// Asterisk: why the last `Queue` ended without a member.
    QueueStatus,
    /// Asterisk: the argument of the running `Gosub`.
    Argument,
    /// Asterisk: the second argument of the running `Gosub`.
    SecondArgument,
    /// Asterisk: how the last `Dial` ended.
    DialStatus,
    /// Asterisk: the current time, in seconds.
    Epoch,
    /// What becomes of the called side once its subroutine ended: empty to connect it, `CONTINUE` to hang it up.
    GosubResult,
    /// Asterisk: the result of the last `Return`.
    GosubRetval,
    /// Asterisk: why the last called channel ended.
    HangupCause,
    /// Asterisk: the time that rules go by, if it was set.
    TestTime,
    /// Today's date in the time zone of the hours.
    Today,
}

impl Variable {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Called => "CALLED",
            Self::Caller => "CALLER",
            Self::Cause => "CAUSE",
            Self::InheritedCause => "_CAUSE",
            Self::ConnectedLineSub => "_CONNECTED_LINE_SEND_SUB",
            Self::ContactIds => "CONTACT_IDS",
            Self::ContactId => "CONTACT_ID",
            Self::Key => "KEY",
            Self::Line => "LINE",
            Self::Mailbox => "BOX",
            Self::NoAnswer => "NO_ANSWER",
            Self::Tries => "TRIES",
            Self::Greeting => "GREETING",
            Self::VoicemailStatus => "VMSTATUS",
            Self::QueueStatus => "QUEUESTATUS",
            Self::Argument => "ARG1",
            Self::SecondArgument => "ARG2",
            Self::DialStatus => "DIALSTATUS",
            Self::Epoch => "EPOCH",
            Self::GosubResult => "GOSUB_RESULT",
            Self::GosubRetval => "GOSUB_RETVAL",
            Self::HangupCause => "HANGUPCAUSE",
            Self::TestTime => "TESTTIME",
            Self::Today => "TODAY",
        }
    }
}

/// A variable that holds a copy of [`Foreign`] text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignVariable {
    /// A contact as a phone registered it.
    Contact,
    /// The caller's number as it was sent.
    FromNumber,
    /// The caller's name as it was sent.
    FromName,
    /// Whether the caller's number may be shown, as it was sent.
    FromShown,
}

impl ForeignVariable {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Contact => "CONTACT",
            Self::FromNumber => "FROM_NUMBER",
            Self::FromName => "FROM_NAME",
            Self::FromShown => "FROM_SHOWN",
        }
    }
}

/// A field of the channel that may be set to a caller's text: what the callee sees of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerField {
    /// The caller's number.
    Number,
    /// The caller's name.
    Name,
    /// Whether the number may be shown.
    Presentation,
    /// Who redirected the call, as its `Diversion` header says. Asterisk passes it on by itself.
    RedirectedFrom,
    /// The number of who is on the other side, told while the call goes on.
    ConnectedNumber,
    /// The name of who is on the other side.
    ConnectedName,
}

impl CallerField {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Number => "CALLERID(num)",
            Self::Name => "CALLERID(name)",
            Self::Presentation => "CALLERID(pres)",
            Self::RedirectedFrom => "CALLERID(rdnis)",
            Self::ConnectedNumber => "CONNECTEDLINE(num,i)",
            Self::ConnectedName => "CONNECTEDLINE(name,i)",
        }
    }

    /// Names it for reading. `i` says that a value which is set is not told to the other side once more.
    fn read_name(self) -> &'static str {
        match self {
            Self::ConnectedNumber => "CONNECTEDLINE(num)",
            Self::ConnectedName => "CONNECTEDLINE(name)",
            other => other.name(),
        }
    }

    pub(super) fn words(self) -> Words {
        match self {
            Self::ConnectedNumber | Self::ConnectedName => Words::from([("CONNECTEDLINE", "func_callerid")]),
            _ => Words::from([("CALLERID", "func_callerid")]),
        }
    }
}

impl Expr {
    /// Takes text from the desired state: letters, digits and `_ . + - : @ / [ ]`, none of which means
    /// anything in an argument.
    ///
    /// # Errors
    /// When anything else is in it, or it is empty.
    pub(crate) fn text(what: &'static str, text: &str) -> Result<Self, BadValue> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.+-:@/[]".contains(&b);
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(BadValue { what, reason: "only letters, digits and `_ . + - : @ / [ ]` are safe" });
        }
        Ok(Self::plain(text))
    }

    /// Takes what stands before a caller's name: in the value of a field it means nothing.
    pub(crate) fn prefix(prefix: &NamePrefix) -> Self {
        Self::plain(prefix.as_str())
    }

    /// Stands for a number that is not known yet, in a plan.
    ///
    /// # Errors
    /// As for other text.
    pub(crate) fn placeholder(variable: &str) -> Result<Self, BadValue> {
        Ok(Self::plain("(") + Self::text("variable", variable)? + ")")
    }

    /// Names an extension after a hash.
    pub(crate) fn hex(letter: char, hash: &Hash) -> Self {
        Self::plain(format!("{letter}{hash}"))
    }

    /// Counts.
    pub(crate) fn number(number: impl Into<u64>) -> Self {
        Self::plain(number.into().to_string())
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), words: Words::new() }
    }

    /// Reads a variable of our own.
    pub(crate) fn var(variable: Variable) -> Self {
        Self::plain(format!("${{{}}}", variable.name()))
    }

    /// Reads the first `length` characters of a variable of our own.
    pub(crate) fn start(variable: Variable, length: usize) -> Self {
        Self::plain(format!("${{{}:0:{length}}}", variable.name()))
    }

    /// Reads a variable of our own without its first character.
    pub(crate) fn rest(variable: Variable) -> Self {
        Self::plain(format!("${{{}:1}}", variable.name()))
    }

    /// Reads the extension, in one that only our own patterns of digits or our own steps lead to.
    pub(super) fn exten() -> Self {
        Self::plain("${EXTEN}")
    }

    /// Evaluates a condition.
    pub(crate) fn calc(self) -> Self {
        Self { text: format!("$[{}]", self.text), words: self.words }
    }

    /// Compares two texts.
    pub(crate) fn equals(self, other: impl Into<Self>) -> Self {
        quoted(self) + " = " + quoted(other.into())
    }

    /// Compares two texts.
    pub(crate) fn differs_from(self, other: impl Into<Self>) -> Self {
        quoted(self) + " != " + quoted(other.into())
    }

    /// Asks a sorcery object of `res_pjsip` for one of its fields; empty if there is no such object.
    pub(crate) fn sorcery(kind: &'static str, id: Self, field: &'static str) -> Self {
        call("AST_SORCERY", "func_sorcery", Self::from("res_pjsip,") + kind + "," + id + "," + field)
    }

    /// Tells whether a file exists below Asterisk's spool folder: 1 or 0. `path` is made of text of our own.
    pub(crate) fn is_in_spool(path: Self) -> Self {
        call("STAT", "func_env", Self::from("e,${ASTSPOOLDIR}/") + path)
    }

    /// Names the endpoint that makes the call. Only a channel of `PJSIP` has one; Asterisk warns of any other.
    pub(crate) fn calling_endpoint() -> Self {
        call("CHANNEL", "func_channel", Self::from("endpoint"))
    }

    /// Names the technology of the channel, such as `PJSIP`.
    pub(crate) fn technology() -> Self {
        call("CHANNEL", "func_channel", Self::from("channeltype"))
    }

    /// Takes the first element out of a list.
    pub(crate) fn shift(list: Variable) -> Self {
        call("SHIFT", "func_strings", Self::from(list.name()))
    }

    /// Counts the characters of a text.
    pub(crate) fn length(text: Foreign) -> Self {
        call("LEN", "func_strings", text.in_function())
    }

    /// Counts the characters of a variable of our own.
    pub(crate) fn length_of(variable: Variable) -> Self {
        call("LEN", "func_strings", Self::var(variable))
    }

    /// Tells whether a text is empty.
    pub(crate) fn blank(self) -> Self {
        call("ISNULL", "func_logic", self)
    }

    pub(crate) fn strftime(time: Self, zone: Self, format: &'static str) -> Self {
        call("STRFTIME", "func_strings", time + "," + zone + "," + format)
    }

    /// Tells whether a text matches a POSIX extended expression of ours. None may match `^`, which stands for
    /// parentheses. In the expression no backslash may stand, because Asterisk removes it, and each `[` needs its `]`,
    /// because quotes between them would not end it.
    pub(crate) fn matches(pattern: impl Into<Self>, text: Foreign) -> Self {
        call("REGEX", "func_strings", quoted(pattern.into()) + " " + text.in_function())
    }

    /// Tells whether a text in lower case matches a POSIX extended expression of ours.
    pub(crate) fn matches_in_lower_case(pattern: impl Into<Self>, text: Foreign) -> Self {
        let lower = call("TOLOWER", "func_strings", text.in_function());
        call("REGEX", "func_strings", quoted(pattern.into()) + " " + lower)
    }

    /// Tells whether it is the phone of an endpoint of ours that makes the call.
    pub(crate) fn is_calling(endpoint: Self) -> Self {
        let pattern = Self::from("\"^PJSIP/") + endpoint + "-[0-9a-f]+$\" ";
        call("REGEX", "func_strings", pattern + Foreign::channel().in_function())
    }

    /// Keeps the characters of a text that are in a set of ours.
    pub(crate) fn filter(set: &'static str, text: Foreign) -> Self {
        call("FILTER", "func_strings", Self::from(set) + "," + text.in_function())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }
}

fn quoted(text: Expr) -> Expr {
    Expr::from("\"") + text + "\""
}

/// Calls a function.
pub(super) fn call(name: &'static str, module: &'static str, arguments: Expr) -> Expr {
    let mut words = arguments.words;
    words.insert(name, module);
    Expr { text: format!("${{{name}({})}}", arguments.text), words }
}

impl Foreign {
    /// Reads a field of the caller's.
    pub(crate) fn field(field: CallerField) -> Self {
        Self::read(field.read_name(), field.words())
    }

    /// Reads the name of the channel. That of a channel of the dialplan has a number in it that was dialled.
    fn channel() -> Self {
        Self::read("CHANNEL(name)", Words::from([("CHANNEL", "func_channel")]))
    }

    fn read(name: impl Into<String>, words: Words) -> Self {
        Self { prefix: String::new(), name: name.into(), words }
    }

    /// Puts text of our own before it.
    pub(crate) fn after(mut self, prefix: Expr) -> Self {
        self.prefix.insert_str(0, &prefix.text);
        self.words.extend(prefix.words);
        self
    }

    /// Reads a contact as its phone registered it.
    pub(crate) fn contact(id: Expr) -> Self {
        let mut words = id.words;
        words.insert("PJSIP_CONTACT", "func_pjsip_contact");
        Self::read(format!("PJSIP_CONTACT({},uri)", id.text), words)
    }

    /// Reads a copy.
    pub(crate) fn var(variable: ForeignVariable) -> Self {
        Self::read(variable.name(), Words::new())
    }

    /// Reads the extension as it was dialled, up to the first `;`.
    pub(super) fn exten_without_parameters() -> Self {
        Self::read("CUT(EXTEN,;,1)", Words::from([("CUT", "func_cut")]))
    }

    /// Hands the text to a function of ours, which may not end where the text says so.
    fn in_function(self) -> Expr {
        let mut words = self.words;
        words.insert("REPLACE", "func_strings");
        Expr { text: format!("{}${{REPLACE({},(),^)}}", self.prefix, self.name), words }
    }

    /// Hands the text to what follows a check of it.
    pub(super) fn checked(self) -> Expr {
        Expr { text: self.to_string(), words: self.words }
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }
}

impl<T: Into<Expr>> Add<T> for Expr {
    type Output = Self;

    fn add(mut self, other: T) -> Self {
        let Self { text, words } = other.into();
        self.text.push_str(&text);
        self.words.extend(words);
        self
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}${{{}}}", self.prefix, self.name)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
