//! Commands: how they start, what they receive, how they end.

use std::time::{Duration, Instant};

use super::super::{DatumTask, Exit, SandboxSpec};
use super::{Bench, MemoryFiles, Record, Subject, shell};

pub(super) async fn suite(subject: &Subject<'_>) {
    let mut bench = subject.bench().await;
    exit_codes_and_signals(&mut bench).await;
    stdin_and_environment(&mut bench).await;
    a_large_log_comes_whole(&mut bench).await;
    what_cannot_start_is_said(&mut bench).await;
    a_timeout_ends_the_whole_tree(&mut bench).await;
    each_part_is_measured(&mut bench).await;
    nothing_is_left_for_the_next_try(&mut bench).await;
    what_runs_on_is_ended(&mut bench).await;
    bench.close().await;
    code_is_laid_out(subject).await;
    users_and_directories(subject).await;
    a_try_that_was_dropped_is_noticed(subject).await;
}

async fn exit_codes_and_signals(bench: &mut Bench<'_>) {
    for code in [0, 1, 77, 255] {
        let (exit, _) = bench.sh(&format!("exit {code}"), vec![]).await;
        assert_eq!(exit, Exit::Code(code));
    }
    let (exit, _) = bench.sh("kill -TERM $$", vec![]).await;
    assert_eq!(exit, Exit::Signal(15));
    let (outcome, record) = bench.run(&DatumTask { accept: [3].into(), ..shell("echo x > /pfs/out/x; exit 3") }).await;
    assert_eq!((outcome.exit, record.text("/x").as_str()), (Exit::Code(3), "x\n"));
    let (exit, record) = bench.sh("echo x > /pfs/out/x; exit 3", vec![]).await;
    assert_eq!(exit, Exit::Code(3));
    assert!(record.files.is_empty(), "a failed try gives no output");
}

async fn stdin_and_environment(bench: &mut Bench<'_>) {
    let lines = vec!["one".to_owned(), "two words".to_owned()];
    let (_, record) = bench.run(&DatumTask { stdin: lines, ..shell("cat; echo end >&2") }).await;
    assert_eq!(record.log(), "one\ntwo words\nend\n");
    let unread = vec!["x".repeat(1 << 20); 4];
    let (outcome, _) = bench.run(&DatumTask { stdin: unread, ..shell("exit 0") }).await;
    assert_eq!(outcome.exit, Exit::Code(0), "stdin need not be read");
    let env = vec![("ONE".to_owned(), "a b=c".to_owned()), ("PWD_BEFORE".to_owned(), String::new())];
    let (_, record) = bench.run(&DatumTask { env, ..shell("echo \"$ONE|$PWD_BEFORE|$PATH|$HOME\"") }).await;
    assert!(record.log().starts_with("a b=c||/"), "{}", record.log());
    let record = bench.good("echo \"$ONE\"", vec![]).await;
    assert_eq!(record.log(), "\n", "the environment of a try ends with it");
}

async fn a_large_log_comes_whole(bench: &mut Bench<'_>) {
    let record = bench.good("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", vec![]).await;
    assert_eq!(record.log().lines().count(), 20_000);
    assert!(record.log().ends_with("line 19999\n"));
}

async fn what_cannot_start_is_said(bench: &mut Bench<'_>) {
    for cmd in [vec!["no-such-program"], vec!["/no/such/program"], vec!["/etc"], vec![]] {
        let task = DatumTask { cmd: cmd.into_iter().map(str::to_owned).collect(), ..DatumTask::default() };
        let (outcome, _) = bench.run(&task).await;
        assert!(matches!(&outcome.exit, Exit::NotStarted { why } if !why.is_empty()), "{outcome:?}");
    }
}

async fn a_timeout_ends_the_whole_tree(bench: &mut Bench<'_>) {
    let begun = Instant::now();
    let task = DatumTask {
        timeout: Some(Duration::from_millis(300)),
        ..shell("(trap '' TERM HUP; setsid sh -c 'sleep 600' &) ; echo started; sleep 600")
    };
    let (outcome, record) = bench.run(&task).await;
    assert_eq!((outcome.exit, record.log().as_str()), (Exit::TimedOut, "started\n"));
    assert!(outcome.process_time >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_mins(1), "nobody waited for the sleepers");
    only_the_command_runs(bench).await;
}

async fn each_part_is_measured(bench: &mut Bench<'_>) {
    let input = bench.files.add("in/large", vec![7; 4 << 20]);
    let task = DatumTask { inputs: vec![input], ..shell("sleep 0.2; { cat /pfs/in/large; echo; } > /pfs/out/copy") };
    let begun = Instant::now();
    let (outcome, record) = bench.run(&task).await;
    let whole = begun.elapsed();
    assert_eq!((&outcome.exit, record.files["/copy"].0.len()), (&Exit::Code(0), (4 << 20) + 1));
    assert!(outcome.process_time >= Duration::from_millis(200), "{outcome:?}");
    assert!(!outcome.pull_time.is_zero() && !outcome.take_in_time.is_zero(), "{outcome:?}");
    let parts = outcome.pull_time + outcome.process_time + outcome.take_in_time;
    assert!(parts <= whole, "{outcome:?} in {whole:?}");
}

/// Counts processes other than the agent and the script's own.
async fn only_the_command_runs(bench: &mut Bench<'_>) {
    let script = "for p in /proc/[0-9]*; do [ ${p#/proc/} = 1 ] || [ ${p#/proc/} = $$ ] || echo $p; done";
    let record = bench.good(script, vec![]).await;
    assert_eq!(record.log(), "", "a process of an earlier try is left");
}

async fn what_runs_on_is_ended(bench: &mut Bench<'_>) {
    let script = "(setsid sh -c 'while :; do echo x >> /pfs/out/grows; done' >/dev/null 2>&1 &); \
                  while ! [ -s /pfs/out/grows ]; do :; done";
    let record = bench.good(script, vec![]).await;
    assert!(record.text("/grows").ends_with("x\n") || record.text("/grows").ends_with('x'));
    only_the_command_runs(bench).await;
}

async fn nothing_is_left_for_the_next_try(bench: &mut Bench<'_>) {
    let input = bench.files.add("in/old", "old");
    let script = "mkdir -p /pfs/out/a/b /tmp/c/d; touch /pfs/out/a/b/x /tmp/c/d/x /tmp/.hidden; chmod 000 /tmp/c /pfs/out/a/b/x; \
                  chmod 700 /pfs/out; cd /tmp; umask 077";
    bench.good(script, vec![input]).await;
    let input = bench.files.add("in/new", "new");
    assert_eq!(bench.opened, 1, "what is left in `/tmp` and `/pfs/out` is removed");
    let record = bench.good("ls -A /pfs /pfs/in /pfs/out /tmp; pwd; umask; ls -ld /pfs/out", vec![input]).await;
    let log = record.log();
    let (listing, rest) = log.split_once("/\n").expect("pwd is /");
    assert_eq!(listing, "/pfs:\nin\nout\n\n/pfs/in:\nnew\n\n/pfs/out:\n\n/tmp:\n");
    assert!(rest.starts_with("0022\ndrwxr-xr-x") || rest.starts_with("022\ndrwxr-xr-x"), "{rest}");
}

async fn code_is_laid_out(subject: &Subject<'_>) {
    for code_path in [None, Some("/app/code")] {
        let mut files = MemoryFiles::default();
        let mut tool = files.add("bin/tool", "#!/bin/sh\necho tool \"$@\"\n");
        tool.executable = true;
        let code = vec![tool, files.add("lib/data", "data")];
        let spec = SandboxSpec { code, code_path: code_path.map(str::to_owned), ..subject.spec() };
        let at = spec.code_path().to_owned();
        let mut bench = subject.bench_with(spec, files).await;
        for _ in 0..2 {
            let script =
                format!("{at}/bin/tool a; cat {at}/lib/data; find {at} -type f | wc -l; ls -l {at}/lib | tail -n 1");
            let record = bench.good(&script, vec![]).await;
            let log = record.log();
            let (seen, rights) = log.split_once("2\n").expect("two files");
            assert_eq!(seen, "tool a\ndata", "{log}");
            assert!(rights.starts_with("-r--r--r--"), "{rights}");
        }
        for change in
            ["chmod u+w lib/data; echo changed > lib/data", "rm -f lib/data", "echo x > lib/new", "mv lib gone"]
        {
            bench.sh(&format!("cd {at}; {{ chmod -R u+w . ; {change}; }} 2>/dev/null; exit 3"), vec![]).await;
            let record = bench.good(&format!("cat {at}/lib/data; find {at} -type f | wc -l"), vec![]).await;
            assert_eq!(record.log(), "data2\n", "{change}");
        }
        bench.close().await;
    }
}

async fn users_and_directories(subject: &Subject<'_>) {
    let spec = SandboxSpec { working_dir: Some("/usr".into()), ..subject.spec() };
    let mut bench = subject.bench_with(spec, MemoryFiles::default()).await;
    assert_eq!(bench.good("pwd", vec![]).await.log(), "/usr\n");
    bench.close().await;
    for (user, directory) in [(Some("no-such-user"), None), (None, Some("/no/such/directory"))] {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let spec = SandboxSpec { user: owned(user), working_dir: owned(directory), ..subject.spec() };
        let mut bench = subject.bench_with(spec, MemoryFiles::default()).await;
        let (exit, _) = bench.sh("true", vec![]).await;
        assert!(matches!(exit, Exit::NotStarted { .. }), "{exit:?}");
        bench.close().await;
    }
    if subject.image.is_some() {
        let spec = SandboxSpec { user: Some("1234:4321".into()), ..subject.spec() };
        let mut bench = subject.bench_with(spec, MemoryFiles::default()).await;
        let input = bench.files.add("in/a", "a");
        let script = "id -u; id -g; echo x > /pfs/out/x; echo y > /tmp/y; echo z > /pfs/in/a; rm -f /pfs/in/a; cat /pfs/in/a; \
                      grep CapEff /proc/self/status";
        let record = bench.good(script, vec![input]).await;
        assert!(record.log().starts_with("1234\n4321\n"), "{}", record.log());
        assert!(record.log().ends_with("aCapEff:\t0000000000000000\n"), "{}", record.log());
        assert_eq!(record.text("/x"), "x\n");
        bench.close().await;
    }
}

async fn a_try_that_was_dropped_is_noticed(subject: &Subject<'_>) {
    let mut bench = subject.bench().await;
    let (task, mut record) = (shell("sleep 600"), Record::default());
    let run = bench.sandbox.run(&task, &bench.files, &mut record);
    assert!(tokio::time::timeout(Duration::from_millis(200), run).await.is_err());
    let again = bench.sandbox.run(&shell("true"), &bench.files, &mut Record::default()).await;
    assert!(again.is_err(), "the answers of two tries would mix");
    let begun = Instant::now();
    bench.close().await;
    assert!(begun.elapsed() < Duration::from_secs(30), "closing does not wait for the command");
}

/// The mean of 200 tries.
pub(super) async fn mean_of_true(subject: &Subject<'_>) -> Duration {
    let mut bench = subject.bench().await;
    let input = bench.files.add("in/a.json", "{}");
    let task = DatumTask { cmd: vec!["true".to_owned()], inputs: vec![input], ..DatumTask::default() };
    let begun = Instant::now();
    for _ in 0..200 {
        let (outcome, _) = bench.run(&task).await;
        assert_eq!(outcome.exit, Exit::Code(0));
    }
    let mean = begun.elapsed() / 200;
    bench.close().await;
    mean
}
