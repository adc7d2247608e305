//! `pv pipeline show`

use answers::job::short_job;
use answers::named::find_version;
use answers::pipeline::{CodeStamp, PipelineDetails, pipeline_details, spec_value_text};
use repos::Timestamp;
use specs::{PipelineName, Reference, ReferenceError};

use crate::commands::jobs::live;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{Human, plural};

/// Show a pipeline: its state, its parts and its spec
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pipeline; `NAME@v3` for a version
    #[arg(value_name = "NAME[@vN]")]
    name: Reference,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if let Some((of, _)) = find_version(store, &args.name)? {
        return crate::commands::show::version(cx, &of);
    }
    if args.name.revision.is_some() || args.name.path.is_some() {
        let message = format!("`{}` is neither a pipeline nor a version of one", args.name);
        return Err(CliError::usage(message, format!("pv pipeline log {} lists its versions", args.name.repo)));
    }
    let name: PipelineName = args.name.repo.as_str().parse().map_err(ReferenceError::from)?;
    let details = pipeline_details(store, &name, live(cx))?;
    if cx.out().is_json() {
        return cx.out().json(&details);
    }
    let lines = lines(cx, &details)?.into_iter().map(|(word, text)| vec![word.to_owned(), text]);
    cx.table(&[], lines.collect())?;
    cx.out().line("\nspec")?;
    spec_value_text(&details.spec).lines().try_for_each(|line| cx.out().line(format!("  {line}")))
}

fn lines(cx: &Context, details: &PipelineDetails) -> Result<Vec<(&'static str, String)>> {
    let (view, human) = (&details.view, cx.human());
    let store = cx.store()?;
    let reason = view.reason.as_deref().map_or_else(String::new, |reason| format!("   {reason}"));
    let behind = match view.behind_runs {
        0 => String::new(),
        runs => format!("   behind by {}", plural(runs, "run", "runs")),
    };
    let mut lines = vec![
        ("pipeline", format!("{} v{}", view.name, view.version)),
        ("about", details.description.clone()),
        ("state", format!("{}{reason}{behind}", view.state)),
        ("last job", view.newest.as_ref().map(|job| short_job(store, job)).transpose()?.unwrap_or_default()),
        ("next tick", view.next_tick.map(|time| next(&human, time)).unwrap_or_default()),
        ("applied", when(&human, details.applied_at)),
        ("executor", details.executor.to_string()),
        ("network", details.transform.network.to_string()),
    ];
    if let Some(image) = &details.image {
        lines.push(("image", format!("{}   {}", image.reference, image.digest)));
    }
    if let Some(code) = &details.code {
        lines.extend(code_in_words(code));
    }
    lines.extend(details.inputs.iter().map(|input| ("reads", input.clone())));
    let head = view.output_commit.map_or(Ok("no commit yet".to_owned()), |id| store.short_commit(&id))?;
    lines.push(("writes", format!("{}   {head}", details.output)));
    lines.retain(|(_, text)| !text.is_empty());
    Ok(lines)
}

fn next(human: &Human, time: Timestamp) -> String {
    format!("{}   in {}", human.local(time), human.until(time))
}

fn when(human: &Human, time: Timestamp) -> String {
    format!("{}   {}", human.local(time), human.ago(time))
}

/// The code's tree, and how code and spec compare with git.
pub(in crate::commands) fn code_in_words(code: &CodeStamp) -> Vec<(&'static str, String)> {
    let checks = [("code", &code.git_code), ("spec", &code.git_spec)];
    let git = checks.into_iter().filter_map(|(what, check)| Some(("git", check.as_ref()?.in_words(what, 64, 10))));
    code.tree.map(|tree| ("code", format!("tree {tree}"))).into_iter().chain(git).collect()
}
