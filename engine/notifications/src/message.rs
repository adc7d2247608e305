//! A notification, whatever carries it, and what became of sending it.

use std::time::Duration;

use repos::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// What a target is told. Everything in it is text of users or of pv; who writes it into HTML, mail headers or Markdown escapes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// The same each time that this notification is sent to this target, so that a receiver can tell a repetition.
    pub id: String,
    /// What happened, as a word for programs, like `job.failed` or `file.new`.
    pub event: String,
    /// When it happened, not when it is sent.
    pub at: Timestamp,
    /// One line: what, and where.
    pub subject: String,
    /// The answer, as pairs of a word and a value: file, value, source, who committed it, model, rules, the `pv trace` line.
    pub lines: Vec<(String, String)>,
    /// The trace of the file as text, for mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The address of the page about it, if the server's is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The picture that it is about.
    #[serde(skip)]
    pub picture: Option<Picture>,
    /// The same for programs.
    pub data: Value,
}

/// A picture of at most 1 MiB.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The last part of its path.
    pub name: String,
    /// Like `image/png`, by its content.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What became of one attempt to send a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It may succeed later: no answer, a cut connection, a 5xx, a 429.
    Later {
        /// What the receiver or the network said, in one line.
        why: String,
        /// The least time to wait, if the receiver said so.
        after: Option<Duration>,
    },
    /// It will never succeed as it is, but others to the same target may: a 4xx, a refused address of mail.
    Refused {
        /// What the receiver said.
        why: String,
    },
    /// The target wants nothing any more: a 410.
    Ended {
        /// What the receiver said.
        why: String,
    },
}
