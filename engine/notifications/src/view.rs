//! Notifications and their deliveries as answers.

use repos::access::RepoGlobs;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Duration, NotificationName};

use crate::definition::Definition;
use crate::message::Outcome;
use crate::queue::{Delivery, DeliveryState, State};
use crate::quiet::QuietHours;
use crate::rule::Rule;
use crate::target::Target;

/// What a notification does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationState {
    /// It sends what happens.
    Active,
    /// The last try failed, and the next one is due later.
    Failing,
    /// Somebody paused it: what happens meanwhile is sent when it is resumed.
    Paused,
    /// Its target wants nothing any more.
    Ended,
    /// The token that created it does not work any more.
    Held,
}

impl NotificationState {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Held => "held",
        }
    }
}

/// A notification, without the secrets of its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationView {
    /// Its name.
    pub name: NotificationName,
    /// What it is about.
    pub on: Vec<Rule>,
    /// Who is told; of an address that is a secret itself, only the host.
    pub to: String,
    /// The form of what a webhook gets: `json`, `slack` or `teams`; `null` for mail.
    pub style: Option<String>,
    /// Whether the target may be on this machine or its networks.
    pub allow_private: bool,
    /// The repositories that it may tell of, as globs.
    pub repos: RepoGlobs,
    /// What happens within this time is one message; `null` for a message each.
    pub digest: Option<Duration>,
    /// When nothing is sent.
    pub quiet_hours: Option<QuietHours>,
    /// What it does now.
    pub state: NotificationState,
    /// Why, unless it is active.
    pub why: Option<String>,
    /// How many records of the journal it has looked at.
    pub records: u64,
    /// How many records it has still to look at.
    pub behind: u64,
    /// How many messages wait.
    pub waiting: u64,
    /// When the next of them is due; `null` if nothing waits, or at once.
    pub next_at: Option<Timestamp>,
    /// When the last one arrived.
    pub delivered_at: Option<Timestamp>,
    /// Until when messages are also signed with the secret before the present one.
    pub old_secret_until: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
}

/// A notification that was just created, with the secret of its webhook: nothing shows that again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedNotification {
    /// The secret that signs each message, `whsec_…`; `null` for mail.
    pub secret: Option<String>,
    /// The notification.
    #[serde(flatten)]
    pub view: NotificationView,
}

/// A message of a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryView {
    /// Its id, the same each time it is sent: `webhook-id`.
    pub id: String,
    /// What happened, for programs.
    pub event: String,
    /// What happened, for people.
    pub subject: String,
    /// When it happened.
    pub at: Timestamp,
    /// When it was found.
    pub queued_at: Timestamp,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was sent.
    pub tries: u32,
    /// When it was last sent.
    pub tried_at: Option<Timestamp>,
    /// When it is sent next, after a try that failed.
    pub next_at: Option<Timestamp>,
    /// What the target or the network said, if it was not delivered.
    pub why: Option<String>,
    /// The delivery with which it was sent.
    pub part_of: Option<String>,
}

/// What came of a message that was sent as a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestView {
    /// The id of the message.
    pub id: String,
    /// What became of it.
    pub outcome: TestOutcome,
    /// What the target or the network said, if it was not delivered.
    pub why: Option<String>,
}

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// The target has it.
    Delivered,
    /// It failed; a real message would be sent again.
    Failed,
    /// The target refused it; a real message would not be sent again.
    Refused,
    /// The target wants nothing any more.
    Ended,
}

impl TestView {
    pub(crate) fn of(id: String, outcome: Outcome) -> Self {
        let (outcome, why) = match outcome {
            Outcome::Delivered => (TestOutcome::Delivered, None),
            Outcome::Later { why, .. } => (TestOutcome::Failed, Some(why)),
            Outcome::Refused { why } => (TestOutcome::Refused, Some(why)),
            Outcome::Ended { why } => (TestOutcome::Ended, Some(why)),
        };
        Self { id, outcome, why }
    }
}

impl From<&Delivery> for DeliveryView {
    fn from(one: &Delivery) -> Self {
        Self {
            id: one.id.clone(),
            event: one.fact.event().to_owned(),
            subject: one.fact.subject(),
            at: one.at,
            queued_at: one.queued_at,
            state: one.state,
            tries: one.tries,
            tried_at: one.tried_at,
            next_at: one.next_at,
            why: one.why.clone(),
            part_of: one.part_of.clone(),
        }
    }
}

/// A notification as it is now. `held`: why its creator's token does not work.
pub(crate) fn notification_view(
    store: &Store,
    definition: &Definition,
    state: &State,
    held: Option<String>,
) -> NotificationView {
    let now = store.clock().now();
    let first = state.waiting().next();
    let failed = first.filter(|one| one.next_at.is_some()).and_then(|one| one.why.clone());
    let (does, why) = match (&state.ended, state.paused_at, held, failed) {
        (Some(ended), ..) => (NotificationState::Ended, Some(ended.why.clone())),
        (None, Some(_), ..) => (NotificationState::Paused, None),
        (None, None, Some(held), _) => (NotificationState::Held, Some(held)),
        (None, None, None, Some(why)) => (NotificationState::Failing, Some(why)),
        (None, None, None, None) => (NotificationState::Active, None),
    };
    let (style, allow_private, old_secret_until) = match &definition.to {
        Target::Webhook { style, allow_private, secrets, .. } => {
            let until =
                secrets.iter().skip(1).filter_map(crate::secret::Secret::until).filter(|until| *until > now).max();
            (Some(style.to_string()), *allow_private, until)
        }
        Target::Mail { .. } => (None, false, None),
    };
    NotificationView {
        name: definition.name.clone(),
        on: definition.on.clone(),
        to: definition.to.to_string(),
        style,
        allow_private,
        repos: definition.repos.clone(),
        digest: definition.digest,
        quiet_hours: definition.quiet_hours.clone(),
        state: does,
        why,
        records: state.records,
        behind: store.position().records.saturating_sub(state.records),
        waiting: state.waiting().count() as u64,
        next_at: match state.next(now, definition.manner()) {
            crate::queue::Next::At(at) => Some(at),
            _ => None,
        },
        delivered_at: state.delivered_at,
        old_secret_until,
        created_at: definition.created_at,
        created_by: definition.created_by.clone(),
    }
}
