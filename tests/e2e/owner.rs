//! A process that owns a store, under clients, users and chance: it answers, and it ends when asked to.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::TestEnv;

use crate::support::*;

/// An owner must end within this time after SIGTERM, whatever clients do.
fn bound() -> Duration {
    Duration::from_secs(scaled("PV_BOUND_SECONDS", 10))
}
/// More than a pipe and its buffers hold.
const MUCH: usize = 1 << 20;

/// A store with a pipeline whose datums wait at a gate, and a file that fills pipes.
fn env() -> (TestEnv, Gate) {
    let env = env_with_notes();
    let gate = Gate::new();
    apply(&env, &spec("hold", "notes", &format!("{}; {}", gate.wait(), copy_of("notes"))));
    env.ok(["repo", "create", "large"]);
    env.write("much", noise(MUCH, 1));
    env.ok(["put", "large", "much"]);
    (env, gate)
}

fn connect(env: &TestEnv) -> UnixStream {
    UnixStream::connect(env.dir().join(".pv/socket")).unwrap()
}

/// Whether a process also has the other end of this pipe open.
fn has_open(pid: nix::unistd::Pid, pipe: &impl AsRawFd) -> bool {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).any(|target| target == name)
}

/// A running client in the owner, with pipes as streams that nobody reads or writes.
fn stalled(env: &TestEnv, owner: &Background, args: &[&str]) -> Child {
    let mut command = env.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    until_true("it was handed over", || has_open(owner.pid(), child.stdout.as_ref().unwrap()));
    child
}

/// All ways in which clients could block an owner, at once; must be dropped after the owner has ended.
fn nuisances(env: &TestEnv, owner: &Background) -> (Vec<UnixStream>, Vec<Child>) {
    let mut half = connect(env);
    half.write_all(b"{\"command\": {\"argv\"").unwrap();
    let begun = (0..5).map(|_| connect(env)).chain([half]).collect();
    // One that prints much, one that reports many errors, one that reads.
    let unknown = (0..4000).map(|number| format!("field{number}: 1\n")).collect::<Vec<_>>().concat();
    env.write("bad.yml", unknown);
    let calls: [&[&str]; 3] =
        [&["cat", "large:/much"], &["pipeline", "apply", "-f", "bad.yml"], &["pipeline", "apply", "-f", "-"]];
    (begun, calls.map(|args| stalled(env, owner, args)).into())
}

fn ends_in_time(owner: Background, code: i32) -> Ended {
    let begin = Instant::now();
    owner.send(Signal::SIGTERM);
    let ended = owner.end().assert_code(code);
    assert!(begin.elapsed() < bound(), "it took {:?}", begin.elapsed());
    ended
}

#[test]
fn no_client_keeps_a_serve_from_ending() {
    let (env, gate) = env();
    env.ok(["pipeline", "stop", "hold"]);
    drop(gate);
    let serve = serve(&env);
    let (_connections, clients) = nuisances(&env, &serve);
    ends_in_time(serve, 0);
    for client in clients {
        let said = client.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert!(!said.status.success() && stderr.contains("error"), "{stderr}");
    }
    assert_nothing_is_left(&env);
    assert_sound(&env);
}

#[test]
fn no_client_keeps_a_run_from_ending() {
    let (env, gate) = env();
    let run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    let (_connections, _clients) = nuisances(&env, &run);
    ends_in_time(run, 143);
    until_true("the end of its commands", || gate.waiting().is_empty());
    // Also without a signal, when its work is done.
    let mut run = Background::start(&env, ["run", "-j", "3"]);
    gate.until_waiting(3);
    let (_connections, _clients) = nuisances(&env, &run);
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_nothing_is_left(&env);
    assert_sound(&env);
}

#[test]
fn an_owner_whose_own_output_nobody_reads_works_on_and_ends() {
    let (env, gate) = env();
    for args in [&["serve", "-j", "1"][..], &["run", "-j", "1"]] {
        let mut command = env.command(args);
        // Full before it starts.
        let (mut read, mut write) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&write).unwrap();
        rustix::fs::fcntl_setfl(&write, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        while write.write(&[b'x'; 4096]).is_ok() {}
        rustix::fs::fcntl_setfl(&write, flags).unwrap();
        command.stdout(write.try_clone().unwrap()).stderr(write);
        let mut owner = command.spawn().unwrap();
        drop(command);
        gate.until_waiting(1);
        gate.let_go();
        let done = |processed: u64| newest_job(&env, "hold")["datums_processed"].as_u64() == Some(processed);
        until_true("it works on", || gate.waiting().len() == 1 && (done(1) || done(0)));
        let begin = Instant::now();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(owner.id().cast_signed()), Signal::SIGTERM).unwrap();
        if args[0] == "serve" {
            gate.open_until(|| owner.try_wait().unwrap().is_some());
        }
        owner.wait().unwrap();
        assert!(begin.elapsed() < bound(), "it took {:?}", begin.elapsed());
        until_true("the end of its commands", || gate.waiting().is_empty());
        let mut all = Vec::new();
        read.read_to_end(&mut all).unwrap();
        env.ok(["pipeline", "rerun", "hold"]);
    }
}

#[test]
fn a_removed_socket_is_made_anew() {
    let (env, gate) = env();
    let mut run = Background::start(&env, ["run", "-j", "2"]);
    gate.until_waiting(2);
    let socket = env.dir().join(".pv/socket");
    std::fs::remove_file(&socket).unwrap();
    until_true("another socket", || socket.exists());
    assert_eq!(env.json(["status"])[0]["running"], true, "commands reach it again");
    // A replaced socket is recreated too.
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "no socket").unwrap();
    until_true("another socket", || UnixStream::connect(&socket).is_ok());
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    assert_nothing_is_left(&env);
}

#[test]
fn an_owner_whose_store_is_gone_ends_and_says_so() {
    type Take = fn(&std::path::Path);
    let takes: [(Take, &str); 3] = [
        (|pv| std::fs::rename(pv, pv.with_file_name("away")).unwrap(), "was removed or moved away"),
        (|pv| std::fs::remove_file(pv.join("lock")).unwrap(), "another process may own the store"),
        (|pv| until_true("its removal", || std::fs::remove_dir_all(pv).is_ok()), "was removed or moved away"),
    ];
    let (env, gate) = env();
    let pv = env.dir().join(".pv");
    for (take, said) in takes {
        for args in [&["serve", "-j", "1"][..], &["run", "-j", "1"]] {
            let mut command = env.command(args);
            let owner = Background::of(&env, {
                command.env("PV_NO_COLOR", "1");
                command
            });
            gate.until_waiting(1);
            let kept = env.dir().join("kept");
            std::process::Command::new("cp").arg("-a").arg(&pv).arg(&kept).status().unwrap();
            let begin = Instant::now();
            take(&pv);
            let ended = owner.end().assert_code(3);
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
            assert!(begin.elapsed() < bound(), "it took {:?}", begin.elapsed());
            until_true("the end of its commands", || gate.waiting().is_empty());
            // The next owner finds everything as it was.
            for folder in [&pv, &env.dir().join("away")] {
                std::fs::remove_dir_all(folder).ok();
            }
            std::fs::rename(&kept, &pv).unwrap();
        }
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_in_a_command_harms_only_that_command() {
    let (env, _gate) = env();
    env.ok(["pipeline", "stop", "hold"]);
    let mut command = env.command(["serve"]);
    command.env("PV_STOP_AT", "panic:put.after_upload");
    let serve = serve_with(&env, command);
    env.write("new", "new");
    for _ in 0..3 {
        let (error, code) = env.json_error(["put", "notes", "new"]);
        assert_eq!((code, error["kind"].as_str()), (6, Some("unavailable")));
        assert!(error["message"].as_str().unwrap().contains("panicked"), "{error}");
        assert_eq!(env.ok(["cat", "notes:/a"]), "a\n");
    }
    env.ok(["repo", "create", "others"]);
    assert!(serve.stderr().contains("panicked"), "it is told where the owner's words go");
    ends_in_time(serve, 0);
    env.ok(["put", "notes", "new"]);
    assert_sound(&env);
}

#[cfg(debug_assertions)]
#[test]
fn a_job_whose_start_met_a_passing_error_is_started_again() {
    let (env, gate) = env();
    let mut command = env.command(["serve", "-j", "3"]);
    command.env("PV_STOP_AT", "fail:job.before_start");
    let serve = serve_with(&env, command);
    gate.until_waiting(3);
    assert!(serve.stderr().contains("trying again"), "{}", serve.stderr());
    gate.open_until(|| newest_job(&env, "hold")["state"] == "success");
    ends_in_time(serve, 0);
}

/// A change that is stopped between its check of the jobs and its record.
#[cfg(debug_assertions)]
fn begun(env: &TestEnv, args: &[&str]) -> Background {
    let mut command = env.command(args);
    command.env("PV_STOP_AT", "pause:publish.begin");
    let begun = Background::of(env, command);
    until_true("a process that stands still", || begun.stands_still());
    begun
}

/// Lets it continue whenever it is stopped.
#[cfg(debug_assertions)]
fn go_on(mut change: Background) -> Ended {
    until_true("its end", || {
        change.send(Signal::SIGCONT);
        change.is_over()
    });
    change.end()
}

#[cfg(debug_assertions)]
#[test]
fn changes_of_pipelines_succeed_beside_a_job_that_ends_at_that_moment() {
    let calls: [(&[&str], &str); 3] = [
        (&["pipeline", "stop", "hold"], "stopped"),
        (&["pipeline", "delete", "hold", "--yes"], "gone"),
        (&["pipeline", "apply", "-f", "other.json"], "success"),
    ];
    for (args, state) in calls {
        let (env, gate) = env();
        env.write("other.json", spec("hold", "notes", &format!("true; {}", copy_of("notes"))));
        let change = begun(&env, args);
        let mut run = Background::start(&env, ["run", "-j", "3"]);
        gate.open_until(|| run.is_over());
        run.end().assert_code(0);
        go_on(change).assert_code(0);
        if state != "gone" {
            env.ok(["run"]);
            let shown = env.json(["pipeline", "show", "hold"]).remove(0);
            let expected = if state == "success" { "current" } else { state };
            assert_eq!(shown["state"], expected, "{args:?}");
        }
        assert_eq!(env.ok(["cat", "hold:/a"]), "a\n", "{args:?}: the job had ended");
        assert_sound(&env);
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_job_that_ended_before_its_stop_is_not_called_stopped() {
    let (env, gate) = env();
    let stop = begun(&env, &["job", "stop", "hold"]);
    let mut run = Background::start(&env, ["run", "-j", "3"]);
    gate.open_until(|| run.is_over());
    run.end().assert_code(0);
    let stop = go_on(stop).assert_code(4);
    assert!(stop.stderr.contains("ended before it was stopped: success"), "{}", stop.stderr);
    assert!(!stop.stderr.contains("stopped hold"), "{}", stop.stderr);
    assert_eq!(newest_job(&env, "hold")["state"], "success");
}

#[test]
fn a_stopped_job_has_ended_when_it_is_called_stopped() {
    let (env, gate) = env();
    let serve = serve(&env);
    gate.until_waiting(2);
    let said = env.json(["job", "stop", "hold"]).remove(0);
    let job = newest_job(&env, "hold");
    assert_eq!((&said["stopped"], job["state"].as_str()), (&job["id"], Some("killed")));
    ends_in_time(serve, 0);
}

#[test]
fn an_update_to_an_input_without_data_leaves_no_failed_pipeline() {
    let (env, gate) = env();
    env.ok(["repo", "create", "empty"]);
    let serve = serve(&env);
    gate.until_waiting(2);
    apply(&env, &spec("hold", "empty", &copy_of("empty")));
    until_true("the end of the old version's commands", || gate.waiting().is_empty());
    assert_eq!(newest_job(&env, "hold")["state"], "killed");
    let shown = env.json(["pipeline", "show", "hold"]).remove(0);
    assert_eq!((shown["state"].as_str(), shown["behind_runs"].as_u64()), (Some("current"), Some(0)));
    env.ok(["run"]);
    ends_in_time(serve, 0);
    env.ok(["run"]);
    env.ok(["run", "--retry"]);
    env.ok(["status", "--exit-code"]);
    env.write("first", "first");
    env.ok(["put", "empty", "first"]);
    assert_eq!(env.json(["pipeline", "show", "hold"])[0]["state"], "pending");
    env.ok(["run"]);
    assert_eq!(env.ok(["cat", "hold:/first"]), "first");
}

#[test]
fn a_serve_tells_what_people_should_know_and_v_can_be_read() {
    let (env, _gate) = env();
    env.ok(["pipeline", "stop", "hold"]);
    let output = env.output(["-v", "ls", "notes"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.lines().count() < 20 && !stderr.contains("ERROR"), "{stderr}");
    env.ok(["fsck", "--rebuild-index"]);
    std::fs::write(env.dir().join(".pv/index/CURRENT"), "nothing that is a name\n").unwrap();
    let output = env.output(["-v", "ls", "notes"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("the index is not used, because it cannot be read"), "{stderr}");
    let serve = serve(&env);
    assert!(serve.stderr().contains("WARN") && serve.stderr().contains("rebuil"), "{}", serve.stderr());
    ends_in_time(serve, 0);
    assert_sound(&env);
}

#[test]
fn an_index_is_not_made_anew_beside_an_owner() {
    let (env, gate) = env();
    let serve = serve(&env);
    gate.until_waiting(2);
    let (error, code) = env.json_error(["fsck", "--rebuild-index"]);
    assert_eq!(code, 6);
    let expected = format!("the store is in use by process {} (pv serve", serve.pid());
    assert!(error["message"].as_str().unwrap().starts_with(&expected), "{error}");
    gate.open_until(|| newest_job(&env, "hold")["state"] == "success");
    ends_in_time(serve, 0);
    env.ok(["fsck", "--rebuild-index"]);
}

/// All commands that check whether a store is sound and true.
const LOOKS: [&[&str]; 7] = [
    &["verify"],
    &["fsck"],
    &["verify", "hold"],
    &["find", "a"],
    &["ls", "-r", "hold"],
    &["cat", "hold:/a"],
    &["--json", "log"],
];

#[test]
fn good_output_is_proven_and_sound_beside_its_owner_and_while_that_ends() {
    let (env, gate) = env();
    let serve = serve_with(&env, env.command(["serve", "-j", "3"]));
    gate.until_waiting(3);
    gate.let_go();
    env.ok(["wait", "hold", "--timeout", "90s"]);
    let bundle = |name: &str| env.ok(["bundle", "hold:/a", "-o", name, "--data"]);
    for look in LOOKS {
        env.ok(look);
    }
    bundle("beside.zip");
    // Another job ends with its output in an unfinished pack; then the owner waits for a client that does not read.
    put_note(&env, "d", "d\n");
    gate.until_waiting(1);
    gate.let_go();
    env.ok(["wait", "hold", "--timeout", "90s"]);
    let client = stalled(&env, &serve, &["cat", "large:/much"]);
    serve.send(Signal::SIGTERM);
    until_true("its socket is gone", || !env.dir().join(".pv/socket").exists());
    let mut serve = serve;
    let mut looked = 0;
    while !serve.is_over() || looked == 0 {
        for look in LOOKS {
            env.ok(look);
            looked += 1;
        }
        assert_eq!(env.ok(["cat", "hold:/d"]), "d\n");
        env.ok(["bundle", "hold:/d", "-o", "ends.zip", "--data", "--force"]);
    }
    drop(client);
    serve.end().assert_code(0);
}

#[test]
fn good_output_is_proven_and_sound_after_its_owner_was_killed() {
    let (env, gate) = env();
    let serve = serve_with(&env, env.command(["serve", "-j", "3"]));
    gate.until_waiting(3);
    gate.let_go();
    env.ok(["wait", "hold", "--timeout", "90s"]);
    // A process that has the lock and hangs: no other process can finish the owner's packs.
    serve.kill_9();
    let lock = std::fs::File::open(env.dir().join(".pv/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for look in LOOKS {
        env.ok(look);
    }
    env.ok(["bundle", "hold:/a", "-o", "killed.zip", "--data"]);
    drop(lock);
    for look in LOOKS {
        env.ok(look);
    }
}

/// A number from the environment, to run this test longer.
fn scaled(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Checks per store: what `fsck` reads grows with each put.
const LOOKS_A_STORE: u64 = 500;

/// `PV_LOOKS` commands (60) during puts, jobs, garbage collections and owners that end or are killed, with `PV_SEED`; none may take longer
/// than `PV_LOOK_SECONDS` (20, for machines that are busy with other tests).
#[test]
fn looks_beside_owners_that_come_and_go_see_no_damage() {
    let all = scaled("PV_LOOKS", 60);
    for store in 0..all.div_ceil(LOOKS_A_STORE) {
        look_beside_owners(LOOKS_A_STORE.min(all - store * LOOKS_A_STORE), scaled("PV_SEED", 1) + store);
    }
}

fn look_beside_owners(looks: u64, seed: u64) {
    let longest = scaled("PV_LOOK_SECONDS", 20);
    let env = env_with_notes();
    env.ok(["config", "set", "gc_grace", "0s"]);
    apply(&env, &spec("hold", "notes", &copy_of("notes")));
    env.ok(["run"]);
    let looked = AtomicU64::new(0);
    let is_over = || looked.load(Ordering::SeqCst) >= looks;
    let random = |salt: u64| Random(seed.wrapping_mul(1_000_003).wrapping_add(salt));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if is_over() {
                    return;
                }
                env.write(format!("{}.txt", number % 20), noise(3000, number));
                // It may be refused or not accepted, but not partially done.
                env.output(["put", "notes", &format!("{}.txt", number % 20)]);
            }
        });
        scope.spawn(|| {
            while !is_over() {
                env.output(["gc"]);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        scope.spawn(|| {
            let mut random = random(0);
            while !is_over() {
                let args: &[&str] = if random.below(2) == 0 { &["serve", "-j", "2"] } else { &["run", "-j", "2"] };
                let mut owner = Background::of(&env, env.command(args));
                let until = looked.load(Ordering::SeqCst) + 1 + random.below(8);
                while looked.load(Ordering::SeqCst) < until && !owner.is_over() && !is_over() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if random.below(2) == 0 {
                    owner.kill_9();
                } else if !owner.is_over() {
                    owner.send(Signal::SIGTERM);
                    let ended = owner.end();
                    // A process that had not started yet is ended by the signal itself.
                    assert!(ended.code.is_some() || ended.stderr.is_empty(), "{}", ended.stderr);
                }
            }
        });
        for salt in 1..=2 {
            let (looked, env) = (&looked, &env);
            scope.spawn(move || {
                // If one thread fails, the others end.
                let _ends = Ends(looked);
                let mut random = random(salt);
                while looked.load(Ordering::SeqCst) < looks {
                    let bundle = format!("{salt}.zip");
                    let bundled = ["bundle", "hold:/a", "-o", &bundle, "--data", "--force"];
                    let at = random.below(LOOKS.len() as u64 + 1) as usize;
                    let args: &[&str] = LOOKS.get(at).copied().unwrap_or(&bundled);
                    let begin = Instant::now();
                    let known = env.dir().join("known");
                    let output = env.command(args).env("PV_KNOWN_STORES", known).output().unwrap();
                    let took = begin.elapsed();
                    assert!(output.status.success(), "{args:?}: {}", env.shown(&output));
                    assert!(took < Duration::from_secs(longest), "{args:?} took {took:?}");
                    looked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    env.ok(["run"]);
    for look in LOOKS {
        env.ok(look);
    }
}

/// Ends all threads of a test when one of them ends.
struct Ends<'a>(&'a AtomicU64);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_max(u64::MAX / 2, Ordering::SeqCst);
    }
}
