//! What a word stands for: a reference, a name, an id, a digest, the name of a file. One meaning leads there at once; several are a list.
//!
//! - `meanings`: all but files by their content or name
//! - `files`: these

mod files;
mod meanings;

use engine::EngineError;
use maud::{Markup, html};
use serde::Deserialize;
use specs::{Digest, PipelineName, RepoName};

use super::{None as Nothing, Result};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::link;

use files::Files;
use meanings::{Meaning, Meanings};

/// Most bytes of a file whose digest a browser computes.
const HASHED: u64 = 64 << 20;

/// What is looked for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The word.
    q: Option<String>,
    /// `files`: names of files are searched, however many there are.
    r#in: Option<String>,
    /// The number of files before this page.
    after: Option<usize>,
}

/// Leads to what a word stands for, or lists what it may stand for.
#[allow(clippy::needless_pass_by_value, reason = "all views have this signature")]
pub fn find(look: &Look<'_>, _: Nothing, asked: Asked) -> Result<View> {
    let word = asked.q.as_deref().map(str::trim).filter(|word| !word.is_empty());
    let Some(word) = word else { return Ok(page(look, "", &html! { (help()) })) };
    let Meanings { mut found, problem } = Meanings::of(look, word)?;
    let digits = word.strip_prefix("sha256:").unwrap_or(word);
    let is_digest = digits.parse::<Digest>().is_ok();
    if found.len() == 1 && asked.r#in.is_none() && !is_digest {
        return Ok(View::elsewhere(found.remove(0).to));
    }
    let files = if found.is_empty() || is_digest || asked.r#in.is_some() {
        Files::of(look, word, &asked)?
    } else {
        Files::NotAsked
    };
    if let (true, Files::Found(files, _)) = (found.is_empty() && asked.r#in.is_none() && !is_digest, &files)
        && let [one] = files.as_slice()
    {
        return Ok(View::elsewhere(address::files(&one.repo, &one.last, Some(&one.path))));
    }
    let near = near(look, word)?;
    let has_files = matches!(&files, Files::Found(files, _) if !files.is_empty());
    Ok(page(
        look,
        word,
        &html! {
            @if !found.is_empty() { (listed(look, word, &found)) }
            @if found.is_empty() && !has_files { (nothing(look, word, &near, problem.as_ref())) }
            (files.shown(look, word, asked.after.unwrap_or_default()))
            @if found.is_empty() && !has_files { (help()) }
        },
    ))
}

fn page(look: &Look<'_>, word: &str, content: &Markup) -> View {
    let title = if word.is_empty() { "Find".to_owned() } else { format!("Find {word}") };
    View::new(title, "").fixed(
        "found",
        html! {
            h1 { "Find" }
            form .compare action=(look.link(&Address::of(["find"]))) {
                label {
                    "Reference, name, id, digest or file name"
                    input name="q" value=(word) spellcheck="false" autocomplete="off";
                }
                button { "Find" }
            }
            div .drop hidden data-find=(look.link(&Address::of(["find"]))) data-most=(HASHED) {
                label { "Where is this file? Drop it here, or choose it: only its digest is sent" input type="file"; }
                p role="status" aria-live="polite" {}
            }
            (content)
        },
    )
}

fn help() -> Markup {
    html! {
        details .words open {
            summary { "What can be found" }
            ul {
                li { code { "images" } ", " code { "detect" } ": a repository, a pipeline" }
                li { code { "images@main" } ", " code { "images@77ab01c2:/cam7.jpg" } ": a commit, a file" }
                li { code { "@3fa9c1d2" } ", " code { "detect@3fa9c1d2" } ": a run, a job" }
                li { code { "77ab01c2" } ": anything by the first digits of its id" }
                li { "64 digits: every place where a file with this SHA-256 is and was" }
                li { code { "cam7.jpg" } ", " code { "*.jpg" } ": files by name" }
            }
        }
    }
}

fn listed(look: &Look<'_>, word: &str, found: &[Meaning]) -> Markup {
    html! {
        h2 { "What " code { (word) } " may stand for" }
        div .scroll { table {
            thead { tr { th scope="col" { "What" } th scope="col" { "Which" } th scope="col" { "About it" } } }
            tbody {
                @for meaning in found {
                    tr {
                        td { (meaning.sort) }
                        th scope="row" .path { (link(look, &meaning.to, meaning.words.as_str())) }
                        td { (meaning.about) }
                    }
                }
            }
        } }
    }
}

/// The names nearest to a word: repositories and pipelines.
fn near(look: &Look<'_>, word: &str) -> Result<Vec<Meaning>> {
    let name = word.split(['@', ':']).next().unwrap_or_default();
    let repos: Vec<RepoName> = look.store.repos()?.into_iter().map(|(name, _)| name).collect();
    let pipelines: Vec<PipelineName> = look.store.pipelines()?.into_iter().map(|(name, _)| name).collect();
    let mut found = Vec::new();
    if let Some(near) = specs::nearest(name, pipelines.iter().map(PipelineName::as_str)) {
        found.extend(near.parse().ok().map(|name| Meaning::new("pipeline", near, address::pipeline(&name), "")));
    }
    if let Some(near) = specs::nearest(name, repos.iter().map(RepoName::as_str)) {
        found.extend(near.parse().ok().map(|name| Meaning::new("repository", near, address::repo(&name), "")));
    }
    Ok(found)
}

fn nothing(look: &Look<'_>, word: &str, near: &[Meaning], problem: Option<&EngineError>) -> Markup {
    let seen = if look.store.is_limited() { " that is visible to you" } else { "" };
    html! {
        p .problem role="alert" {
            @match problem { Some(error) => { (error) }, None => { "Nothing" (seen) " is named " code { (word) } } }
            @if let Some(hint) = problem.and_then(EngineError::hint) { br; span .hint { (hint) } }
        }
        @if !near.is_empty() {
            p {
                "Did you mean "
                @for (number, meaning) in near.iter().enumerate() {
                    @if number > 0 { " or " } "the " (meaning.sort) " "
                    (link(look, &meaning.to, meaning.words.as_str()))
                }
                "?"
            }
        }
    }
}
