//! What a pipeline is, and its state.

use answers::pipeline::PipelineDetails;
use answers::sight::gap_in_words;
use maud::{Markup, html};
use specs::words::count;
use specs::{BranchName, RepoName};

use super::super::work::{commit_link, job_link};
use crate::address;
use crate::look::Look;
use crate::parts::{exact_time, link, state, time};

/// Its name, its state, and why it is in it.
pub(super) fn state_of(details: &PipelineDetails) -> Markup {
    let view = &details.view;
    html! {
        h1 { "Pipeline " (view.name) " " (state(&view.state.to_string())) }
        @if let Some(reason) = &view.reason { p .reason { (reason) } }
        @if !details.description.is_empty() { p { (details.description) } }
    }
}

/// What it reads, executes and writes.
pub(super) fn parts(look: &Look<'_>, details: &PipelineDetails) -> Markup {
    let (view, transform) = (&details.view, &details.transform);
    let command = if transform.cmd.is_empty() { &details.entrypoint } else { &transform.cmd };
    html! {
        dl .fields {
            dt { "Version" } dd { (view.version) ", applied " (time(look, details.applied_at)) }
            @if let Some(job) = &view.newest {
                dt { "Newest job" } dd { (job_link(look, &job.pipeline, &job.run))
                    @if view.behind_runs > 0 { ", behind by " (count(view.behind_runs)) " run" @if view.behind_runs > 1 { "s" } } }
            }
            @if let Some(next) = view.next_tick { dt { "Next tick" } dd { (exact_time(next)) } }
            dt { "Reads" }
            dd {
                @for input in &details.inputs { div { (branch(look, input)) } }
                @if details.inputs_not_visible > 0 { div .dim { (gap_in_words(details.inputs_not_visible, "input")) } }
            }
            dt { "Writes" }
            dd { (branch(look, &details.output))
                @if let Some(commit) = &view.output_commit { ", now " (commit_link(look, &view.name.output_repo(), commit)) }
                @else { " " span .dim { "no commit yet" } } }
            dt { "Command" } dd { code { (shell(command)) }
                @for line in &transform.stdin { br; code { (line) } } }
            dt { "Runs in" }
            dd { @match &details.image {
                Some(image) => { (image.reference) " " code title="the image's content" { (image.digest.short(12)) } }
                None => "processes of the host",
            } }
            @if let Some(stamp) = &details.code {
                @if let Some(tree) = &stamp.tree { dt { "Code" } dd { "tree " code { (tree.short(12)) } } }
                @for (what, check) in [("code", &stamp.git_code), ("spec", &stamp.git_spec)] {
                    @if let Some(check) = check { dt { "Git, " (what) } dd { (check.in_words(what, 12, 5)) } }
                }
            }
            dt { "Network" } dd { (transform.network) }
            @if !transform.secrets.is_empty() {
                dt { "Secrets" } dd { @for secret in &transform.secrets { div { (secret.name) } } }
            }
        }
    }
}

/// A branch that is named `REPO@BRANCH`.
pub(super) fn branch(look: &Look<'_>, name: &str) -> Markup {
    let parts = name.split_once('@').and_then(|(repo, branch)| Some((repo.parse().ok()?, branch.parse().ok()?)));
    let parts: Option<(RepoName, BranchName)> = parts;
    html! {
        @match parts {
            Some((repo, of)) => {
                (link(look, &address::repo(&repo), repo.as_str())) "@" (link(look, &address::branch(&repo, &of), of.as_str()))
            }
            None => (name),
        }
    }
}

/// A command as a shell reads it.
pub(super) fn shell(command: &[String]) -> String {
    let is_plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./=:,+@%".contains(&byte))
    };
    let quoted =
        |word: &String| if is_plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let words = ["sh", "-c", "echo 'a b' > x", ""].map(str::to_owned);
        assert_eq!(shell(&words), r"sh -c 'echo '\''a b'\'' > x' ''");
    }
}
