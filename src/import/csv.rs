//! Lists of people and phones as CSV: plain ones, those of `FreePBX` and Wazo, and others with a mapping.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Trim};
use zeroize::Zeroizing;

use super::{BROWSER_PHONE, Candidate, Found, LeftOut, Rank, Refused};
use crate::model::{Extension, printable};

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A header with our own words.
    Plain,
    /// The Bulk Handler's "Extensions" of `FreePBX` 15 to 17.
    FreePbx,
    /// The user export of Wazo.
    Wazo,
    /// The user list of the Google admin console.
    Google,
}

/// Which columns hold a key, several of them with a blank between them; by key.
pub(crate) type Mapping = BTreeMap<String, Vec<String>>;

/// Stands alone in the last line, unless a quote before it is not closed: all that follows would be one field then.
const END: &str = "\u{1}end\u{1}";

/// The keys that columns can be mapped to.
pub(crate) const KEYS: [&str; 5] = ["name", "email", "extension", "secret", "devices"];

/// Reads a list.
///
/// # Errors
/// If it is no text, has no header that is understood, or has a column twice.
pub(crate) fn read_csv(name: &str, bytes: &[u8], kind: Option<Kind>, mapping: &Mapping) -> Result<Found, Refused> {
    let text = decode(name, bytes)?;
    let text = Zeroizing::new(format!("{}\n{END}\n", *text));
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter(&text)).flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| {
        let place = error.position().map_or_else(|| name.to_owned(), |position| format!("{name}:{}", position.line()));
        Refused::new(format!("{place}: this is not CSV"), "check that quotes are closed")
    };
    let unclosed = |line: u64| {
        let hint = "close it; a quote within a field is written twice";
        Refused::new(format!("{name}:{line}: a quote is not closed before the end"), hint)
    };
    let is_end = |record: &StringRecord| record.len() == 1 && record.get(0) == Some(END);
    let is_open = |record: &StringRecord| record.iter().any(|field| field.ends_with(END)) && !is_end(record);
    let first = reader.headers().map_err(unreadable)?;
    if is_open(first) {
        return Err(unclosed(1));
    }
    let header: Vec<String> = first.iter().filter(|column| *column != END).map(str::to_owned).collect();
    let columns = Columns::of(name, header, kind, mapping)?;
    let mut found = Found { source: name.to_owned(), ..Found::default() };
    found.left_out.extend(columns.unread(name));
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        if is_open(&record) {
            return Err(unclosed(record.position().map_or(0, csv::Position::line)));
        }
        if is_end(&record) {
            break;
        }
        if record.iter().all(str::is_empty) {
            continue;
        }
        let place = format!("{name}:{}", record.position().map_or(0, csv::Position::line));
        let width = columns.header.len();
        if record.iter().skip(width).any(|field| !field.is_empty()) {
            let what = format!("not imported: {} fields, but the header has {width}", record.len());
            found.left_out.push(LeftOut::new(Rank::Phone, place, what));
            continue;
        }
        columns.read(&record, place, &mut found);
    }
    Ok(found)
}

/// Makes text of what a spreadsheet may have written.
fn decode(name: &str, bytes: &[u8]) -> Result<Zeroizing<String>, Refused> {
    let hint = "save it as `CSV UTF-8`";
    let wide = |read: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|pair| read([pair[0], pair.get(1).copied().unwrap_or(0)]));
        String::from_utf16(&units.collect::<Vec<_>>())
            .map_err(|_| Refused::new(format!("{name} is not UTF-16, as it begins"), hint))
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes)?,
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes)?,
        _ => match std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                return Err(Refused::new(format!("{name}:{line}: this is not UTF-8"), hint));
            }
        },
    };
    Ok(Zeroizing::new(text))
}

/// Finds what stands between the fields of the header.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let outside = header.split('"').step_by(2);
    let count = |delimiter: char| outside.clone().map(|part| part.matches(delimiter).count()).sum::<usize>();
    let most = [',', ';', '\t'].into_iter().rev().max_by_key(|delimiter| count(*delimiter));
    most.map_or(b',', |delimiter| {
        if delimiter == ',' {
            b','
        } else if delimiter == ';' {
            b';'
        } else {
            b'\t'
        }
    })
}

/// Where each key stands.
struct Columns {
    kind: Kind,
    header: Vec<String>,
    /// The columns of each of [`KEYS`].
    keys: BTreeMap<&'static str, Vec<usize>>,
}

impl Columns {
    fn of(name: &str, header: Vec<String>, kind: Option<Kind>, mapping: &Mapping) -> Result<Self, Refused> {
        let at = |wanted: &str| header.iter().position(|column| column.eq_ignore_ascii_case(wanted));
        let kind = kind.unwrap_or_else(|| {
            let all = |wanted: &[&str]| wanted.iter().all(|column| at(column).is_some());
            if all(&["extension", "tech"]) || all(&["extension", "voicemail_email"]) {
                Kind::FreePbx
            } else if all(&["firstname", "exten"]) {
                Kind::Wazo
            } else if all(&["First Name [Required]", "Email Address [Required]"]) {
                Kind::Google
            } else {
                Kind::Plain
            }
        });
        let mut keys: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
        for key in KEYS {
            let columns: Vec<usize> = if let Some(columns) = mapping.get(key) {
                columns.iter().map(|column| at(column).ok_or(column)).collect::<Result<_, _>>().map_err(|column| {
                    Refused::new(format!("{name}: there is no column `{column}`"), header_hint(&header))
                })?
            } else {
                // A name may be in two columns; of other columns the first counts.
                let known = kind.columns(key).iter().filter_map(|column| at(column));
                known.take(if key == "name" { usize::MAX } else { 1 }).collect()
            };
            keys.insert(key, columns);
        }
        let is_read = |at: &usize| keys.values().flatten().any(|used| used == at) || kind.looks_at(&header[*at]);
        let is_twice =
            |at: &usize| header.iter().filter(|column| column.eq_ignore_ascii_case(&header[*at])).count() > 1;
        if let Some(twice) = (0..header.len()).find(|at| is_read(at) && is_twice(at)) {
            let message = format!("{name}:1: the column `{}` is there twice", printable(&header[twice]));
            return Err(Refused::new(message, "remove one of them: which is meant cannot be told"));
        }
        let is_missing = |key: &&&str| keys[**key].is_empty();
        let missing: Vec<&str> = ["name", "extension"].iter().filter(is_missing).copied().collect();
        // Who has an address may get a number.
        if keys["name"].is_empty() || keys["extension"].is_empty() && keys["email"].is_empty() {
            let message = format!("{name}: no column is known to hold: {}", missing.join(", "));
            return Err(Refused::new(message, header_hint(&header)));
        }
        Ok(Self { kind, header, keys })
    }

    /// Names the columns that nothing is read from.
    fn unread(&self, name: &str) -> Option<LeftOut> {
        let is_read =
            |at: &usize| self.keys.values().flatten().any(|used| used == at) || self.kind.looks_at(&self.header[*at]);
        let unread: Vec<&str> =
            (0..self.header.len()).filter(|at| !is_read(at)).map(|at| self.header[at].as_str()).collect();
        let what = format!("columns that are not read: {}", unread.join(", "));
        (!unread.is_empty()).then(|| LeftOut::new(Rank::Small, format!("{name}:1"), printable(&what)))
    }

    fn read(&self, record: &StringRecord, place: String, found: &mut Found) {
        let field = |at: usize| record.get(at).unwrap_or_default();
        let value = |key: &str| {
            let parts: Vec<&str> = self.keys[key].iter().map(|at| field(*at)).filter(|part| !part.is_empty()).collect();
            parts.join(" ")
        };
        let column =
            |wanted: &str| self.header.iter().position(|column| column.eq_ignore_ascii_case(wanted)).map_or("", field);
        let (devices, number) = (whole(&value("devices")), whole(&value("extension")));
        let from = found.left_out.len();
        if !devices.is_empty() && devices.parse::<u32>().is_err() {
            let what = "how many devices it has is no number: the row may be shifted";
            found.left_out.push(LeftOut::new(Rank::Phone, &place, what));
        }
        let candidate = Candidate {
            place,
            number: number.clone(),
            name: value("name"),
            // Several are separated by commas or bars: the first is taken.
            email: value("email").split([',', '|']).next().unwrap_or_default().trim().to_owned(),
            secret: Zeroizing::new(value("secret")),
            devices: devices.parse().ok(),
            ..Candidate::default()
        };
        let candidate = match self.kind {
            Kind::FreePbx => freepbx(candidate, &column, found),
            Kind::Wazo => wazo(candidate, &column, found),
            Kind::Google if column("Status [READ ONLY]").eq_ignore_ascii_case("suspended") => {
                found.left_out.push(LeftOut::new(
                    Rank::Phone,
                    candidate.place,
                    "not imported: the person is suspended",
                ));
                None
            }
            Kind::Google | Kind::Plain => Some(candidate),
        };
        found.candidates.extend(candidate);
        for left_out in &mut found.left_out[from..] {
            left_out.phone = Some(number.clone());
        }
    }
}

fn header_hint(header: &[String]) -> String {
    let is_known = |column: &String| {
        let kinds = [Kind::Plain, Kind::FreePbx, Kind::Wazo, Kind::Google].into_iter();
        let mut known = kinds.flat_map(|kind| KEYS.into_iter().flat_map(move |key| kind.columns(key)));
        known.any(|known| column.eq_ignore_ascii_case(known))
    };
    // What may be the first person's, with the password, is not shown.
    let is_word = |column: &String| !column.contains(|c: char| c.is_ascii_digit()) && column.len() <= 40;
    if !header.iter().any(is_known) && !header.iter().all(is_word) {
        return "the first line must name the columns, such as `name,email,extension,secret`".to_owned();
    }
    let shown = |(index, column): (usize, &String)| {
        if is_word(column) { format!("`{}`", printable(column)) } else { format!("column {}", index + 1) }
    };
    let header = header.iter().enumerate().map(shown).collect::<Vec<_>>().join(", ");
    format!("say which column it is, such as `--map name='First name'+'Last name'`; the columns are {header}")
}

/// What is said of a phone that encrypts its sound.
const ENCRYPTED: &str = "`media_encryption` is not carried over: its sound is no longer encrypted, and a phone that \
                         insists on SRTP has no calls until it is set up anew";

/// Takes a whole number as spreadsheets write one.
fn whole(text: &str) -> String {
    text.strip_suffix(".0").unwrap_or(text).to_owned()
}

impl Kind {
    /// Names the columns that hold a key, in their order.
    fn columns(self, key: &str) -> &'static [&'static str] {
        match (self, key) {
            (Self::Plain | Self::FreePbx, "name") => &["name"],
            (Self::Plain, "email") => &["email", "e-mail", "mail"],
            (Self::Plain | Self::FreePbx, "extension") => &["extension"],
            (Self::Plain | Self::FreePbx, "secret") => &["secret"],
            (Self::Plain, "devices") => &["devices"],
            (Self::FreePbx, "email") => &["voicemail_email"],
            (Self::FreePbx, "devices") => &["max_contacts"],
            (Self::Wazo, "name") => &["firstname", "lastname"],
            (Self::Wazo, "email") => &["email"],
            (Self::Wazo, "extension") => &["exten"],
            (Self::Wazo, "secret") => &["sip_secret"],
            (Self::Google, "name") => &["First Name [Required]", "Last Name [Required]"],
            (Self::Google, "email") => &["Email Address [Required]"],
            _ => &[],
        }
    }

    /// Tells whether a column is looked at for more than a key.
    fn looks_at(self, column: &str) -> bool {
        let looked_at: &[&str] = match self {
            Self::Plain => &[],
            Self::FreePbx => &[
                "tech",
                "webrtc",
                "allow",
                "voicemail",
                "voicemail_enable",
                "findmefollow_enabled",
                "namedcallgroup",
                "namedpickupgroup",
                "outboundcid",
                "emergency_cid",
                "deny",
                "permit",
                "media_encryption",
            ],
            Self::Wazo => {
                &["enabled", "line_protocol", "sip_username", "voicemail_number", "incall_exten", "call_permissions"]
            }
            Self::Google => &["Status [READ ONLY]"],
        };
        looked_at.iter().any(|looked_at| column.eq_ignore_ascii_case(looked_at))
    }
}

fn freepbx<'a>(mut candidate: Candidate, column: &dyn Fn(&str) -> &'a str, found: &mut Found) -> Option<Candidate> {
    let mut leave_out = |rank, what: String| found.left_out.push(LeftOut::new(rank, &candidate.place, what));
    match column("tech") {
        "" | "pjsip" | "sip" => {}
        "virtual" => {
            leave_out(Rank::Phone, "not imported: a number without a phone; it is reserved".to_owned());
            found.elsewhere.answered.extend(candidate.number.parse::<Extension>());
            return None;
        }
        _ => {
            leave_out(Rank::Phone, "not imported: this is not a SIP phone".to_owned());
            return None;
        }
    }
    if column("webrtc").eq_ignore_ascii_case("yes") {
        leave_out(Rank::Phone, BROWSER_PHONE.to_owned());
    }
    if *candidate.secret == "REGEN" {
        candidate.secret = Zeroizing::default();
        leave_out(Rank::Phone, "its secret is `REGEN`: it gets a new one".to_owned());
    } else if candidate.secret.is_empty() {
        leave_out(Rank::Open, "it has no secret; it gets one, and must be set up anew".to_owned());
    }
    // What the columns hold of a phone that is not restricted.
    let open = ["", "no", "0.0.0.0/0.0.0.0", "0.0.0.0/0"];
    for (name, restriction) in [
        ("deny", "`deny` is not carried over: it may log in and call from any address"),
        ("media_encryption", ENCRYPTED),
    ] {
        if !open.contains(&column(name)) || name == "deny" && !open.contains(&column("permit")) {
            leave_out(Rank::Restriction, restriction.to_owned());
        }
    }
    for (name, feature, off) in [
        ("voicemail", "voicemail", "novm"),
        ("findmefollow_enabled", "follow-me", "DISABLED"),
        ("namedcallgroup", "its call group", ""),
        ("namedpickupgroup", "its pickup group", ""),
        ("outboundcid", "its own caller ID for calls to the outside", ""),
        ("emergency_cid", "its caller ID for emergency calls", ""),
    ] {
        let value = column(name);
        if !value.is_empty() && !value.eq_ignore_ascii_case(off) && !value.eq_ignore_ascii_case("no") {
            leave_out(Rank::Feature, feature.to_owned());
        }
    }
    let codecs = column("allow").split('&').filter(|codec| !codec.is_empty());
    candidate.codecs = codecs.map(str::to_owned).collect();
    // What its users call one device may stand there as none.
    candidate.devices = candidate.devices.map(|devices| devices.max(1));
    Some(candidate)
}

fn wazo<'a>(mut candidate: Candidate, column: &dyn Fn(&str) -> &'a str, found: &mut Found) -> Option<Candidate> {
    let mut leave_out = |rank, what: &str| found.left_out.push(LeftOut::new(rank, &candidate.place, what));
    if column("enabled") == "0" {
        leave_out(Rank::Phone, "not imported: the user is not enabled");
        return None;
    }
    match column("line_protocol") {
        "" | "sip" => {}
        "webrtc" => {
            leave_out(Rank::Phone, BROWSER_PHONE);
        }
        _ => {
            leave_out(Rank::Phone, "not imported: this is not a SIP phone");
            return None;
        }
    }
    if !column("call_permissions").is_empty() {
        leave_out(Rank::Dialling, "its call permissions");
    }
    for (name, feature) in [("voicemail_number", "voicemail"), ("incall_exten", "its direct number")] {
        if !column(name).is_empty() {
            leave_out(Rank::Feature, feature);
        }
    }
    column("sip_username").clone_into(&mut candidate.login);
    Some(candidate)
}
