//! The pages that come before a change of a job: what it would touch, and the form that does it.

use answers::datum::datums_of_input;
use answers::job::{JobRow, job_id, job_view, live_job};
use engine::EngineError;
use engine::apply::find_retry;
use engine::datums::count_matches;
use engine::graph::Pipeline;
use maud::{Markup, html};
use repos::access::Role;
use repos::tree::Tree;
use specs::words::{count, plural};
use specs::{FilePath, Glob};

use super::super::Result;
use super::super::work::{ROWS, chosen, field};
use super::address_of;
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{action, form, link};

/// The page before a change.
pub(super) fn page(look: &Look<'_>, job: &JobRow, what: &str, input: Option<&str>) -> Result<Markup> {
    if !look.may(Role::Writer) {
        return Ok(html! { h1 { "You may not change this job" } p { "A token of role writer may." } });
    }
    let body = match what {
        "retry" => retry(look, job)?,
        "skip" => skip(look, job)?,
        "stop" => stop(look, job)?,
        "rerun" => rerun(look, job, input)?,
        other => {
            let what = format!("`{other}` is not a change of a job");
            return Err(EngineError::Usage { what, hint: Some("retry, skip, stop or rerun".to_owned()) });
        }
    };
    Ok(html! { (body) p { (link(look, &address_of(job), "Leave it as it is")) } })
}

fn name(job: &JobRow) -> String {
    format!("{}@{}", job.pipeline, job.run.short(8))
}

fn operation(job: &JobRow, verb: &str) -> Address {
    address::api(["jobs", &job_id(&job.pipeline, &job.run), verb])
}

/// The forms lead to the run that they start.
fn to_run<'a>(look: &Look<'a>) -> Look<'a> {
    Look { here: "/runs/{run}", ..*look }
}

fn failed(look: &Look<'_>, job: &JobRow) -> Result<u64> {
    Ok(job_view(look.store, job, live_job(Some(look.live), job).as_ref())?.datums_failed)
}

/// Why the job cannot be retried, if it cannot.
fn refusal(look: &Look<'_>, job: &JobRow) -> Option<Markup> {
    let error = find_retry(look.store, job).err()?;
    Some(html! { h1 { "It cannot be run again" } p .problem { (error) } })
}

fn retry(look: &Look<'_>, job: &JobRow) -> Result<Markup> {
    if let Some(refusal) = refusal(look, job) {
        return Ok(refusal);
    }
    Ok(html! {
        h1 { "Retry job " (name(job)) "?" }
        p { (plural(failed(look, job)?, "datum", "datums")) " failed and will be executed again, on the newest inputs; what succeeded "
            "comes from the cache. Pipelines that read the output run too." }
        (action(&to_run(look), "POST", &operation(job, "retry"), &[], "Retry"))
    })
}

fn skip(look: &Look<'_>, job: &JobRow) -> Result<Markup> {
    if let Some(refusal) = refusal(look, job) {
        return Ok(refusal);
    }
    Ok(html! {
        h1 { "Go on without the failed datums of job " (name(job)) "?" }
        p { (plural(failed(look, job)?, "datum", "datums")) " that failed will count as recovered in a new job, with your reason; "
            "the output has nothing of them." }
        (form(&to_run(look), "POST", &operation(job, "retry"), &html! {
            label { "Reason, which is recorded" input name="skip_failed:query" required maxlength="500" autocomplete="off"; }
        }, "Go on without them"))
        p { (link(look, &address_of(job).with("state", "failed"), "Which are these?")) }
    })
}

fn stop(look: &Look<'_>, job: &JobRow) -> Result<Markup> {
    let view = job_view(look.store, job, live_job(Some(look.live), job).as_ref())?;
    if job.sealed.is_some() {
        return Ok(html! { h1 { "Job " (name(job)) " has ended" } p { "There is nothing to stop." } });
    }
    let done = view.datums_processed + view.datums_cached + view.datums_failed + view.datums_recovered;
    let next = address_of(job).under("");
    let back = Look { here: &next, ..*look };
    Ok(html! {
        h1 { "Stop job " (name(job)) "?" }
        p { (count(done)) " of " (plural(view.datums_total, "datum", "datums")) " are done and stay in the cache; "
            (count(view.datums_total.saturating_sub(done))) " will not be executed. Jobs that wait for its output cannot run then." }
        (form(&back, "POST", &operation(job, "stop"), &field("message", "Reason", None, ""), "Stop"))
    })
}

/// Datums that read certain files are executed again.
fn rerun(look: &Look<'_>, job: &JobRow, input: Option<&str>) -> Result<Markup> {
    let text = input.map(str::trim).filter(|input| !input.is_empty());
    let glob: Option<Glob> = chosen("input", text)?;
    let count = glob.as_ref().map(|glob| matched(look, job, glob)).transpose()?;
    let path = glob.as_ref().and_then(only_path);
    let datums = match path {
        Some(path) => Some(datums_of_input(look.store, Some(look.live), job, &path, ROWS + 1)?.len()),
        None => None,
    };
    let operation = address::api(["pipelines", job.pipeline.as_str(), "rerun"]);
    Ok(html! {
        h1 { "Run datums of " (job.pipeline) " again?" }
        form .filter action=(look.link(&address_of(job))) {
            input type="hidden" name="change" value="rerun";
            (field("input", "Those that read", text, "glob, such as /cam7/*"))
            button { "Count" }
        }
        @if let (Some(count), Some(text)) = (count, text) {
            p { code { (text) } " matches " (plural(count, "path", "paths")) " of its current inputs."
                @if let Some(datums) = datums.filter(|datums| *datums > 0) {
                    " " @if datums > ROWS { "More than " (ROWS) } @else { (datums) } " of the datums of this job read it."
                }
                " The datums that read a matching path will be executed again without the cache; the results of others are kept." }
            @if count > 0 { (action(&to_run(look), "POST", &operation, &[("input", text)], "Run them again")) }
        } @else {
            p { "Or all of them, without the cache:" }
            (action(&to_run(look), "POST", &operation, &[], "Run all again"))
        }
    })
}

/// The glob that matches this path alone.
pub(in super::super) fn glob_of(path: &FilePath) -> String {
    let mut glob = String::with_capacity(path.as_str().len());
    for c in path.as_str().chars() {
        // Other signs are special only before one of these.
        if "\\*?[]{}()".contains(c) {
            glob.push('\\');
        }
        glob.push(c);
    }
    glob
}

/// The path that a glob matches, if it can match no other.
fn only_path(glob: &Glob) -> Option<FilePath> {
    let prefix = glob.literal_prefix();
    (glob.is_root() || !prefix.ends_with('/')).then(|| prefix.parse().ok()).flatten()
}

/// How many paths of a pipeline's current inputs a glob matches.
fn matched(look: &Look<'_>, job: &JobRow, glob: &Glob) -> Result<u64> {
    let pipeline = Pipeline::load(look.store, &look.store.pipeline(&job.pipeline)?)?;
    let mut sum = 0;
    for (repo, branch) in pipeline.input_branches() {
        if !look.store.sees(&repo) {
            continue;
        }
        let head = look.store.find_branch(&repo, &branch)?.and_then(|row| row.commit);
        let tree = match head {
            Some(head) => Tree::at(look.store.commit(&head)?.tree),
            None => continue,
        };
        sum += count_matches(look.store, tree, glob)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_its_glob_alone() {
        for path in ["/a/b.png", "/a*b?.txt", "/[x]/{a,b}/(c|d)", "/@(a)!(b)+(c)", r"/back\slash", "/é", "/"] {
            let path: FilePath = path.parse().unwrap();
            let glob: Glob = glob_of(&path).parse().unwrap();
            assert!(glob.matches(path.as_str()), "{glob}");
            assert_eq!(only_path(&glob), Some(path), "{glob}");
        }
        for several in ["/*", "/cam7/*", "/cam7/00?", "/{a,b}"] {
            assert_eq!(only_path(&several.parse().unwrap()), None, "{several}");
        }
    }
}
