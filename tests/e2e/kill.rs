//! Crashes: what was acknowledged stays, what was finished is not repeated, the store is sound.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tests::{TestEnv, test_env};

use crate::support::*;

/// A store with a job of `count` datums that take a while.
fn env_with_slow_job(count: usize) -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["repo", "create", "notes"]);
    for number in 0..count {
        env.write(format!("notes/{number}"), format!("note {number}"));
    }
    env.ok(["put", "notes", "notes"]);
    apply(&env, &spec("slow", "notes", "sleep 0.2; cp $notes /pfs/out/"));
    env
}

/// Executed datums of the job, queried during the run.
fn processed(env: &TestEnv) -> u64 {
    newest_job(env, "slow")["datums_processed"].as_u64().unwrap()
}

#[test]
fn datums_that_finished_before_kill_9_are_not_run_again() {
    let env = env_with_slow_job(40);
    let mut ends = Vec::new();
    for _ in 0..2 {
        let run = Background::start(&env, ["run", "-j", "4"]);
        let before = ends.last().map_or(0, |(_, finished)| *finished);
        let finished = until("finished datums", || Some(processed(&env)).filter(|finished| *finished >= before + 6));
        assert_eq!(run.kill_9().code, None, "it was killed in mid-job");
        ends.push((now(), finished));
        assert_sound(&env);
    }
    env.ok(["run", "-j", "4"]);
    assert_eq!(outcome(&env, "slow"), success(40, 0), "the engines that are no more were at this very job");
    assert_eq!(executed(&env), 40, "each datum has one result");
    for (moment, finished) in ends {
        let kept = executed_before(&env, "slow", &moment);
        assert!(kept >= finished, "{finished} had finished, but only {kept} were not run again");
    }
    for number in 0..40 {
        assert_eq!(env.ok(["cat", &format!("slow:/{number}")]), format!("note {number}"));
    }
    assert_sound(&env);
}

#[test]
fn what_a_killed_run_leaves_behind_is_cleared_by_the_next() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let name = format!("hold-{}", gate.mark());
        apply(&env, &spec(&name, "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
        let run = Background::start(&env, ["run", "-j", "2"]);
        gate.until_waiting(2);
        run.kill_9();
        let mut run = Background::start(&env, ["run", "-j", "2"]);
        gate.open_until(|| run.is_over());
        run.end().assert_code(0);
        until_true("the end of all commands", || gate.waiting().is_empty());
        assert_eq!(std::fs::read_dir(env.dir().join(".pv/scratch")).map_or(0, Iterator::count), 0);
        if executor == "docker" {
            assert_eq!(containers(&name), "");
        }
        assert_eq!(outcome(&env, &name).0, "success");
    }
}

/// Ends a call at a named point, which it must reach.
#[cfg(debug_assertions)]
fn stop_at(env: &TestEnv, point: &str, args: &[&str]) {
    let output = env.command(args).env("PV_STOP_AT", point).output().unwrap();
    assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT), "{point}: {}", env.shown(&output));
    assert_sound(env);
}

#[cfg(debug_assertions)]
#[test]
fn a_put_that_ends_at_any_point_is_whole_or_absent() {
    for (point, is_there) in
        [("put.after_upload", false), ("publish.before_record", false), ("publish.after_record", true)]
    {
        let env = env_with_notes();
        let before = env.json(["show", "notes"]);
        env.write("more/a", "changed");
        env.write("more/d", "new");
        stop_at(&env, point, &["put", "notes", "more"]);
        assert_eq!(env.json(["show", "notes"]) != before, is_there, "{point}");
        let again = env.json(["put", "notes", "more"]).remove(0);
        assert_eq!(again["changed"], !is_there, "{point}: {again}");
        assert_eq!(env.json(["log", "notes"]).len(), 2, "{point}");
        assert_eq!(env.ok(["cat", "notes:/a"]), "changed");
        assert_eq!(env.ok(["cat", "notes:/b"]), "b\n");
        assert_sound(&env);
    }
}

/// Points of a job, and how many of its datums have a result there if they run one by one.
#[cfg(debug_assertions)]
const POINTS_OF_A_JOB: [(&str, u64); 6] = [
    ("datum.after_staging", 0),
    ("datum.after_intake", 0),
    ("datum.after_result", 1),
    ("job.before_seal", 3),
    // The record that seals a job moves the branch too, so nothing can happen between the two.
    ("publish.before_record", 3),
    (AFTER_SEAL, 3),
];
#[cfg(debug_assertions)]
const AFTER_SEAL: &str = "publish.after_record";

/// A store with a job of three datums and a downstream job, both visible in the process list.
#[cfg(debug_assertions)]
fn env_with_two_jobs(executor: &str, mark: &str) -> TestEnv {
    let env = env_with_notes_on(executor);
    let script = |input: &str| format!("true {mark}; {}", copy_of(input));
    let (first, second) = (format!("first{mark}"), format!("second{mark}"));
    apply(&env, &(spec(&first, "notes", &script("notes")) + "---\n" + &spec(&second, &first, &script(&first))));
    env
}

/// Checks that after a crash at this point the run is complete, and that nothing finished was repeated.
#[cfg(debug_assertions)]
fn assert_went_on(env: &TestEnv, mark: &str, point: &str) {
    let (first, second) = (format!("first{mark}"), format!("second{mark}"));
    for pipeline in [&first, &second] {
        // Datums that a crashed engine executed count as executed in this job.
        assert_eq!(outcome(env, pipeline), success(3, 0), "{point}");
    }
    assert_eq!(executed(env), 6, "{point}: each datum once");
    for pipeline in [&first, &second] {
        assert_eq!(env.json(["log", pipeline]).len(), 1, "{point}: one output commit");
        assert_eq!(
            env.ok(["cat", &format!("{pipeline}:/a"), &format!("{pipeline}:/b"), &format!("{pipeline}:/c")]),
            "a\nb\nc\n"
        );
    }
    assert_eq!(env.json(["job", "list"]).len(), 2, "{point}");
    assert_sound(env);
    assert_nothing_is_left(env);
    until_true("the end of all processes", || processes_with(mark).is_empty());
}

#[cfg(debug_assertions)]
#[test]
fn a_run_that_ends_at_any_point_goes_on_where_it_stopped() {
    for executor in executors() {
        for (point, finished) in POINTS_OF_A_JOB {
            let gate = Gate::new();
            let mark = gate.mark();
            let env = env_with_two_jobs(executor, mark);
            stop_at(&env, point, &["run", "-j", "1"]);
            let ended = now();
            assert_eq!(env.exit_code(["show", &format!("first{mark}")]) == 0, point == AFTER_SEAL, "{point}");
            env.ok(["run"]);
            assert_went_on(&env, mark, point);
            assert_eq!(executed_before(&env, &format!("first{mark}"), &ended), finished, "{point}");
            if executor == "docker" {
                assert_eq!(containers(&format!("first{mark}")) + &containers(&format!("second{mark}")), "");
            }
        }
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_serve_that_ends_at_any_point_goes_on_where_it_stopped() {
    for (point, finished) in POINTS_OF_A_JOB {
        let gate = Gate::new();
        let env = env_with_two_jobs("process", gate.mark());
        stop_at(&env, point, &["serve", "-j", "1"]);
        let ended = now();
        let serve = serve(&env);
        env.ok(["wait", &format!("second{}", gate.mark()), "--timeout", "90s"]);
        serve.send(nix::sys::signal::Signal::SIGTERM);
        serve.end().assert_code(0);
        assert_went_on(&env, gate.mark(), point);
        assert_eq!(executed_before(&env, &format!("first{}", gate.mark()), &ended), finished, "{point}");
    }
}

/// How many writers are killed; hundreds occasionally.
fn kills() -> u64 {
    std::env::var("PV_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// The content of a writer's file: a few bytes, or enough to fill a pack after a while.
fn content(name: &str, random: &mut Random) -> String {
    format!("{name} {}", "some more bytes, ".repeat(random.below(4) as usize * 3_000))
}

/// A file that a writer put, and the acknowledged commit.
struct Acknowledged {
    path: String,
    content: String,
    commit: String,
}

/// Puts files one by one, every other call with a `kill -9` at a random moment, until this many writers were killed.
fn write_and_die(env: &TestEnv, writer: u64, killed: &AtomicU64) -> Vec<Acknowledged> {
    let mut random = Random(writer);
    let mut acknowledged = Vec::new();
    let mut takes = Duration::from_millis(50);
    for number in 0.. {
        if killed.load(Ordering::Relaxed) >= kills() {
            break;
        }
        let path = format!("w{writer}-{number}");
        let content = content(&path, &mut random);
        env.write(&path, &content);
        let start = Instant::now();
        let mut put = Background::start(env, ["--json", "put", "images", &path]);
        let dies = random.below(2) == 0;
        if dies {
            // A random moment, on purpose.
            std::thread::sleep(takes * random.below(1000) as u32 / 1000);
            put.child().kill().unwrap();
        }
        let ended = put.end();
        assert!(matches!(ended.code, Some(0) | None), "{}", ended.stderr);
        killed.fetch_add(u64::from(ended.code.is_none()), Ordering::Relaxed);
        if !dies {
            takes = start.elapsed();
        }
        // A printed result is acknowledged, even if the process was killed right after.
        if let Ok(report) = serde_json::from_str::<serde_json::Value>(&ended.stdout) {
            acknowledged.push(Acknowledged { path, content, commit: report["commit"].as_str().unwrap().to_owned() });
        }
    }
    acknowledged
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run is reported")]
fn four_writers_that_are_killed_at_random_lose_no_acknowledged_commit() {
    let env = test_env!();
    let killed = AtomicU64::new(0);
    let acknowledged: Vec<Acknowledged> = std::thread::scope(|scope| {
        let (env, killed) = (&env, &killed);
        let writers: Vec<_> = (1..=4).map(|writer| scope.spawn(move || write_and_die(env, writer, killed))).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(!acknowledged.is_empty(), "calls that were not killed are acknowledged");
    assert_sound(&env);
    let log = env.json(["log", "images"]);
    let ids: BTreeSet<&str> = log.iter().map(|commit| commit["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), log.len());
    for (commit, before) in log.iter().zip(log.iter().skip(1)) {
        assert_eq!(commit["parents"], serde_json::json!([before["id"]]), "the history is one line");
    }
    assert_eq!(log.last().unwrap()["parents"], serde_json::json!([]));
    env.ok(["get", "images", "all"]);
    for Acknowledged { path, content, commit } in &acknowledged {
        assert!(ids.contains(commit.as_str()), "{path} was acknowledged as {commit}");
        assert_eq!(&env.read(format!("all/{path}")), content, "{path}");
    }
    let files = std::fs::read_dir(env.work().join("all")).unwrap().count();
    assert_eq!(files, ids.len(), "each commit added one file");
    println!(
        "{} writers killed, {} commits, {} of them acknowledged",
        killed.into_inner(),
        ids.len(),
        acknowledged.len()
    );
    env.write("last", "after all of them");
    env.ok(["put", "images", "last"]);
    assert_sound(&env);
}

#[test]
fn a_lost_index_is_made_anew_after_a_kill() {
    let env = env_with_slow_job(4);
    let run = Background::start(&env, ["run", "-j", "1"]);
    until_true("a finished datum", || processed(&env) > 0);
    run.kill_9();
    let ended = now();
    let before = env.json(["log", "notes"]);
    std::fs::remove_dir_all(env.dir().join(".pv/index")).unwrap();
    assert_eq!(env.json(["log", "notes"]), before);
    assert_sound(&env);
    env.ok(["run"]);
    assert!(executed_before(&env, "slow", &ended) > 0, "results are found again without the index");
}
