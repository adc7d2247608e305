//! Word of what happens in a store, sent to people and programs: each notification once for who keeps ids.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! message    what is sent, whatever carries it
//! text       text of users and receivers, made fit for one line
//! limits     how long an attempt may take
//! address    which addresses of the network may be called
//! names      from names to addresses
//! secret     secrets and signatures of webhooks
//! target     who is told: a URL, or addresses of people
//! backoff    when a message is sent again
//! webhook    a message as an HTTP request
//! mail       a message as mail
//! sender     one attempt to send a message
//! rule       what a notification is about
//! quiet      when nothing is sent
//! records    which records of a file are new and have a value
//! fact       what happened, as far as rules can be about it
//! facts      from a record of the journal to facts
//! queue      what is to be sent, and what became of it
//! definition a notification as it was created
//! folder     definitions and logs on disk
//! story      a trace as text
//! compose    from facts to a message
//! desk       one notification at work, step by step
//! runner     all notifications of a store, each as a task
//! view       notifications and deliveries as answers
//! manage     what people do with notifications
//! tests      all of it together: step by step, and with crashes
//! ```
//! A notification is a cursor on the journal. What a record brings (`facts`) is in the queue before the cursor is past it; each delivery has
//! an id that follows from the record, so it is the same after a crash. Deliveries are sent in order, and each outcome is noted before the
//! next is sent: after a crash, at most the last one is sent once more.
//! Not here: what happened (`answers`), text for a terminal (`cli`).

mod address;
pub mod backoff;
mod compose;
mod definition;
mod desk;
mod fact;
mod facts;
mod folder;
mod limits;
mod mail;
mod manage;
mod message;
mod names;
mod queue;
mod quiet;
mod records;
mod rule;
mod runner;
mod secret;
mod sender;
mod story;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod view;
mod webhook;

pub use limits::Limits;
pub use mail::{MailAccount, account as mail_account};
pub use manage::{
    NewNotification, Test, create, delete, deliveries, list, needs, pause, redeliver, resume, rotate_secret, show, test,
};
pub use message::{Message, Outcome, Picture};
pub use queue::DeliveryState;
pub use quiet::{QuietHours, QuietHoursError};
pub use rule::{FORMS, Rule, RuleError};
pub use runner::{Carrier, run};
pub use secret::{NoSecret, Secret};
pub use sender::{Accounts, Options, Sender};
pub use target::{Style, Target, TargetError, WebhookUrl};
pub use view::{CreatedNotification, DeliveryView, NotificationState, NotificationView, TestOutcome, TestView};
pub use webhook::Proxies;
