//! `pv whoami`

use repos::access::Access;
use serde::Serialize;

use crate::author;
use crate::context::Context;
use crate::error::Result;

/// How long before the end of a token it is mentioned.
const DAYS_BEFORE: i64 = 7;

/// Show who you are for a server: name, role, repositories, and when the token ends
///
/// Without a server: the author of your commits on this machine.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Who somebody is for a server, or on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Whoami {
    /// The token's name; on this machine, the user as the operating system knows it. It is the committer of commits.
    name: String,
    /// The author of commits, unless `--author` names another one.
    author: String,
    /// `null` without a server: every right.
    role: Option<String>,
    /// Globs of the repositories that the token covers; `*` for all, empty without a server.
    repos: Vec<String>,
    /// When the token ends, if it does.
    expires_at: Option<repos::Timestamp>,
}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let who = who(cx);
    if cx.out().is_json() {
        return cx.out().json(&who);
    }
    cx.out().line(&who.name)?;
    let rows = [
        ("author", Some(who.author.clone())),
        ("role", who.role.clone()),
        ("repositories", who.role.is_some().then(|| who.repos.join(" "))),
        ("ends", who.expires_at.map(|at| cx.human().local(at))),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    cx.table(&[], rows.collect())?;
    cx.out().flush()?;
    warn_of_end(cx, who.expires_at);
    Ok(())
}

fn repos_of(access: &Access) -> Vec<String> {
    if access.sees_all() { vec!["*".to_owned()] } else { access.repos.texts().map(str::to_owned).collect() }
}

fn who(cx: &Context) -> Whoami {
    let by = author::by(cx, None);
    let Some(far) = cx.invocation().client.is_far() else {
        return Whoami { name: by.committer, author: by.author, role: None, repos: Vec::new(), expires_at: None };
    };
    let caller = &far.caller;
    Whoami {
        name: by.committer,
        author: by.author,
        role: Some(caller.access.role.to_string()),
        repos: repos_of(&caller.access),
        expires_at: caller.expires_at,
    }
}

/// Mentions that a token ends soon.
pub(super) fn warn_of_end(cx: &Context, expires_at: Option<repos::Timestamp>) {
    let Some(at) = expires_at else { return };
    let left = at.as_micros().saturating_sub(cx.human().now().as_micros());
    if left < DAYS_BEFORE * 24 * 3600 * 1_000_000 {
        cx.notes().line(format!("the token ends {}; an admin makes a new one: pv token create", cx.human().until(at)));
    }
}
