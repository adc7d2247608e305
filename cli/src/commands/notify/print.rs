//! How notifications and deliveries are printed.

use notifications::{DeliveryState, DeliveryView, NotificationState, NotificationView};

use crate::output::{Human, Row};

/// What a notification is about, in a line.
pub(super) fn rules(view: &NotificationView) -> String {
    view.on.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What it does, and why.
pub(super) fn state(view: &NotificationView) -> String {
    match &view.why {
        Some(why) => format!("{}: {why}", view.state.word()),
        None => view.state.word().to_owned(),
    }
}

impl Row for NotificationView {
    const HEADER: &'static [&'static str] = &["NOTIFICATION", "STATE", "ON", "TO", "WAITING", "DELIVERED"];
    const GIVES_UP: &'static [&'static str] = &["DELIVERED", "WAITING"];

    fn cells(&self, human: &Human) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.state.word().to_owned(),
            rules(self),
            self.to.clone(),
            self.waiting.to_string(),
            self.delivered_at.map_or_else(|| "never".to_owned(), |at| human.ago(at)),
        ]
    }
}

/// The word for what became of a delivery.
pub(super) fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Refused => "refused",
        DeliveryState::GivenUp => "given up",
        DeliveryState::Joined => "joined",
    }
}

impl Row for DeliveryView {
    const HEADER: &'static [&'static str] = &["ID", "WHEN", "STATE", "TRIES", "NEXT", "EVENT", "WHAT", "WHY"];
    const GIVES_UP: &'static [&'static str] = &["EVENT", "NEXT", "TRIES"];

    fn cells(&self, human: &Human) -> Vec<String> {
        vec![
            self.id.clone(),
            human.local(self.at),
            word(self.state).to_owned(),
            self.tries.to_string(),
            self.next_at.map_or_else(String::new, |at| human.local(at)),
            self.event.clone(),
            self.subject.clone(),
            match (&self.why, &self.part_of) {
                (Some(why), _) => why.clone(),
                (None, Some(id)) => format!("sent with {id}"),
                (None, None) => String::new(),
            },
        ]
    }
}

/// Everything about a notification, as words and values.
pub(super) fn details(view: &NotificationView, human: &Human) -> Vec<[String; 2]> {
    let pair = |word: &str, value: String| [word.to_owned(), value];
    let at = |time: Option<repos::Timestamp>| time.map_or_else(|| "never".to_owned(), |time| human.local(time));
    let mut lines = vec![pair("notification", view.name.to_string()), pair("state", state(view))];
    lines.extend(view.on.iter().map(|rule| pair("on", rule.to_string())));
    lines.push(pair("to", view.to.clone()));
    lines.extend(view.style.iter().map(|style| pair("style", style.clone())));
    if view.allow_private {
        lines.push(pair("private", "targets on this machine and its networks are allowed".to_owned()));
    }
    let repos = if view.repos.is_all() { "all".to_owned() } else { view.repos.to_string() };
    lines.push(pair("repositories", repos));
    lines.extend(view.digest.map(|digest| pair("digest", digest.to_string())));
    lines.extend(view.quiet_hours.iter().map(|hours| pair("quiet hours", hours.to_string())));
    lines.push(pair("waiting", view.waiting.to_string()));
    if view.state != NotificationState::Active || view.next_at.is_some() {
        lines.extend(view.next_at.map(|next| pair("next", human.local(next))));
    }
    lines.push(pair("delivered", at(view.delivered_at)));
    let behind = if view.behind == 0 { String::new() } else { format!(", {} to look at", view.behind) };
    lines.push(pair("journal", format!("record {}{behind}", view.records)));
    lines.extend(view.old_secret_until.map(|until| pair("old secret until", human.local(until))));
    lines.push(pair("created", format!("{} by {}", human.local(view.created_at), view.created_by)));
    lines
}
