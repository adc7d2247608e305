//! Two processes at one store: the second says whom it waits for, and goes on when the first is gone.

use nix::sys::signal::Signal;
use tests::{TestEnv, test_env};

use crate::support::*;

/// A put that holds the store's lock and stands still.
fn holder(env: &TestEnv) -> Background {
    env.write("held", "held");
    let mut command = env.command(["put", "images", "held"]);
    command.env("PV_STOP_AT", "pause:publish.before_record");
    let holder = Background::of(env, command);
    let stat = format!("/proc/{}/stat", holder.pid());
    until_true("a process that stands still", || {
        std::fs::read_to_string(&stat)
            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    });
    holder
}

/// A put that waits for it, seen to do so.
fn waiter(env: &TestEnv, holder: &Background, name: &str) -> Background {
    env.write(name, name);
    let waiter = Background::start(env, ["put", "images", name]);
    let expected = format!("waiting for process {} (pv put images)", holder.pid());
    until_true("a process that says for whom it waits", || waiter.stderr().contains(&expected));
    waiter
}

#[test]
fn a_waiter_says_for_whom_and_goes_on_when_that_one_is_killed() {
    let env = test_env!();
    let held = holder(&env);
    let waiting = waiter(&env, &held, "a");
    assert!(env.json(["log"]).is_empty(), "readers do not wait, and see what there is");
    held.kill_9();
    waiting.end().assert_code(0);
    let files = env.json(["ls", "-r", "images"]);
    assert_eq!(files.len(), 1, "what was not recorded did not happen");
    assert_eq!(files[0]["path"], "/a");
    assert_sound(&env);
}

#[test]
fn a_holder_that_goes_on_is_done_first_and_nothing_is_lost() {
    let env = test_env!();
    let held = holder(&env);
    let waiting = waiter(&env, &held, "a");
    held.send(Signal::SIGCONT);
    held.end().assert_code(0);
    waiting.end().assert_code(0);
    assert_eq!(env.json(["ls", "-r", "images"]).len(), 2);
    assert_eq!(env.json(["log", "images"]).len(), 2);
    assert_sound(&env);
}

#[test]
fn ctrl_c_while_waiting_ends_with_130_and_nothing_done() {
    let env = test_env!();
    let held = holder(&env);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let waiting = waiter(&env, &held, "a");
        waiting.send(signal);
        waiting.end().assert_code(128 + signal as i32);
    }
    held.send(Signal::SIGCONT);
    held.end().assert_code(0);
    let files = env.json(["ls", "-r", "images"]);
    assert_eq!((files.len(), files[0]["path"].as_str().unwrap()), (1, "/held"));
    assert_sound(&env);
}
