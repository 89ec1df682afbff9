//! The log for programs: one JSON object a line, without objects inside. What a span knows, such as
//! the id of a request, stands in each of its lines.
//!
//! A text that a stranger sent may be long. Each text gets at most half of the room that is left in its line,
//! so that a long one takes no room from what stands behind it, and says how much of it is left out.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::{LookupSpan, Scope},
};

use super::{queue::LINE, redact::beginning};

/// The room for texts in a line: the rest is names, numbers, time stamp and marks.
const ROOM: usize = LINE - 1024;

/// Writes events as flat JSON, and the fields of spans as the part of a line that they become. Fields of spans must be
/// called otherwise than those of events.
pub(crate) struct FlatJson;

impl<S, N> FormatEvent<S, N> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Fields::new("{");
        let metadata = event.metadata();
        line.put("timestamp", &Timestamp::now());
        line.put("level", metadata.level().as_str());
        line.put("target", metadata.target());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let known = span.extensions();
            line.put_part(known.get::<FormattedFields<N>>().map_or("", |known| known.fields.as_str()));
        }
        event.record(&mut line);
        writer.write_str(&line.end()?)?;
        writer.write_str("}\n")
    }
}

impl<'a> FormatFields<'a> for FlatJson {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        let mut part = Fields::new("");
        fields.record(&mut part);
        writer.write_str(&part.end()?)
    }

    fn add_fields(&self, current: &'a mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut part = Fields::new("");
        part.put_part(&current.fields);
        fields.record(&mut part);
        current.fields = part.end()?;
        Ok(())
    }
}

/// Fields of a line, with commas between them.
struct Fields {
    bytes: Vec<u8>,
    /// How long it is without fields.
    empty: usize,
    /// How many bytes of text still fit.
    room: usize,
    result: serde_json::Result<()>,
}

impl Fields {
    fn new(begin: &str) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(begin.as_bytes());
        Self { bytes, empty: begin.len(), room: ROOM, result: Ok(()) }
    }

    /// Returns the text.
    fn end(self) -> Result<String, fmt::Error> {
        self.result.map_err(|_| fmt::Error)?;
        String::from_utf8(self.bytes).map_err(|_| fmt::Error)
    }

    /// Adds fields that are written already.
    fn put_part(&mut self, part: &str) {
        if !part.is_empty() {
            self.separate();
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }

    fn separate(&mut self) {
        if self.bytes.len() > self.empty {
            self.bytes.push(b',');
        }
    }

    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        if self.result.is_err() {
            return;
        }
        self.separate();
        self.result = serde_json::to_writer(&mut self.bytes, name).and_then(|()| {
            self.bytes.push(b':');
            serde_json::to_writer(&mut self.bytes, value)
        });
    }

    fn put_text(&mut self, name: &str, text: &str) {
        let room = self.room / 2;
        let (length, size) = fitting(text, room);
        if length == text.len() {
            self.room -= size;
            self.put(name, text);
            return;
        }
        let kept = beginning(text, room);
        let (length, size) = fitting(&kept, room);
        self.room -= size;
        self.put(name, &format!("{}... ({} bytes left out)", &kept[..length], text.len().saturating_sub(length)));
    }
}

/// Finds how much of a text fits into some bytes of JSON: the length of that part, and its size as JSON.
fn fitting(text: &str, room: usize) -> (usize, usize) {
    let mut size = 0;
    for (index, character) in text.char_indices() {
        let escaped = match character {
            '"' | '\\' => 2,
            control if control < ' ' => 6,
            other => other.len_utf8(),
        };
        if size + escaped > room {
            return (index, size);
        }
        size += escaped;
    }
    (text.len(), size)
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn long_texts_are_cut_and_the_line_is_still_json_that_a_pipe_takes_at_once() {
        let lines = Lines::default();
        let log = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false)
            .fmt_fields(FlatJson)
            .event_format(FlatJson);
        tracing::subscriber::with_default(log.finish(), || {
            for long in ["a", "\"", "\u{1}", "\u{1f4de}", "\\"].map(|text| text.repeat(100_000)) {
                let span = tracing::info_span!("request", request_id = "7f", run = tracing::field::Empty);
                span.record("run", 3);
                let _entered = span.enter();
                tracing::info!(one = long, two = ?long, three = %long, count = 7, hint = "look there", "{long}");
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 5);
        for line in text.lines() {
            assert!(line.len() < LINE, "{}: {line}", line.len());
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            for name in ["message", "one", "two", "three"] {
                assert!(object[name].as_str().unwrap().ends_with(" bytes left out)"), "{name}: {line}");
            }
            assert!(
                object["count"] == 7
                    && object["hint"] == "look there"
                    && object["request_id"] == "7f"
                    && object["run"] == 3,
                "{line}"
            );
        }
    }
}
