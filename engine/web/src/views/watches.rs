//! Watched folders of the server's machine.

use answers::watch::{self, WatchView};
use maud::{Markup, html};
use repos::access::Right;

use super::{None, Result};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{action, form, link, state, time};

/// The folders that are watched, and how they are doing.
pub fn watches(look: &Look<'_>, _: None, _: None) -> Result<View> {
    let watches = watch::watches(look.store)?;
    let may_change = look.access.may(Right::Host);
    let list = html! {
        h1 { "Watches" }
        p .hint { "Folders of the server's machine, whose files are committed as they arrive." }
        @if watches.is_empty() {
            p { "No folder is watched." }
        } @else {
            table {
                thead {
                    tr {
                        th scope="col" { "Watch" }
                        th scope="col" { "Folder" }
                        th scope="col" { "Goes to" }
                        th scope="col" { "State" }
                        th scope="col" { "Last commit" }
                        th .number scope="col" { "Files" }
                        th .number scope="col" { "Waiting" }
                        @if may_change { th scope="col" { "Change" } }
                    }
                }
                tbody { @for watch in &watches { (row(look, watch, may_change)) } }
            }
        }
    };
    let view = View::new("Watches", "watches").timed("watches", 5, list);
    Ok(if may_change { view.fixed("add", add(look)) } else { view })
}

fn row(look: &Look<'_>, watch: &WatchView, may_change: bool) -> Markup {
    let word = match watch {
        watch if watch.paused => "paused",
        watch if watch.troubles_count > 0 => "failing",
        _ => "watching",
    };
    html! {
        tr {
            th scope="row" { (watch.name) }
            td { code { (watch.folder.display()) } }
            td { (link(look, &address::repo(&watch.target.repo), watch.target.to_string())) }
            td {
                (state(word))
                @for trouble in &watch.troubles { p .trouble { (trouble.sentence()) } }
                @if watch.troubles_count > watch.troubles.len() as u64 {
                    p .trouble { "and " (watch.troubles_count - watch.troubles.len() as u64) " more" }
                }
                @if let Some(why) = &watch.polls { p .hint { "looked at again and again: " (why) } }
            }
            td { @if let Some(at) = watch.last_commit_at { (time(look, at)) } @else { "none yet" } }
            td .number { (watch.files) }
            td .number { (watch.waiting) }
            @if may_change { td { (changes(look, watch)) } }
        }
    }
}

fn changes(look: &Look<'_>, watch: &WatchView) -> Markup {
    let of = |verb: &str| address::api(["watches", watch.name.as_str(), verb]);
    html! {
        div .actions {
            @if watch.paused {
                (action(look, "POST", &of("resume"), &[], "Resume"))
            } @else {
                (action(look, "POST", &of("pause"), &[], "Pause"))
            }
            details {
                summary { "Delete" }
                p { "What it committed stays." }
                (action(look, "DELETE", &address::api(["watches", watch.name.as_str()]), &[], "Delete the watch"))
            }
        }
    }
}

fn add(look: &Look<'_>) -> Markup {
    let fields = html! {
        label { "Folder of the server's machine" input name="folder" required placeholder="/data/incoming"; }
        label { "Goes to" input name="target" required placeholder="images, images@branch, images:/directory"; }
        label { "Name (else that of the folder)" input name="name"; }
        label { "A file rests before it is committed" input name="settle" placeholder="2s"; }
        label { "Least time between commits" input name="every" placeholder="as above"; }
        label { "Leave out, one pattern per line" textarea name="exclude:list" rows="2" {} }
        label { "Then move each file to" input name="move_to"; }
        label .check { input type="checkbox" name="delete:flag"; "Then delete each file" }
        label .check { input type="checkbox" name="mirror:flag"; "Also remove files that are deleted in the folder" }
        label { "Message of commits" input name="message" placeholder="{files} from {folder}"; }
    };
    html! {
        details .create {
            summary { "Watch a folder" }
            (form(look, "POST", &address::api(["watches"]), &fields, "Watch it"))
        }
    }
}
