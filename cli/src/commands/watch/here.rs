//! `pv watch DIR REF`: in this process, until it is stopped.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use ::watch::{Seen, Watcher};
use answers::change::PutView;
use answers::watch::TroubleView;
use nix::sys::signal::Signal;
use serde_json::json;

use super::far::{self, FarBranch, Said};
use super::{What, in_words};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::plural;
use crate::remote::servers::Server;

/// How soon it notices that it should stop.
const LOOK: Duration = Duration::from_millis(200);
/// How many signals it handles itself: after the first it ends in order, and still prints what it has committed meanwhile.
const HEEDED: u32 = 2;

pub(super) fn run(cx: &Context, what: &What, once: bool) -> Result<()> {
    if let Some(far) = cx.invocation().client.is_far() {
        return far::answer(cx, far, what);
    }
    let store = cx.store()?;
    let plan = what.plan(cx)?;
    let watcher = Watcher::new(store, &plan)?;
    follow(cx, once, watcher, |seen| seen.iter().try_for_each(|seen| print(cx, Some(store), seen)))
}

/// Watches on this machine, for a branch in a server.
pub(super) fn run_far(cx: &Context, server: &Server, argv: &[OsString], (what, once): (&What, bool)) -> Result<()> {
    let plan = what.plan(cx)?;
    let said = Said::default();
    let branch = FarBranch::of(cx, server, argv, &plan.target, said.clone())?;
    let watcher = Watcher::of(&plan, Box::new(branch));
    follow(cx, once, watcher, |seen| {
        for (view, line) in said.lock().expect("no panic under this lock").drain(..) {
            if cx.out().is_json() { cx.out().json(&view)? } else { cx.out().line(line)? }
        }
        seen.iter().try_for_each(|seen| print(cx, None, seen))
    })
}

/// Watches until it is told to stop, or with `--once` until all is committed.
fn follow(
    cx: &Context,
    once: bool,
    mut watcher: Watcher<'_>,
    mut print: impl FnMut(&[Seen]) -> Result<()>,
) -> Result<()> {
    cx.cancel().heed(HEEDED);
    if !once {
        cx.notes().line(format!("watching `{}`; Ctrl-C stops", watcher.folder().display()));
    }
    let mut has_said_waiting = false;
    while !cx.cancel().is_asked() {
        let seen = watcher.step(Instant::now() + LOOK);
        print(&seen)?;
        if !seen.is_empty() {
            cx.out().flush()?;
        }
        if once && (watcher.is_idle() || watcher.is_held_up()) {
            return end(cx, &watcher);
        }
        if once && !has_said_waiting && watcher.waiting() > 0 {
            has_said_waiting = true;
            cx.notes().line(format!("{} to settle", plural(watcher.waiting() as u64, "file has", "files have")));
        }
    }
    if once {
        return Err(CliError::Cancelled);
    }
    // What has not settled is found by the next watch, so that the end of this one is not a failure for a service manager.
    cx.cancel().obeyed(Signal::SIGTERM);
    Ok(())
}

/// The end of `--once`: what could not be committed is a failure.
fn end(cx: &Context, watcher: &Watcher<'_>) -> Result<()> {
    let troubles = watcher.troubles_count() as u64;
    if troubles == 0 {
        return Ok(());
    }
    cx.out().flush()?;
    let what = if watcher.is_held_up() {
        plural(watcher.waiting() as u64, "file was", "files were")
    } else {
        plural(troubles, "file or folder was", "files or folders were")
    };
    let what = format!("{what} not committed");
    Err(CliError::new(specs::ErrorKind::Failed, what))
}

fn print(cx: &Context, store: Option<&Store>, seen: &Seen) -> Result<()> {
    if !cx.out().is_json() {
        return match (seen, in_words(store, seen)?) {
            (Seen::Batch(_), Some(line)) => cx.out().line(line),
            (_, Some(line)) => {
                cx.notes().line(line);
                Ok(())
            }
            (_, None) => Ok(()),
        };
    }
    match seen {
        Seen::Batch(batch) => match &batch.outcome {
            Some(outcome) if outcome.run().is_some() => cx.out().json(&PutView::from(outcome)),
            _ => Ok(()),
        },
        Seen::Trouble(trouble) => cx.out().json(&json!({ "trouble": TroubleView::from(trouble.clone()) })),
        Seen::Polls(why) => cx.out().json(&json!({ "polls": why })),
    }
}
