//! `pv pipeline new`

use std::collections::BTreeSet;
use std::str::FromStr;

use answers::pipeline::spec_text;
use specs::{
    BranchName, Glob, GlobError, Input, PfsInput, PipelineName, PipelineSpec, Reference, ReferenceError, RepoName,
    Transform, parse_specs,
};

use super::sources::warn;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Print a spec to start from; needs no store
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Name of the pipeline and of its output repository
    name: PipelineName,
    /// Input: each match of GLOB is one datum; several inputs are combined as a cross product
    #[arg(long, value_name = "REPO[@BRANCH]:GLOB", required = true)]
    input: Vec<InputArg>,
    /// Container image for the command
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Command to run: it reads inputs from /pfs/REPO and writes to /pfs/out
    #[arg(value_name = "CMD", last = true, required = true)]
    cmd: Vec<String>,
}

/// `REPO[@BRANCH]:GLOB`.
#[derive(Debug, Clone)]
struct InputArg {
    repo: RepoName,
    branch: Option<BranchName>,
    glob: Glob,
}

#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("`{0}` has no glob: write `{0}:/*`")]
    NoGlob(String),
    #[error("`{0}` does not name a branch")]
    NoBranch(String),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Glob(#[from] GlobError),
}

impl FromStr for InputArg {
    type Err = InputError;
    fn from_str(text: &str) -> Result<Self, InputError> {
        let (head, glob) = text.split_once(':').ok_or_else(|| InputError::NoGlob(text.to_owned()))?;
        let Reference { repo, revision, .. } = head.parse()?;
        let no_branch = || InputError::NoBranch(head.to_owned());
        let branch = revision.map(|revision| revision.as_branch().ok_or_else(no_branch)).transpose()?;
        Ok(Self { repo, branch, glob: Glob::parse(glob)? })
    }
}

impl From<InputArg> for Input {
    fn from(arg: InputArg) -> Self {
        let InputArg { repo, branch, glob } = arg;
        Self::Pfs(PfsInput { branch, ..PfsInput::new(repo, glob) })
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let mut names = BTreeSet::new();
    if let Some(twice) = args.input.iter().find(|input| !names.insert(&input.repo)) {
        let message = format!("repository `{}` is given twice, but inputs need different names", twice.repo);
        return Err(CliError::usage(message, "leave one out here, then add it to the spec with its own `name`"));
    }
    let mut inputs: Vec<Input> = args.input.iter().cloned().map(Input::from).collect();
    let input = if inputs.len() == 1 { inputs.remove(0) } else { Input::Cross(inputs) };
    let transform = Transform { image: args.image.clone(), cmd: args.cmd.clone(), ..Transform::default() };
    let spec = PipelineSpec::new(args.name.clone(), transform, input);
    let text = spec_text(&spec);
    let set = parse_specs(&[("spec".to_owned(), text.clone())]);
    if let Some(error) = set.diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
        let error_without_place = CliError::new(specs::ErrorKind::Usage, error.message.clone());
        return Err(match &error.hint {
            Some(hint) => error_without_place.hint(hint),
            None => error_without_place,
        });
    }
    warn(cx, &set.diagnostics);
    if cx.out().is_json() {
        return cx.out().json(&spec);
    }
    cx.out().text(&text)?;
    cx.out().flush()?;
    cx.notes().line(format!("next: save it as {}.yml, then  pv pipeline apply -f {0}.yml", spec.name));
    Ok(())
}
