//! What a process says of itself on stderr: which messages, and in which form.
//!
//! `error`: something is lost or broken, and a person is needed. `warn`: something is degraded, and pv works around it. `info`: phases of an
//! engine, starts and ends of jobs. `debug`: requests, and details for those who look for a fault.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use specs::ErrorKind;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::commands::{Cli, Command, LogForm};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::Sink;

/// The variable with a filter, such as `warn,engine=debug`: it counts more than everything else.
pub(crate) const FILTER: &str = "PV_LOG";

/// The messages that are wanted, and their form.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    filter: String,
    form: LogForm,
}

impl Wanted {
    /// What a command line asks for. Without a word from anyone: nothing; of a long-lived process the warnings, since nobody watches its
    /// output; of a server also starts and ends of jobs; with `-v` all messages of pv. `variable`: the value of [`FILTER`].
    pub(super) fn of(cli: &Cli, variable: Option<&str>) -> Option<Self> {
        let (serves, form, listens) = match &cli.command {
            Some(Command::Serve(serve)) => (true, serve.log(), serve.listens()),
            Some(Command::Worker(worker)) => (worker.is_join(), LogForm::Text, false),
            _ => (false, LogForm::Text, false),
        };
        let filter = match variable.filter(|filter| !filter.is_empty()) {
            Some(filter) => filter.to_owned(),
            None if cli.flags.verbose => of_pv("debug"),
            None if listens => of_pv("info"),
            None if serves => "warn".to_owned(),
            None => return None,
        };
        Some(Self { filter, form })
    }

    /// From now on writes these messages to stderr. An error if the filter is not one.
    pub(super) fn begin(&self, cx: &Context) -> Result<()> {
        let filter = EnvFilter::try_new(&self.filter).map_err(|error| {
            CliError::new(ErrorKind::Usage, format!("{FILTER}=`{}` is not a filter: {error}", self.filter))
                .hint(format!("{FILTER}=warn,engine=debug"))
        })?;
        let invocation = cx.invocation();
        let Ok(stderr) = invocation.streams.stderr.try_clone() else { return Ok(()) };
        let stderr = Sink::new(stderr, invocation.cancel.clone(), invocation.client.clone());
        let screen = cx.notes().screen();
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || stderr.notes(&screen));
        // Another one may be there already, in tests.
        match self.form {
            LogForm::Text => builder.try_init().ok(),
            LogForm::Json => builder.event_format(JsonLines).fmt_fields(JsonFields).try_init().ok(),
        };
        if self.form == LogForm::Json {
            cx.notes().log_instead();
        }
        Ok(())
    }
}

/// Warnings of others, and the messages of pv from this level on.
fn of_pv(level: &str) -> String {
    let crates = ["pv", "answers", "engine", "repos", "sandbox", "server"];
    crates.iter().fold("warn".to_owned(), |filter, name| format!("{filter},{name}={level}"))
}

/// A message as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: String,
    target: &'a str,
    message: Value,
    /// The number of the request that caused it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
}

/// Writes each message as a [`Line`].
#[derive(Debug)]
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let spans = cx.event_scope().into_iter().flatten();
        let request = spans.filter(|span| span.name() == "request").find_map(|span| {
            let extensions = span.extensions();
            let fields: Value = serde_json::from_str(&extensions.get::<FormattedFields<N>>()?.fields).ok()?;
            fields.get("id").cloned()
        });
        let message = fields.0.remove("message").unwrap_or_default();
        let (level, target) = (event.metadata().level().as_str().to_ascii_lowercase(), event.metadata().target());
        let line = Line { time, level, target, message, request, fields: fields.0 };
        writeln!(to, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// Keeps the fields of spans as JSON.
#[derive(Debug)]
struct JsonFields;

impl FormatFields<'_> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'_>, fields: R) -> fmt::Result {
        let mut read = Fields::default();
        fields.record(&mut read);
        write!(to, "{}", Value::Object(read.0))
    }
}

/// The fields of a message or span.
#[derive(Debug, Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
