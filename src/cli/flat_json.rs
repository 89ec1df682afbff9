//! The log for programs: one JSON object a line, without objects inside. What a span knows, such as
//! the id of a request, stands in each of its lines.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap},
};
use serde_json::value::RawValue;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::{LookupSpan, Scope},
};

/// Writes events as flat JSON; the fields of spans must be formatted as JSON, and be called otherwise
/// than those of events.
pub(super) struct FlatJson;

impl<S, N> FormatEvent<S, N> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = line(context, event).map_err(|_| fmt::Error)?;
        writer.write_str(&line)
    }
}

fn line<S, N>(context: &FmtContext<'_, S, N>, event: &Event<'_>) -> Result<String, serde_json::Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut bytes = Vec::with_capacity(512);
    let mut object = serde_json::Serializer::new(&mut bytes);
    let mut fields = Fields { map: object.serialize_map(None)?, result: Ok(()) };
    let metadata = event.metadata();
    fields.put("timestamp", &Timestamp::now());
    fields.put("level", metadata.level().as_str());
    fields.put("target", metadata.target());
    for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
        let known = span.extensions();
        let known = known.get::<FormattedFields<N>>().and_then(|fields| serde_json::from_str(&fields.fields).ok());
        let known: BTreeMap<&str, &RawValue> = known.unwrap_or_default();
        for (name, value) in known {
            fields.put(name, value);
        }
    }
    event.record(&mut fields);
    fields.result?;
    fields.map.end()?;
    let mut line = String::from_utf8(bytes).map_err(serde_json::Error::custom)?;
    line.push('\n');
    Ok(line)
}

/// The fields of a line.
struct Fields<M: SerializeMap> {
    map: M,
    result: Result<(), M::Error>,
}

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        if self.result.is_ok() {
            self.result = self.map.serialize_entry(name, value);
        }
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
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
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format_args!("{value:?}"));
    }
}
