//! Timeouts cover collecting output, an agent ends with its engine, and commands inherit nothing from the engine.

use std::collections::BTreeSet;
use std::process::Command;

use nix::sys::signal::Signal;
use tests::TestEnv;

use crate::support::*;

/// An output that would take many minutes to read, and uses no space on disk.
const ENDLESS: &str = "truncate -s 700G /pfs/out/sparse";

/// A spec for the note `/a` alone, with additional top-level fields, each followed by a comma.
fn spec_of_a(name: &str, script: &str, top: &str) -> String {
    let whole = spec_with(name, &pfs("notes", "/a"), script, "");
    let rest = whole.strip_prefix('{').unwrap();
    format!("{{{top} \"datum_tries\": 1, {rest}")
}

fn reason(env: &TestEnv, pipeline: &str) -> String {
    newest_job(env, pipeline)["reason"].as_str().unwrap_or_default().to_owned()
}

/// The processes of this store's sandboxes in the process executor.
fn agents(env: &TestEnv) -> BTreeSet<i32> {
    let place = env.dir().canonicalize().unwrap();
    let starters = processes_with(place.join(".pv/scratch").to_str().unwrap());
    let mut found = BTreeSet::new();
    let mut ahead = starters;
    while let Some(pid) = ahead.pop() {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        ahead.extend(children.split_whitespace().map(|child| child.parse::<i32>().unwrap()));
        found.insert(pid);
    }
    found
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Waits until no process of a sandbox runs any more.
fn until_all_have_ended(executor: &str, pipeline: &str, before: &BTreeSet<i32>) {
    until_true("the end of all agents", || !before.iter().any(|pid| is_alive(*pid)));
    if executor == "docker" {
        until_true("the end of all containers", || containers(pipeline).is_empty());
    }
}

#[test]
fn a_datums_time_covers_taking_in_its_output() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        apply(&env, &spec_of_a("late", ENDLESS, "\"datum_timeout\": \"2s\","));
        assert_eq!(env.exit_code(["run"]), 1);
        let why = env.json(["datum", "show", "late", "--input", "/a"])[0]["reason"].as_str().unwrap().to_owned();
        assert_eq!(
            why, "the command ended, but storing its output took longer than `datum_timeout` allows: 2s",
            "{executor}"
        );
        assert_sound(&env);
    }
}

#[test]
fn a_jobs_time_covers_taking_in_output() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        apply(&env, &spec_of_a("late", ENDLESS, "\"job_timeout\": \"3s\","));
        assert_eq!(env.exit_code(["run"]), 1);
        assert_eq!(reason(&env, "late"), "it took longer than `job_timeout` allows: 3s", "{executor}");
        assert_nothing_is_left(&env);
    }
}

#[test]
fn a_job_that_takes_in_output_can_be_stopped_and_interrupted() {
    for executor in executors() {
        for is_stopped in [true, false] {
            let env = env_with_notes_on(executor);
            let gate = Gate::new();
            let name = format!("late-{}", gate.mark());
            apply(&env, &spec_of_a(&name, &format!("{}; {ENDLESS}", gate.wait()), ""));
            let run = Background::start(&env, ["run"]);
            gate.until_waiting(1);
            let before = agents(&env);
            gate.open_until(|| gate.waiting().is_empty());
            if is_stopped {
                env.ok(["job", "stop", &name]);
                run.end().assert_code(1);
                assert_eq!(newest_job(&env, &name)["state"], "killed", "{executor}");
            } else {
                run.send(Signal::SIGINT);
                run.end().assert_code(130);
            }
            until_all_have_ended(executor, &name, &before);
            assert_nothing_is_left(&env);
        }
    }
}

#[test]
fn an_agent_ends_with_its_engine_while_user_code_runs() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let name = format!("held-{}", gate.mark());
        let script = format!("(trap '' TERM HUP INT; setsid sleep {m} &) ; sleep {m}", m = gate.mark());
        apply(&env, &spec_of_a(&name, &script, ""));
        let run = Background::start(&env, ["run"]);
        gate.until_waiting(2);
        let before = agents(&env);
        assert_eq!(before.is_empty(), executor == "docker");
        run.kill_9();
        until_all_have_ended(executor, &name, &before);
        until_true("the end of the commands", || gate.waiting().is_empty());
    }
}

/// Whether a process is stopped.
fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

#[cfg(debug_assertions)]
#[test]
fn an_agent_ends_with_its_engine_while_inputs_come_or_output_goes() {
    for executor in executors() {
        for point in ["pause:datum.after_staging", "pause:datum.in_intake"] {
            let env = env_with_notes_on(executor);
            let name = format!("held-{}", Gate::new().mark());
            apply(&env, &spec_of_a(&name, ENDLESS, ""));
            let mut command = env.command(["run"]);
            command.env("PV_STOP_AT", point);
            let run = Background::of(&env, command);
            until_true("an engine that stands still", || is_stopped(run.pid().as_raw()));
            let before = agents(&env);
            assert_eq!(before.is_empty(), executor == "docker", "{point}");
            run.kill_9();
            until_all_have_ended(executor, &name, &before);
        }
    }
}

#[test]
fn commands_have_three_streams_open_whatever_the_engine_was_given() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        // Without a shell, which opens files of its own. The first call fails since it also lists missing paths.
        let list = "\"ls\", \"-l\", \"/proc/self/fd\"";
        let input = pfs("notes", "/a");
        apply(
            &env,
            &format!(
                "{{\"pipeline\": {{\"name\": \"look\"}}, \"datum_tries\": 1, \"input\": {input}, \"transform\": \
                 {{\"image\": \"{IMAGE}\", \"cmd\": [{list}, \"/no/such\"], \"err_cmd\": [{list}]}}}}\n"
            ),
        );
        // Files, a folder to write in, and a pipe, as a careless shell leaves them open for its children.
        let pv = env.command(["run"]);
        let line = format!(
            "exec 7</etc/passwd 8>>left 9<. ; echo x | {{ exec 6<&0; exec {} run -j 1; }}",
            pv.get_program().to_str().unwrap()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(env.work()).env_clear().env("PATH", "/usr/bin:/bin");
        shell.envs(pv.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{}", env.shown(&output));
        let log = env.ok(["logs", "look"]);
        // For example `lr-x------ 1 root root 64 Nov 29 15:57 0 -> pipe:[7]`; some versions of `ls` close the listing before they examine
        // its entry.
        let listed =
            log.lines().filter_map(|line| line.find("lr-x").or_else(|| line.find("l-wx")).map(|at| &line[at..]));
        let open: Vec<(&str, &str)> = listed
            .map(|line| line.split_once(" -> ").unwrap_or((line, "")))
            .map(|(line, at)| (line.rsplit(' ').next().unwrap(), at))
            .collect();
        // The last entry is the listing itself.
        let numbers: Vec<&str> = open.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "0", "1", "2", "3"], "{executor}: {log}");
        let is_right = |(number, at): &(&str, &str)| {
            if *number == "3" { at.is_empty() || at.ends_with("/fd") } else { at.starts_with("pipe:") }
        };
        assert!(open.iter().all(is_right), "{executor}: {log}");
    }
}

#[test]
fn a_command_has_no_way_to_the_engines_terminal() {
    if Command::new("script").arg("--version").output().is_err() {
        skip("`script` is not installed, which makes a terminal");
        return;
    }
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let script = "if (: < /dev/tty) 2> /dev/null; then echo terminal; else echo none; fi > /pfs/out/seen";
        apply(&env, &spec_of_a("look", script, ""));
        let pv = env.command(["run"]);
        let line = format!("{} run", pv.get_program().to_str().unwrap());
        let mut typed = Command::new("script");
        typed.args(["-qec", &line, "/dev/null"]).current_dir(env.work()).env_clear();
        typed.env("PATH", "/usr/bin:/bin").envs(pv.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = typed.output().unwrap();
        assert!(output.status.success(), "{}", env.shown(&output));
        assert_eq!(env.ok(["cat", "look:/seen"]), "none\n", "{executor}");
    }
}

#[test]
fn a_datum_that_spoils_its_sandbox_reaches_no_other() {
    let env = env_with_notes_on("process");
    // The first datum takes processors, files and priority from the agent, and leaves shared memory behind; the others report what they
    // find.
    let script = "name=$(basename $notes)
        { nproc; ulimit -n; cut -d' ' -f19 /proc/self/stat; wc -l < /proc/sysvipc/shm; } > /pfs/out/$name
        if [ $name = a ]; then taskset -p 1 1; prlimit --pid 1 --nofile=64:64; renice -n 7 -p 1; ipcmk -M 4096; fi > /dev/null 2>&1; true";
    apply(&env, &spec("look", "notes", script));
    env.ok(["run", "-j", "1"]);
    let found = |name: &str| env.ok(["cat", &format!("look:/{name}")]);
    assert_eq!((found("b"), found("c")), (found("a"), found("a")));
    assert_eq!(outcome(&env, "look"), success(3, 0));
    assert_nothing_is_left(&env);
}
