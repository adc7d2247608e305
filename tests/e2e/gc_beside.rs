//! Garbage collection during writes and a running job, and collections that are killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::{TestEnv, test_env};

use crate::support::*;

/// The exit code after a timeout.
const TIMED_OUT: i32 = 8;

/// Waits for a successful end; returns the output.
#[track_caller]
fn ended(run: Background) -> String {
    run.end().assert_code(0).stdout
}

/// What a writer did: its current files, and the acknowledged commits.
#[derive(Default)]
struct Written {
    files: BTreeMap<String, String>,
    commits: Vec<String>,
}

/// Adds files, deletes them and adds them again, with content that other writers also have.
fn write(env: &TestEnv, writer: u64, is_over: &AtomicBool) -> Written {
    let mut written = Written::default();
    for round in writer.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let (path, content) = (format!("f{}", round % 5), format!("content {}", round * 7 % 11));
        let at = format!("w{writer}/{path}");
        let call = if round % 3 == 2 && written.files.remove(&at).is_some() {
            Background::start(env, ["--json", "rm", &format!("images:/{at}")])
        } else {
            env.write(format!("in/{at}"), &content);
            written.files.insert(at.clone(), content);
            Background::start(env, ["--json", "put", &format!("images:/w{writer}"), &format!("in/{at}")])
        };
        let report: serde_json::Value = serde_json::from_str(&ended(call)).unwrap();
        written.commits.extend(report["commit"].as_str().map(str::to_owned));
    }
    written
}

/// Produces garbage: creates branches with their own files and deletes them. Returns the ids of the commits.
fn litter(env: &TestEnv, is_over: &AtomicBool) -> Vec<String> {
    let mut commits = Vec::new();
    for round in 1.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let branch = format!("images@litter{round}");
        env.write("litter", noise(20_000, round));
        ended(Background::start(env, ["branch", "create", &branch]));
        let said = ended(Background::start(env, ["--json", "put", &branch, "litter"]));
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        commits.push(report["commit"].as_str().unwrap().to_owned());
        ended(Background::start(env, ["--yes", "branch", "delete", &branch]));
    }
    commits
}

fn collect(env: &TestEnv) -> u64 {
    let said: serde_json::Value = serde_json::from_str(&ended(Background::start(env, ["--json", "gc"]))).unwrap();
    said["freed_bytes"].as_u64().unwrap()
}

fn digests(env: &TestEnv, reference: &str) -> BTreeMap<String, String> {
    let word = |file: &serde_json::Value, field: &str| file[field].as_str().unwrap().to_owned();
    env.json(["ls", "-r", reference]).iter().map(|file| (word(file, "path"), word(file, "digest"))).collect()
}

/// Runs for `PV_GC_SECONDS` seconds.
#[test]
fn nothing_that_is_needed_goes_beside_four_writers_and_a_running_job() {
    let env = test_env!();
    env.ok(["config", "set", "executor", "process"]);
    env.ok(["config", "set", "gc_grace", "0s"]);
    env.write("first", "first");
    env.ok(["put", "images:/w0", "first"]);
    apply(&env, &spec("copy", "images", &copy_of("images")));
    let (is_over, freed, runs) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (written, litter) = std::thread::scope(|scope| {
        let (env, is_over) = (&env, &is_over);
        let writers: Vec<_> = (1..=4).map(|writer| scope.spawn(move || write(env, writer, is_over))).collect();
        let litter = scope.spawn(|| litter(env, is_over));
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // While others commit without pause, there is always something pending.
                let run = Background::start(env, ["run", "-j", "2", "--timeout", "10s"]).end();
                assert!(matches!(run.code, Some(0 | TIMED_OUT)), "{run:?}");
                runs.fetch_add(1, Ordering::Relaxed);
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(number("PV_GC_SECONDS", 4)) {
            freed.fetch_add(collect(env), Ordering::Relaxed);
        }
        is_over.store(true, Ordering::Relaxed);
        (writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>(), litter.join().unwrap())
    });
    freed.fetch_add(collect(&env), Ordering::Relaxed);
    assert_sound(&env);
    env.ok(["run"]);
    let files = digests(&env, "images");
    assert_eq!(files, digests(&env, "copy"));
    let log = env.json(["log", "images"]);
    for (commit, before) in log.iter().zip(log.iter().skip(1)) {
        assert_eq!(commit["parents"], serde_json::json!([before["id"]]), "the history is one line");
    }
    let ids: Vec<&str> = log.iter().map(|commit| commit["id"].as_str().unwrap()).collect();
    let mut commits = 0;
    for written in &written {
        commits += written.commits.len();
        assert!(written.commits.iter().all(|commit| ids.contains(&commit.as_str())));
        for (path, content) in &written.files {
            assert_eq!(&env.ok(["cat", &format!("images:/{path}")]), content);
        }
    }
    assert_eq!(files.len(), 1 + written.iter().map(|written| written.files.len()).sum::<usize>());
    assert_eq!(ids.len(), commits + 1);
    for commit in &litter {
        assert_eq!(env.exit_code(["cat", &format!("images@{commit}:/litter")]), 3, "garbage goes");
    }
    assert_eq!(collect(&env), 0);
    assert!(freed.load(Ordering::Relaxed) > litter.len() as u64 * 20_000);
    assert!(!litter.is_empty() && runs.load(Ordering::Relaxed) > 0);
    tell(&format!("{commits} commits, {} branches deleted, {runs:?} runs, {freed:?} bytes freed", litter.len()));
}

#[expect(clippy::print_stderr, reason = "for whoever lets it run longer")]
fn tell(what: &str) {
    eprintln!("{what}");
}

/// A store with needed files, and garbage in the same and in separate packs.
fn env_with_garbage(rounds: u64) -> TestEnv {
    let env = test_env!();
    env.ok(["config", "set", "gc_grace", "0s"]);
    env.write("keep", noise(5_000, 1));
    env.ok(["put", "images", "keep"]);
    (0..rounds).for_each(|round| make_garbage(&env, round));
    env
}

fn make_garbage(env: &TestEnv, round: u64) {
    env.ok(["branch", "create", "images@gone"]);
    env.write("goes", noise(30_000, round + 2));
    env.ok(["put", "images@gone", "goes"]);
    env.ok(["branch", "delete", "images@gone", "--yes"]);
    env.write("small", format!("{round}"));
    env.ok(["put", "images", "small"]);
}

fn assert_kept(env: &TestEnv, small: &str) {
    assert_sound(env);
    assert_eq!(env.ok(["cat", "images:/small"]), small);
    assert_eq!(env.exit_code(["get", "images:/keep", "out", "--force"]), 0);
    assert_eq!(std::fs::read(env.work().join("out/keep")).unwrap(), noise(5_000, 1));
}

#[cfg(debug_assertions)]
#[test]
fn a_collection_that_ends_at_any_point_is_gone_on_with_by_the_next() {
    use std::os::unix::process::ExitStatusExt;
    for point in ["gc.after_copy", "gc.before_record", "gc.after_record", "gc.before_remove", "gc.removed_one"] {
        let env = env_with_garbage(2);
        let output = env.command(["gc"]).env("PV_STOP_AT", point).output().unwrap();
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT), "{point}: {}", env.shown(&output));
        assert_kept(&env, "1");
        env.write("small", "after it");
        env.ok(["put", "images", "small"]);
        collect(&env);
        assert_kept(&env, "after it");
        assert_eq!(collect(&env), 0, "{point}");
    }
}

/// `PV_KILLS` times; each third by Ctrl-C.
#[test]
fn a_collection_that_is_killed_at_random_leaves_a_sound_store() {
    let env = env_with_garbage(1);
    let (mut state, mut ends) = (7_u64, BTreeMap::new());
    let kills = number("PV_KILLS", 12);
    for round in 0..kills {
        make_garbage(&env, round + 10);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let gc = Background::start(&env, ["gc"]);
        // A random moment, on purpose.
        std::thread::sleep(Duration::from_millis((state >> 33) % 50));
        gc.send(if round % 3 == 0 { Signal::SIGINT } else { Signal::SIGKILL });
        let code = gc.end().code;
        assert!(matches!(code, None | Some(0 | 130)), "{code:?}");
        *ends.entry(code).or_insert(0) += 1;
        assert_kept(&env, &(round + 10).to_string());
    }
    tell(&format!("ends by exit code: {ends:?}"));
    collect(&env);
    assert_eq!(collect(&env), 0);
    assert_kept(&env, &(kills + 9).to_string());
}
