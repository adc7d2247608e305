//! Two processes on one store: the second says which one it waits for, and continues when the first is gone.

use nix::sys::signal::Signal;
use tests::{TestEnv, test_env};

use crate::support::*;

/// A put that holds the store's lock and is stopped.
fn holder(env: &TestEnv) -> Background {
    env.write("held", "held");
    let mut command = env.command(["put", "images", "held"]);
    command.env("PV_STOP_AT", "pause:publish.before_record");
    until_it_stands(Background::of(env, command))
}

fn until_it_stands(process: Background) -> Background {
    until_true("a process that stands still", || process.stands_still());
    process
}

/// A put that visibly waits for the lock.
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

/// A collection that is stopped before its last step, with 20,000 bytes to remove.
fn stopped_collection(env: &TestEnv) -> Background {
    env.ok(["config", "set", "gc_grace", "0s"]);
    env.ok(["branch", "create", "notes@gone"]);
    env.write("garbage", noise(20_000, 1));
    env.ok(["put", "notes@gone", "garbage"]);
    env.ok(["branch", "delete", "notes@gone", "--yes"]);
    let mut command = env.command(["--json", "gc"]);
    command.env("PV_STOP_AT", "pause:gc.after_copy");
    until_it_stands(Background::of(env, command))
}

#[test]
fn a_collection_that_began_before_an_owner_came_is_done_by_the_owner() {
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &spec("hold", "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
    let collecting = stopped_collection(&env);
    let mut run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    collecting.send(Signal::SIGCONT);
    let said = collecting.end().assert_code(0).stdout;
    assert!(!run.is_over());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["freed_bytes"].as_u64().unwrap() > 20_000, "{said}");
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_sound(&env);
}
