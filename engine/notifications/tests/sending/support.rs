//! What tests of sending share: a message, a sender that waits for nobody, and what an outcome says.

use std::sync::Arc;
use std::time::Duration;

use notifications::{Limits, MailAccount, Message, Options, Outcome, Proxies, Sender};
use repos::time::SystemClock;
use serde_json::json;
use tests::receivers::Certificate;

/// A message with this id.
pub(crate) fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        event: "file.new".to_owned(),
        at: "2026-07-01T12:14:43.000123Z".parse().unwrap(),
        subject: "threat 0.91 in threat:/cam7_1700000000.json".to_owned(),
        lines: vec![
            ("file".to_owned(), "threat:/cam7_1700000000.json".to_owned()),
            ("value".to_owned(), "0.91 ≥ 0.8".to_owned()),
        ],
        trace: Some("threat:/cam7_1700000000.json\n  └ images:/cam7_1700000000.jpg".to_owned()),
        link: Some("https://pv.example.org/r/threat".to_owned()),
        picture: None,
        data: json!({ "repo": "threat", "path": "/cam7_1700000000.json" }),
    }
}

/// Names of tests are at 127.0.0.1; the certificate is trusted.
pub(crate) fn options(certificate: Option<&Certificate>) -> Options {
    Options {
        roots: certificate.map(|one| std::fs::read(&one.pem).unwrap()).into_iter().collect(),
        hosts: ["hook.test", "mail.test", "localhost"]
            .map(|name| (name.to_owned(), vec!["127.0.0.1".parse().unwrap()]))
            .into(),
        proxies: Proxies::None,
        ..Options::default()
    }
}

/// Attempts end after this.
pub(crate) fn short(options: Options) -> Options {
    let short = Duration::from_millis(300);
    Options { limits: Limits { connect: short, attempt: short, answer: short, mail: short }, ..options }
}

/// A sender without mail.
pub(crate) fn sender(options: Options) -> Sender {
    Sender::new(Arc::new(SystemClock), Arc::new(|| Err("no mail here".to_owned())), options)
}

/// A sender with this account.
pub(crate) fn mailer(account: MailAccount, options: Options) -> Sender {
    Sender::new(Arc::new(SystemClock), Arc::new(move || Ok(account.clone())), options)
}

/// An outcome as one line.
pub(crate) fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::Later { why, after: None } => format!("later: {why}"),
        Outcome::Later { why, after: Some(after) } => format!("later, after {} s: {why}", after.as_secs()),
        Outcome::Refused { why } => format!("refused: {why}"),
        Outcome::Ended { why } => format!("ended: {why}"),
    }
}
