//! Hostile stages: whatever one does, the next datum in the same sandbox gets the right inputs and produces the right outputs.

use serde_json::Value;
use tests::TestEnv;

use crate::support::*;

/// A number that is small unless this variable overrides it.
fn scaled(variable: &str, small: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(small)
}

/// The output of a normal datum: everything it sees.
const LOOK: &str = "cd /pfs
    for p in /proc/[0-9]*; do [ ${p#/proc/} = 1 ] || [ ${p#/proc/} = $$ ] || echo $p; done > /pfs/out/$name
    ls -A /pfs /pfs/notes /tmp >> /pfs/out/$name; cat $notes >> /pfs/out/$name";

/// The attacks by name, each a script. The outcome of each may vary, except where a reason is given.
fn attacks(mark: &str) -> Vec<(&'static str, String, Option<&'static str>)> {
    let (log, files) = (scaled("PV_LOG_BYTES", 64 << 20), scaled("PV_OUTPUT_FILES", 3000));
    let swap = "(setsid sh -c 'while :; do ln -sfn /etc/passwd /pfs/out/l; ln -sfn / /pfs/out/l; ln -sfn $notes /pfs/out/l; done' &)
        mkdir /pfs/out/d
        (setsid sh -c 'while :; do mv /pfs/out/d /pfs/out/e; ln -s / /pfs/out/d; rm /pfs/out/d; mv /pfs/out/e /pfs/out/d; done' &)
        sleep 0.1";
    let daemon = format!(
        "(trap '' TERM HUP INT; setsid sh -c 'while :; do echo x > /pfs/out/late; echo x > /tmp/late; sleep {mark}; done' &)
         (setsid sh -c 'setsid sh -c \"setsid sleep {mark} &\" &' &)"
    );
    let proc = "echo x > /proc/1/mem; kill -9 1; kill -STOP 1; kill -TERM 1; echo 1 > /proc/1/oom_score_adj; echo x > /proc/1/fd/1
        echo x > /proc/1/fd/0; ls -R /proc/1/root /proc/1/cwd; echo 0 > /proc/sys/kernel/pid_max; cat /proc/1/fd/*; true";
    let inputs =
        "chmod -R u+w /pfs/notes; for f in /pfs/notes/*; do echo x >> $f; echo x > $f; rm -f $f; mkdir $f; done
        mv /pfs/notes /pfs/moved; ln -s /etc /pfs/notes; mkdir /pfs/more; rm -rf /pfs/*; true";
    let log = format!("yes 0123456789abcdef | head -c {log}; echo the end");
    let files = format!("cd /pfs/out; n=0; while [ $n -lt {files} ]; do : > $n; n=$((n+1)); done");
    let deep = "cd /pfs/out; n=0; while [ $n -lt 300 ]; do d=$(printf %0200d 1); mkdir $d && cd -P $d || exit 1; n=$((n+1)); done";
    vec![
        ("swap", swap.to_owned(), None),
        ("daemon", daemon, None),
        ("proc", proc.to_owned(), None),
        ("inputs", inputs.to_owned(), None),
        ("log", log, None),
        ("files", files, Some("the output has more than 2000 files and directories")),
        (
            "sparse",
            "truncate -s 2199023255553 /pfs/out/huge".to_owned(),
            Some("the output has more than 1099511627776 bytes"),
        ),
        ("kernel", "ln -s /dev/zero /pfs/out/endless".to_owned(), Some("it links to `/dev/zero`")),
        ("odd", "mkfifo /pfs/out/pipe".to_owned(), Some("it is a named pipe")),
        ("deep", deep.to_owned(), None),
    ]
}

fn datum(env: &TestEnv, note: &str) -> Value {
    env.json(["datum", "show", "stage", "--input", &format!("/{note}")]).remove(0)
}

#[test]
fn a_hostile_datum_harms_no_other() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let attacks = attacks(gate.mark());
        let mut cases = String::new();
        for (number, (name, script, _)) in attacks.iter().enumerate() {
            env.write(format!("mixed/{number}-{name}"), "bad\n");
            env.write(format!("mixed/{number}-then"), format!("note {number}\n"));
            cases += &format!("*-{name}) {{ {script}; }} 2>/dev/null;; ");
        }
        env.ok(["config", "set", "log_max", "1048576"]);
        env.ok(["config", "set", "output_files_max", "2000"]);
        env.ok(["put", "notes", "mixed", "--mirror", "--yes"]);
        let script = format!("name=${{notes##*/}}; case $name in {cases} *) {LOOK};; esac");
        let spec = spec_with("stage", &pfs("notes", "/*"), &script, "");
        apply(&env, &spec.replacen('{', "{\"datum_tries\": 1,", 1));
        // One after another, so all in one sandbox, unless it was lost.
        let output = env.output(["run", "-j", "1"]);
        assert_eq!(output.status.code(), Some(1), "{}", env.shown(&output));
        assert!(gate.waiting().is_empty(), "{executor}: a process outlived its datum");
        let job = newest_job(&env, "stage");
        let commit = job["output_commit"].as_str().unwrap();
        for (number, (name, _, reason)) in attacks.iter().enumerate() {
            let seen = env.ok(["cat", &format!("stage@{commit}:/{number}-then")]);
            let expected = ["/pfs:\nnotes\nout\n", &format!("/pfs/notes:\n{number}-then\n"), "/tmp:\n"];
            assert!(expected.iter().all(|part| seen.contains(part)), "{executor}, after {name}: {seen}");
            let is_right = seen.ends_with(&format!("note {number}\n")) && !seen.contains("/proc/");
            assert!(is_right, "{executor}, after {name}: {seen}");
            if let Some(reason) = reason {
                let datum = datum(&env, &format!("{number}-{name}"));
                assert_eq!(datum["state"], "failed", "{executor}, {name}");
                assert!(datum["reason"].as_str().unwrap().contains(reason), "{executor}, {name}: {datum}");
            }
        }
        let talker = datum(&env, "4-log")["id"].as_str().unwrap().to_owned();
        let log = env.ok(["logs", &format!("stage/{talker}")]);
        assert!(log.len() < 2 << 20 && log.contains("bytes omitted") && log.ends_with("the end\n"), "{}", log.len());
        assert_sound(&env);
    }
}
