//! What one event says, as text: its name, its message and its fields, taken off the event once for whoever keeps or
//! sends it.

use std::fmt::{Debug, Write};

use tracing::Event;
use tracing::field::{Field, Visit};

/// Name of the field that holds the name of an event.
pub(super) const NAME: &str = "event";

/// An event that has been read.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Its name; empty for what a library says.
    pub(super) name: String,
    /// Where it comes from, if the event says it itself, as those of `log` do.
    pub(super) target: Option<String>,
    message: String,
    pub(super) fields: Vec<Told>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) key: &'static str,
    pub(super) value: String,
    /// A text, which is shown between quotes.
    is_text: bool,
}

impl Said {
    pub(super) fn by(event: &Event<'_>) -> Self {
        let mut said = Self::default();
        event.record(&mut said);
        said
    }

    /// In one line, as in the log: the message, then the fields.
    pub(super) fn line(&self) -> String {
        let mut line = self.message.clone();
        for Told { key, value, is_text } in &self.fields {
            let gap = if line.is_empty() { "" } else { " " };
            // Writing to a String never fails.
            let _ = if *is_text {
                write!(line, "{gap}{key}={value:?}")
            } else {
                write!(line, "{gap}{key}={value}")
            };
        }
        line
    }

    fn put(&mut self, field: &Field, value: String, is_text: bool) {
        match field.name() {
            "message" => self.message = value,
            NAME => self.name = value,
            "log.target" => self.target = Some(value),
            // Where in its source a library says it.
            name if name.starts_with("log.") => {}
            key => self.fields.push(Told { key, value, is_text }),
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned(), true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"), false);
    }
}
