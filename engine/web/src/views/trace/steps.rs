//! What happened, step by step: each before what depends on it.

use answers::pipeline::CodeStamp;
use answers::sight::gap_in_words;
use answers::trace::formats::{Story, StoryStep, command, shown_commit};
use answers::trace::{DatumNode, FileNode, InputNode, Origin, SourceNode};
use maud::{Markup, html};
use repos::access::is_stand_in;
use specs::words::{count, duration, plural};
use specs::{Network, RepoName};

use super::{Place, can_be_shown, picture};
use crate::address;
use crate::look::Look;
use crate::parts::{id, link, size, time};

/// Steps on a page.
pub(super) const PAGE: usize = 100;
/// Files that are named in a step.
const NAMED: usize = 12;
/// Pictures of a step.
const PICTURES: usize = 4;
/// Digits of git's ids, so that none is cut; and files that differ which are named.
const GIT: (usize, usize) = (64, 10);

pub(super) fn shown(place: &Place<'_>, story: &Story<'_>) -> Markup {
    let (look, total) = (place.look, story.steps.len());
    let from = place.asked.after().min(total);
    let until = total.min(from + PAGE);
    html! {
        div .court {
            h2 { "How it was made" }
            p .dim { "Each step comes before those that depend on it; the last one made the file." }
            ol .steps start=(from + 1) {
                @for (number, step) in story.steps.iter().enumerate().take(until).skip(from) {
                    li id={ "step-" (number + 1) } {
                        @match step {
                            StoryStep::Commit { repo, source, files } => (committed(look, repo, source, files)),
                            StoryStep::Datum { datum, wrote } => (executed(look, datum, wrote)),
                        }
                    }
                }
            }
            @if from > 0 || until < total {
                nav .pages.on-screen aria-label="Steps" {
                    span .dim {
                        "Steps " (count(from as u64 + 1)) " to " (count(until as u64)) " of " (count(total as u64))
                    }
                    @if from > 0 {
                        a rel="prev" href=(look.link(&place.here().with("after", from.saturating_sub(PAGE)).at("steps"))) {
                            "Earlier steps"
                        }
                    }
                    @if until < total {
                        a rel="next" href=(look.link(&place.here().with("after", until).at("steps"))) {
                            "Later steps"
                        }
                    }
                }
            }
        }
    }
}

fn committed(look: &Look<'_>, repo: &RepoName, source: &SourceNode, files: &[&FileNode]) -> Markup {
    let author = if source.author.is_empty() { &source.committer } else { &source.author };
    html! {
        h3 {
            (author) " committed " (plural(files.len() as u64, "file", "files")) " to "
            (link(look, &address::repo(repo), repo.as_str()))
        }
        dl .fields {
            dt { "Commit" }
            dd { a href=(look.link(&address::commit(repo, &source.commit))) { (id(&source.commit.to_string())) } }
            dt { "When" } dd { (time(look, source.created_at)) }
            dt { "Recorded by" } dd { (source.committer) }
            @if !source.message.is_empty() { dt { "Message" } dd .message { (source.message) } }
            @if let Some(from) = &source.read_from { dt { "Read from" } dd { (from) } }
            dt { "Files" } dd { (named(look, files)) }
        }
        @for file in files.iter().take(NAMED) {
            @if let Origin::Source(own) = &file.origin {
                @if let Some(original) = &own.copied_from {
                    p { (file.path) " is a copy of " (file_link(look, original)) "." }
                }
                @if let Some(why) = &own.gone { p .gap { "Gap: " (file.path) ": " (why) } }
            }
        }
        (shots(look, files))
    }
}

/// Files with their sizes and digests.
fn named(look: &Look<'_>, files: &[&FileNode]) -> Markup {
    let left = files.len().saturating_sub(NAMED);
    html! {
        ul .plain {
            @for file in files.iter().take(NAMED) {
                li {
                    (file_link(look, file)) ", " (size(file.size_bytes)) ", sha256 " (id(&file.digest.to_string()))
                    @if let Some(same) = &file.same_as {
                        ", the same content as its input " (same.repo) ":" (same.path)
                    }
                }
            }
            @if left > 0 { li .dim { "and " (count(left as u64)) " more" } }
        }
    }
}

pub(super) fn file_link(look: &Look<'_>, file: &FileNode) -> Markup {
    let words = format!("{}:{}", file.repo, file.path);
    link(look, &address::files(&file.repo, shown_commit(file), Some(&file.path)), words)
}

fn shots(look: &Look<'_>, files: &[&FileNode]) -> Markup {
    let shown: Vec<&&FileNode> = files.iter().filter(|file| can_be_shown(file)).take(PICTURES).collect();
    html! { @if !shown.is_empty() { div .shots { @for file in shown { (picture(look, file)) } } } }
}

fn executed(look: &Look<'_>, datum: &DatumNode, wrote: &[&FileNode]) -> Markup {
    let is_hidden = is_stand_in(datum.pipeline.as_str());
    html! {
        h3 {
            @if is_hidden {
                "A pipeline that is not visible to you"
            }  @else {
                (link(look, &address::pipeline(&datum.pipeline), datum.pipeline.as_str()))
            }
            " v" (datum.version) " wrote " (plural(wrote.len() as u64, "file", "files"))
        }
        @if datum.not_visible > 0 { p .gap { (gap_in_words(datum.not_visible, "input")) "." } }
        @if datum.network == Network::Default {
            p .gap { "It could reach a network: what came from there is not recorded." }
        }
        dl .fields {
            (ran(look, datum, is_hidden))
            (made_by(datum))
            dt { "Read" } dd { (read(look, datum)) }
            dt { "Wrote" } dd { (named(look, wrote)) }
        }
        (shots(look, wrote))
    }
}

/// When and where it ran, and why.
fn ran(look: &Look<'_>, datum: &DatumNode, is_hidden: bool) -> Markup {
    html! {
        dt { "Job" }
        dd {
            @if is_hidden { "not visible to you" } @else {
                (link(look, &address::job(&datum.job), datum.job.as_str())) ", "
                (link(look, &address::log(&datum.job, Some(&datum.id.to_string())), "log")) ", datum "
                a href=(look.link(&address::datum(&datum.job, &datum.id.to_string()))) { (id(&datum.id.to_string())) }
            }
            @if datum.cached {
                "; its result was used again"
                @if let Some(by) = &datum.taken_over_by { " by " (link(look, &address::job(by), by.as_str())) }
            }
        }
        @if let Some(cause) = &datum.cause {
            dt { "Cause" }
            dd {
                (answers::run::cause_words(cause.kind, &cause.refs)) ", by " (cause.who())
                @if !cause.message.is_empty() { ": " (cause.message) }
            }
        }
        @if let Some(finished) = datum.finished_at {
            dt { "When" }
            dd {
                (time(look, finished))
                @if let Some(started) = datum.started_at { ", for " (duration(finished.seconds_since(started))) }
                @if let Some(exit) = datum.exit_code { ", exit code " (exit) }
                @if datum.tries > 1 { ", " (plural(datum.tries as u64, "try", "tries")) }
            }
        }
        dt { "Where" }
        dd {
            (datum.executor.on(datum.worker.as_deref())) ", "
            @if datum.network == Network::None { "no network" } @else { "network" }
        }
    }
}

/// What was executed: image, code, command.
fn made_by(datum: &DatumNode) -> Markup {
    let code = datum.code.as_ref().map(CodeStamp::checked);
    html! {
        dt { "Image" }
        dd {
            @match &datum.image {
                Some(image) => {
                    (image.reference) ", sha256 " (id(&image.digest.to_string()))
                    @if let Some(digest) = &image.registry_digest { ", registry " (id(digest)) }
                }
                None => "none: the tools of the host",
            }
        }
        @if let Some(code) = &code {
            dt { "Code" }
            dd {
                @if let Some(tree) = &code.tree { "files sha256 " (id(&tree.to_string())) }
                @for (what, check) in [("code", &code.git_code), ("spec", &code.git_spec)] {
                    @if let Some(check) = check { div { (check.in_words(what, GIT.0, GIT.1)) } }
                }
            }
        }
        dt { "Command" } dd { code { (command(&datum.cmd)) } }
        @if !datum.stdin.is_empty() { dt { "Input" } dd { code { (datum.stdin.join("\n")) } } }
        @if !datum.env.is_empty() {
            dt { "Variables" } dd { @for (name, value) in &datum.env { div { code { (name) "=" (value) } } } }
        }
        @if !datum.secrets.is_empty() { dt { "Secrets" } dd { (datum.secrets.join(", ")) } }
        @if let Some(at) = datum.applied_at {
            dt { "Version applied" } dd { (at) @if let Some(by) = &datum.applied_by { " by " (by) } }
        }
    }
}

/// What it read, with the commits of models and rules.
fn read(look: &Look<'_>, datum: &DatumNode) -> Markup {
    let left = datum.inputs.len().saturating_sub(NAMED) as u64 + datum.more_inputs;
    html! {
        @if datum.inputs.is_empty() { "no files" }
        ul .plain {
            @for input in datum.inputs.iter().take(NAMED) { li { (input_words(look, input)) } }
            @if left > 0 { li .dim { "and " (plural(left, "more input", "more inputs")) } }
        }
    }
}

fn input_words(look: &Look<'_>, input: &InputNode) -> Markup {
    html! {
        b { (input.input) } ": "
        @match (&input.commit, &input.directory) {
            (None, _) => span .gap { (input.path) " — gap: not found again" },
            (Some(commit), directory) => {
                (link(look, &address::files(&commit.repo, &commit.id, Some(&input.path)), format!("{}:{}", commit.repo, input.path)))
                " in commit "
                a href=(look.link(&address::commit(&commit.repo, &commit.id))) { (id(&commit.id.to_string())) }
                @if let Some(branch) = &commit.branch { " of " (branch) }
                @if let Some(extent) = directory {
                    ", " (plural(extent.files, "file", "files")) ", " (size(extent.size_bytes))
                }
                @else if let Some(file) = input.files.first() { ", sha256 " (id(&file.digest.to_string())) }
            }
        }
        @if input.older { " (its branch had a newer commit by then)" }
        @if input.reference { " (outside of the recipe)" }
        @if input.empty_files { " (only the names)" }
        @for file in input.files.iter().take(1) { (end_words(file)) }
    }
}

/// Where a trace does not go on.
fn end_words(file: &FileNode) -> Markup {
    html! {
        @match &file.origin {
            Origin::Gap(why) => span .gap { " — gap: " (why) },
            Origin::Cut => span .gap { " — not followed further" },
            _ => {}
        }
    }
}
