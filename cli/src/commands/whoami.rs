//! `pv whoami`

use std::sync::Arc;

use repos::access::Access;
use repos::files::{GetItem, Got};
use serde::{Deserialize, Serialize};

use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::invocation::{Client, Files, Invocation, Part, Streams};
use crate::remote::client::{self, Call, Incoming, Local, Outgoing, Writes};
use crate::remote::servers::Server;
use crate::socket::Repeat;

/// How long before the end of a token it is mentioned.
const DAYS_BEFORE: i64 = 7;

/// Show who you are for a server: name, role, repositories, and when the token ends
///
/// Without a server: the author of your commits on this machine.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Who somebody is for a server, or on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whoami {
    /// The token's name; on this machine, the user as the operating system knows it. It is the committer of commits.
    pub(super) name: String,
    /// The author of commits, unless `--author` names another one.
    pub(super) author: String,
    /// `null` without a server: every right.
    pub(super) role: Option<String>,
    /// Globs of the repositories that the token covers; `*` for all, empty without a server.
    pub(super) repos: Vec<String>,
    /// When the token ends, if it does.
    pub(super) expires_at: Option<repos::Timestamp>,
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
    warn_of_end(cx, &who);
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
pub(super) fn warn_of_end(cx: &Context, who: &Whoami) {
    let Some(at) = who.expires_at else { return };
    let left = at.as_micros().saturating_sub(cx.human().now().as_micros());
    if left < DAYS_BEFORE * 24 * 3600 * 1_000_000 {
        cx.notes().line(format!("the token ends {}; an admin makes a new one: pv token create", cx.human().until(at)));
    }
}

/// Has no files.
struct Nothing;

impl Local for Nothing {
    fn upload(&self, _: Part, _: &str, _: Outgoing) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn succeeded(&self) {}

    fn uploads_stdin(&self) -> bool {
        false
    }

    fn get(&self, _: Vec<GetItem>, _: bool, _: &Incoming) -> Result<Got> {
        Ok(Got::default())
    }
}

/// Asks a server who this is, with the token that it gets.
pub(super) fn ask(cx: &Context, server: &Server) -> Result<Whoami> {
    let argv = ["pv", "--json", "whoami"].map(Into::into);
    let (read, write) = std::io::pipe().map_err(|error| CliError::io("cannot open a pipe", &error))?;
    let own = cx.invocation();
    let failed = |error: std::io::Error| CliError::io("cannot open streams", &error);
    let streams = Streams {
        stdin: std::fs::File::open("/dev/null").map_err(failed)?,
        stdout: std::os::fd::OwnedFd::from(write).into(),
        stderr: own.streams.stderr.try_clone().map_err(failed)?,
    };
    let invocation = Invocation {
        streams,
        cwd: own.cwd.clone(),
        env: own.env.clone(),
        uid: own.uid,
        cancel: own.cancel.clone(),
        client: Client::default(),
        files: Files::default(),
    };
    let call = Call {
        local: Arc::new(Nothing),
        argv: &argv,
        author: author::by(cx, None).author,
        notes: std::collections::BTreeMap::new(),
        writes: Writes::Nothing,
        repeat: Repeat::Unprinted,
        // Short enough for a pipe.
        is_held: true,
    };
    let exit_code = client::run(server, &invocation, call)?;
    drop(invocation);
    if exit_code != 0 {
        return Err(CliError::Exit(exit_code));
    }
    serde_json::from_reader(read).map_err(|_| {
        let what = format!("the server at {} does not say who this is", server.place);
        CliError::new(specs::ErrorKind::Unavailable, what).hint("update pv on both sides")
    })
}
