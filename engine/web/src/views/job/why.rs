//! Why a job ran.

use answers::explain::explain_job;
use answers::job::JobRow;
use answers::sight::gap_in_words;
use maud::{Markup, html};

use super::super::Result;
use super::super::work::{branch_link, changed_link, changes, commit_link};
use crate::address;
use crate::look::Look;
use crate::parts::link;

/// Why it ran: what changed since the previous output, and who changed it.
pub(super) fn shown(look: &Look<'_>, job: &JobRow) -> Result<Markup> {
    let explained = explain_job(look.store, job, Some(look.live))?;
    Ok(html! {
        h2 { "Why it ran" }
        p { (explained.why) }
        @if let Some(author) = &explained.author {
            p { "Caused by " (author) @if let Some(message) = &explained.message { ": " (message) } }
        }
        @if !explained.inputs.is_empty() {
            h3 { "Inputs that changed" }
            div .wide { table {
                thead { tr {
                    th scope="col" { "Branch" } th scope="col" { "Before" } th scope="col" { "Now" }
                    th scope="col" { "Who" } th scope="col" { "Message" }
                } }
                tbody { @for input in &explained.inputs { tr {
                    th scope="row" { (branch_link(look, &input.repo, &input.branch)) }
                    td { @match &input.old { Some(old) => (commit_link(look, &input.repo, old)), None => span .dim { "none" } } }
                    td { (commit_link(look, &input.repo, &input.new))
                        @if let Some(old) = &input.old { " · " (changed_link(look, &input.repo, old, &input.new)) } }
                    td { (input.author) }
                    td { (input.message) }
                } } }
            } }
        }
        @if !explained.same.is_empty() { p .dim { "Unchanged: " (explained.same.join(", ")) } }
        @if explained.inputs_not_visible > 0 { p .dim { (gap_in_words(explained.inputs_not_visible, "input")) } }
        @if let Some(before) = explained.version_before {
            h3 { "Version " (before) " → " (job.version) }
            @let versions = format!("{before}..{}", job.version);
            p { (link(look, &address::pipeline(&job.pipeline).with("versions", versions), "difference of the specs")) }
        }
        @if !explained.changes.is_empty() { (changes(look, &explained.changes)) }
        p .dim { "Each datum says why it ran: open one in the list of datums." }
    })
}
