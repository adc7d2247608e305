//! `pv notify create`

use notifications::{FORMS, NewNotification};
use specs::NotificationName;

use super::print::rules;
use crate::author::by;
use crate::context::Context;
use crate::error::Result;

/// Create a notification: tell people or programs what happens from now on
///
/// `pv serve` sends it. What to tell of is named by --on, which may be repeated; below are its forms.
///
/// A run that writes the same bytes again tells nothing, and neither does `pv try`. Each message has an id that stays the same when it is
/// sent again, so a receiver that keeps ids gets each once. It says which file, with which value, from which source, who committed that, by
/// which model and rules, and how to trace it.
///
/// For a webhook, prints the secret to stdout, once: it signs each message as Standard Webhooks says. Everything else is printed to stderr.
#[derive(clap::Args, Debug)]
#[command(after_help = forms())]
pub(crate) struct Args {
    /// Name of the notification
    name: NotificationName,
    /// What to tell of; may be repeated
    #[arg(long, value_name = "EVENT", required = true)]
    on: Vec<String>,
    /// Who is told: `https://…`, or `mailto:ADDRESS[,ADDRESS]…`
    #[arg(long, value_name = "TARGET")]
    to: String,
    /// Tell only of repositories that match, also in traces; may be repeated [default: all]
    #[arg(long = "repo", value_name = "GLOB")]
    repos: Vec<String>,
    /// Tell in one message what happens within this time, such as `10m`
    #[arg(long, value_name = "D")]
    digest: Option<specs::Duration>,
    /// Send nothing in these hours, such as `22:00-07:00` or `22:00-07:00[Europe/Berlin]`; at their end, what happened is one message
    #[arg(long, value_name = "HOURS")]
    quiet_hours: Option<String>,
    /// Form of what a webhook gets: `json`, `slack` or `teams` [default: as its host expects]
    #[arg(long, value_name = "FORM")]
    style: Option<String>,
    /// Allow a target on this machine or its networks
    #[arg(long)]
    allow_private: bool,
}

/// The forms of --on, and what each is about.
fn forms() -> String {
    let lines = FORMS.iter().map(|(form, about)| format!("  {form}\n          {about}"));
    format!("Events:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let new = NewNotification {
        name: args.name.clone(),
        on: args.on.clone(),
        to: args.to.clone(),
        style: args.style.clone(),
        allow_private: args.allow_private,
        repos: args.repos.clone(),
        digest: args.digest,
        quiet_hours: args.quiet_hours.clone(),
        zone: Some(cx.human().zone().clone()),
        by: by(cx, None).committer,
    };
    let created = notifications::create(cx.store()?, new)?;
    if cx.out().is_json() {
        return cx.out().json(&created);
    }
    let view = &created.view;
    cx.notes().line(format!("notification `{}` tells {} of: {}", view.name, view.to, rules(view)));
    cx.notes().line(format!("pv serve sends it; pv notify test {} sends a message now", view.name));
    if let Some(secret) = &created.secret {
        cx.notes().line("keep the secret that signs the messages: it is not shown again");
        cx.out().line(secret)?;
    }
    Ok(())
}
