//! `pv token create`

use answers::token::{CreatedToken, token_view};
use engine::tokens::{self, NewToken, RepoGlobs, Role};
use specs::TokenName;

use crate::author::by;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Create a token, with which a person or program may use a server
///
/// Prints the token to stdout, once: the store keeps only its SHA-256. Everything else is printed to stderr. Commits made with the token name
/// it as their committer.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Name of the token
    name: TokenName,
    /// What it may do: `reader` sees, `writer` also commits and retries, `admin` also applies pipelines; without --repo an admin may do
    /// everything. `worker` only joins: pv worker join
    #[arg(long)]
    role: Role,
    /// Limit it to repositories that match, and to the pipelines with the same names; several are possible [default: all]
    #[arg(long = "repo", value_name = "GLOB")]
    repos: Vec<String>,
    /// End it after this time, such as `90d` [default: never]
    #[arg(long, value_name = "D")]
    expires: Option<specs::Duration>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let globs = if args.repos.is_empty() { Ok(RepoGlobs::all()) } else { RepoGlobs::parse(&args.repos) };
    let repos = globs.map_err(|error| CliError::usage(error.to_string(), "--repo images, or --repo 'cam*'"))?;
    let store = cx.store()?;
    let new = NewToken {
        name: args.name.clone(),
        role: args.role,
        repos,
        expires: args.expires.map(specs::Duration::get),
        by: by(cx, None).committer,
    };
    let (token, row) = tokens::create(store, new)?;
    let view = token_view(row, store.clock().now());
    if cx.out().is_json() {
        return cx.out().json(&CreatedToken { token: token.text().to_owned(), view });
    }
    let human = cx.human();
    let covers = match view.role {
        Role::Worker => String::new(),
        _ if view.repos.is_all() => " of all repositories".to_owned(),
        _ => format!(" of `{}`", view.repos),
    };
    let ends =
        view.expires_at.map_or_else(|| "it does not end".to_owned(), |at| format!("it ends {}", human.local(at)));
    cx.notes().line(format!("token `{}`: {}{covers}; {ends}", view.name, view.role));
    cx.notes().line("keep it now: it is not shown again");
    cx.out().line(token.text())
}
