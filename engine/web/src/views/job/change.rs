//! The pages that come before a change of a job: what it would touch, and the form that does it.

use answers::datum::{datum_view, datums_of_input};
use answers::job::{JobRow, job_id, job_view, live_job};
use engine::EngineError;
use engine::apply::find_retry;
use engine::datums::count_matches;
use engine::execution::failed_results;
use engine::graph::Pipeline;
use maud::{Markup, html};
use repos::access::Role;
use repos::tree::Tree;
use specs::words::{count, plural};
use specs::{DatumId, Digest, FilePath, Glob};

use super::super::Result;
use super::super::work::{ROWS, chosen, field};
use super::address_of;
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{action, form, link};

/// Datums that are named, and inputs of each.
const NAMED: usize = 10;
const INPUTS: usize = 3;

/// The page before a change.
pub(super) fn page(look: &Look<'_>, job: &JobRow, what: &str, input: Option<&str>) -> Result<Markup> {
    if !look.may(Role::Writer) {
        return Ok(html! { h1 { "You may not change this job" } p { "A token of role writer may." } });
    }
    let body = match what {
        "retry" => retry(look, job, input)?,
        "skip" => skip(look, job, input)?,
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

/// What a person wrote in the field for a glob.
fn written(input: Option<&str>) -> Option<&str> {
    input.map(str::trim).filter(|input| !input.is_empty())
}

/// The form that chooses datums by what they read, and counts them.
fn filter(look: &Look<'_>, job: &JobRow, change: &str, input: Option<&str>) -> Markup {
    html! {
        form .filter action=(look.link(&address_of(job))) {
            input type="hidden" name="change" value=(change);
            (field("input", "Those that read", input, "glob, such as /cam7/*"))
            button { "Count" }
        }
    }
}

/// The failed datums that a change is about. The job has ended, so they stay the same until it is confirmed.
struct Failed<'t> {
    /// The glob that chooses them, if not all are meant.
    input: Option<&'t str>,
    /// Each with its result, in the order of their inputs.
    chosen: Vec<(DatumId, Digest)>,
    /// How many failed in all.
    all: usize,
}

impl<'t> Failed<'t> {
    fn of(look: &Look<'_>, job: &JobRow, input: Option<&'t str>) -> Result<Self> {
        let input = written(input);
        let glob: Option<Glob> = chosen("input", input)?;
        let all = failed_results(look.store, job, None)?;
        let count = all.len();
        let chosen = match &glob {
            Some(glob) => failed_results(look.store, job, Some(glob))?,
            None => all,
        };
        Ok(Self { input, chosen, all: count })
    }

    /// How many others failed.
    fn others(&self) -> usize {
        self.all - self.chosen.len()
    }

    /// The field with which the change is about the same datums.
    fn field(&self) -> Markup {
        html! { @if let Some(input) = self.input { input type="hidden" name="input:query" value=(input); } }
    }

    /// How many there are, and the first by what they read.
    fn counted(&self, look: &Look<'_>, job: &JobRow) -> Result<Markup> {
        let mut views = Vec::new();
        for (_, result) in self.chosen.iter().take(NAMED) {
            views.push(datum_view(look.store, Some(job), result, None)?);
        }
        let job = job_id(&job.pipeline, &job.run);
        let of = plural(self.all as u64, "datum", "datums");
        Ok(html! {
            @if let Some(input) = self.input {
                p { (count(self.chosen.len() as u64)) " of " (of) " that failed read a path that matches " code { (input) } "." }
            }
            @if !views.is_empty() { ul {
                @for view in &views {
                    @let paths = view.inputs.iter().take(INPUTS).map(|input| input.path.as_str()).collect::<Vec<_>>().join(", ");
                    @let words = if paths.is_empty() { view.id.short(12) } else { paths };
                    li .path { (link(look, &address::datum(&job, &view.id.to_string()), words))
                        @if view.inputs.len() > INPUTS { " " span .dim { "and " (view.inputs.len() - INPUTS) " more inputs" } } }
                }
                @if self.chosen.len() > NAMED { li .dim { "and " (count((self.chosen.len() - NAMED) as u64)) " more" } }
            } }
        })
    }
}

/// Why the job cannot be retried, if it cannot.
fn refusal(look: &Look<'_>, job: &JobRow) -> Option<Markup> {
    let error = find_retry(look.store, job).err()?;
    Some(html! { h1 { "It cannot be run again" } p .problem { (error) } })
}

fn retry(look: &Look<'_>, job: &JobRow, input: Option<&str>) -> Result<Markup> {
    if let Some(refusal) = refusal(look, job) {
        return Ok(refusal);
    }
    let failed = Failed::of(look, job, input)?;
    Ok(html! {
        h1 { "Retry job " (name(job)) "?" }
        @if failed.all > 0 { (filter(look, job, "retry", failed.input)) }
        (failed.counted(look, job)?)
        @if failed.input.is_none() || !failed.chosen.is_empty() {
            p { (plural(failed.chosen.len() as u64, "datum", "datums")) " failed and will be executed again, on the newest inputs; what succeeded "
                "comes from the cache. "
                @if failed.others() > 0 {
                    (plural(failed.others() as u64, "other stays", "others stay")) " failed, and so does the job, until all are retried or left out."
                } @else { "Pipelines that read the output run too." } }
            (form(&to_run(look), "POST", &operation(job, "retry"), &failed.field(), "Retry"))
        }
    })
}

fn skip(look: &Look<'_>, job: &JobRow, input: Option<&str>) -> Result<Markup> {
    if let Some(refusal) = refusal(look, job) {
        return Ok(refusal);
    }
    let failed = Failed::of(look, job, input)?;
    Ok(html! {
        h1 { "Go on without failed datums of job " (name(job)) "?" }
        @if failed.all > 0 { (filter(look, job, "skip", failed.input)) }
        (failed.counted(look, job)?)
        @if failed.chosen.is_empty() { p { "There is nothing to leave out." } } @else {
            p { (plural(failed.chosen.len() as u64, "datum", "datums")) " that failed will count as recovered in a new job, with your reason; "
                "the output has nothing of them."
                @if failed.others() > 0 { " " (plural(failed.others() as u64, "other", "others")) " will be executed again." } }
            (form(&to_run(look), "POST", &operation(job, "retry"), &html! {
                (failed.field())
                label { "Reason, which is recorded" input name="skip_failed:query" required maxlength="500" autocomplete="off"; }
            }, "Go on without them"))
        }
        p { (link(look, &address_of(job).with("state", "failed"), "All that failed")) }
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
    let text = written(input);
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
        (filter(look, job, "rerun", text))
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
    fn a_change_names_the_glob_that_was_counted_and_nothing_if_all_are_meant() {
        let field = |input| Failed { input, chosen: Vec::new(), all: 2 }.field().into_string();
        assert_eq!(field(None), "");
        let shown = field(written(Some(" /a\"* ")));
        assert_eq!(shown, "<input type=\"hidden\" name=\"input:query\" value=\"/a&quot;*\">");
        assert_eq!(field(written(Some("  "))), "");
    }

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
