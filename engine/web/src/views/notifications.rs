//! Notifications: what is told to whom, and what became of each message.

use maud::{Markup, html};
use notifications::{DeliveryState, DeliveryView, NotificationState, NotificationView};
use repos::access::Role;
use serde::Deserialize;
use specs::NotificationName;

use super::{None, Result};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{action, form_once, link, next_page, state, time};

/// Messages of a page.
const DELIVERIES: usize = 100;

/// All notifications.
pub fn notifications(look: &Look<'_>, _: None, _: None) -> Result<View> {
    let all = notifications::list(look.store)?;
    let list = html! {
        h1 { "Notifications" }
        @if all.is_empty() { p { "Nobody is told of anything." } }
        @else {
            table {
                thead {
                    tr {
                        th scope="col" { "Notification" }
                        th scope="col" { "About" }
                        th scope="col" { "To" }
                        th scope="col" { "State" }
                        th .number scope="col" { "Waiting" }
                        th scope="col" { "Last arrived" }
                    }
                }
                tbody { @for one in &all { (row(look, one)) } }
            }
        }
    };
    let view = View::new("Notifications", "notifications").timed("notifications", 5, list);
    Ok(if look.may(Role::Admin) { view.fixed("create", create(look)) } else { view })
}

fn row(look: &Look<'_>, one: &NotificationView) -> Markup {
    html! {
        tr {
            th scope="row" { (link(look, &address::notification(&one.name), one.name.as_str())) }
            td { @for rule in &one.on { code { (rule) } " " } }
            td { (one.to) }
            td { (state(one.state.word())) @if let Some(why) = &one.why { p .trouble { (why) } } }
            td .number { (one.waiting) }
            td { @if let Some(at) = one.delivered_at { (time(look, at)) } @else { "none yet" } }
        }
    }
}

fn create(look: &Look<'_>) -> Markup {
    let fields = html! {
        label { "Name" input name="name" required; }
        label { "Rules, one per line, as " code { "pv notify create --on" } " takes them" textarea name="on:list" rows="3" required placeholder="job failed" {} }
        label { "To: the URL of a webhook, or mailto: and addresses" input name="to" required placeholder="https://… or mailto:ops@example.org"; }
        label {
            "Form of a webhook's messages"
            select name="style" {
                option value="" { "as its host expects" }
                @for style in ["json", "slack", "teams"] { option { (style) } }
            }
        }
        label { "Of these repositories, one glob per line (else all of yours)" textarea name="repos:list" rows="2" {} }
        label { "One message for what happens within" input name="digest" placeholder="10m"; }
        label { "Nothing is sent during" input name="quiet_hours" placeholder="22:00-07:00[Europe/Berlin]"; }
        label .check { input type="checkbox" name="allow_private:flag"; "The target may be on the server's machine or its networks" }
    };
    html! {
        details .create {
            summary { "Create a notification" }
            (form_once(look, "POST", &address::api(["notifications"]), &fields, "Create it", "secret"))
        }
    }
}

/// A notification.
#[derive(Debug, Deserialize)]
pub struct Of {
    notification: NotificationName,
}

/// Which messages are shown.
#[derive(Debug, Deserialize)]
pub struct Which {
    /// Those after the one with this id.
    after: Option<String>,
}

/// A notification, and its messages.
pub fn notification(look: &Look<'_>, Of { notification: name }: Of, Which { after }: Which) -> Result<View> {
    let name = &name;
    let one = notifications::show(look.store, name)?;
    let deliveries = notifications::deliveries(look.store, name)?;
    let begin = match &after {
        Some(after) => deliveries.iter().position(|one| one.id == *after).map_or(0, |at| at + 1),
        Option::None => 0,
    };
    let shown = &deliveries[begin..deliveries.len().min(begin + DELIVERIES)];
    let is_more = begin + shown.len() < deliveries.len();
    let next = shown.last().filter(|_| is_more).map(|last| address::notification(name).with("after", &last.id));
    let view = View::new(format!("{name} · Notifications"), "notifications");
    let view = view.timed("notification", 5, facts(look, &one));
    Ok(view.timed("deliveries", 5, messages(look, shown, next.as_ref())))
}

fn facts(look: &Look<'_>, one: &NotificationView) -> Markup {
    html! {
        h1 { (one.name) }
        p { (state(one.state.word())) @if let Some(why) = &one.why { " " (why) } }
        @if look.may(Role::Admin) { (changes(look, one)) }
        dl .fields {
            dt { "About" }
            dd { @for rule in &one.on { code { (rule) } " " } }
            dt { "To" }
            dd { (one.to) @if let Some(style) = &one.style { " as " (style) } }
            dt { "Repositories" }
            dd { code { (one.repos.texts().collect::<Vec<_>>().join(", ")) } }
            @if let Some(digest) = one.digest { dt { "One message for what happens within" } dd { (digest) } }
            @if let Some(quiet) = &one.quiet_hours { dt { "Nothing is sent during" } dd { (quiet) } }
            dt { "Messages that wait" }
            dd { (one.waiting) @if let Some(at) = one.next_at { ", the next " (time(look, at)) } }
            @if one.behind > 0 { dt { "Changes not yet processed" } dd { (one.behind) } }
            @if let Some(at) = one.old_secret_until { dt { "The previous secret is still valid" } dd { "until " (time(look, at)) } }
            dt { "Created" }
            dd { (time(look, one.created_at)) " by " (one.created_by) }
        }
    }
}

fn changes(look: &Look<'_>, one: &NotificationView) -> Markup {
    let of = |verb: &str| address::api(["notifications", one.name.as_str(), verb]);
    let rests = matches!(one.state, NotificationState::Paused | NotificationState::Ended);
    html! {
        div .actions {
            (form_once(look, "POST", &of("test"), &html! {}, "Send a test", "outcome"))
            @if rests {
                (action(look, "POST", &of("resume"), &[], "Resume"))
                (action(look, "POST", &of("resume").with("skip", true), &[], "Resume without what happened meanwhile"))
            } @else {
                (action(look, "POST", &of("pause"), &[], "Pause"))
            }
            @if one.style.is_some() {
                details {
                    summary { "New secret" }
                    p { "The old one stays valid for a while." }
                    (form_once(look, "POST", &of("rotate-secret"), &html! {}, "Make a new secret", "secret"))
                }
            }
            details {
                summary { "Delete" }
                p { "Messages that wait are not sent." }
                (delete(look, one))
            }
        }
    }
}

fn delete(look: &Look<'_>, one: &NotificationView) -> Markup {
    let operation = address::api(["notifications", one.name.as_str()]);
    // Its own page is gone then.
    let of_list = Look { here: "/notifications", ..*look };
    action(&of_list, "DELETE", &operation, &[], "Delete it")
}

fn messages(look: &Look<'_>, deliveries: &[DeliveryView], next: Option<&Address>) -> Markup {
    html! {
        h2 { "Messages" }
        @if deliveries.is_empty() { p { "None yet." } }
        @else {
            table {
                thead {
                    tr {
                        th scope="col" { "What happened" }
                        th scope="col" { "When" }
                        th scope="col" { "State" }
                        th .number scope="col" { "Tries" }
                        th scope="col" { "Last try" }
                        th scope="col" { "Id" }
                    }
                }
                tbody { @for delivery in deliveries { (message(look, delivery)) } }
            }
        }
        (next_page(look, next))
    }
}

fn message(look: &Look<'_>, one: &DeliveryView) -> Markup {
    let word = match one.state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Refused => "refused",
        DeliveryState::GivenUp => "given up",
        DeliveryState::Joined => "joined",
    };
    let again = look.may(Role::Admin) && one.state != DeliveryState::Waiting;
    html! {
        tr {
            td { (one.subject) br; code { (one.event) } }
            td { (time(look, one.at)) }
            td {
                (state(word))
                @if let Some(why) = &one.why { p .trouble { (why) } }
                @if let Some(at) = one.next_at { p { "again " (time(look, at)) } }
                @if let Some(other) = &one.part_of { p .hint { "sent with " code { (other) } } }
                @if again { (action(look, "POST", &address::api(["deliveries", &one.id, "redeliver"]), &[], "Send again")) }
            }
            td .number { (one.tries) }
            td { @if let Some(at) = one.tried_at { (time(look, at)) } }
            td { code { (one.id) } }
        }
    }
}
