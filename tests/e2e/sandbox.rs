//! What a stage sees, and what it does not.

use tests::TestEnv;

use crate::support::*;

const CANARY: &str = "canary-that-no-stage-may-see";

/// Runs a script for each of `/a`, `/b`, `/c`, one at a time, with canaries in the environment of the engine; returns the output for `/a`.
fn seen(env: &TestEnv, transform: &str, script: &str) -> String {
    apply(env, &spec_with("look", &pfs("notes", "/*"), script, transform));
    let mut command = env.command(["run", "-j", "1"]);
    command.envs([("PV_CANARY", CANARY), ("AWS_SECRET_ACCESS_KEY", CANARY), ("DOCKER_CONFIG", "/no/such/folder")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", env.shown(&output));
    env.ok(["cat", "look:/a"])
}

#[test]
fn a_stage_sees_nothing_of_the_engine() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let store = env.dir().join(".pv").canonicalize().unwrap();
        let script = format!(
            "{{ env; cat /proc/1/environ /proc/self/environ | tr '\\0' '\\n'; cat /proc/1/cmdline | tr '\\0' '\\n'
              ls -a / /run /var/run /tmp /home /root
              for path in {store} /var/run/docker.sock /run/docker.sock /run/containerd; do
                  [ -e $path ] && echo \"SEEN $path\"
              done
              find / -xdev \\( -name journal -o -name '*.pack' -o -type s \\) -path '*.pv*' 2>/dev/null | sed 's/^/SEEN /'
              ls -l /proc/self/fd | grep -e socket -e pack -e journal | sed 's/^/SEEN /'
            }} > \"/pfs/out/$(basename $notes)\" 2>&1; true",
            store = store.display()
        );
        let seen = seen(&env, "", &script);
        assert!(seen.contains("PACH_JOB_ID="), "{seen}");
        assert!(!seen.contains("SEEN"), "{executor}: {seen}");
        assert!(!seen.contains(CANARY) && !seen.contains("PV_"), "{executor}: {seen}");
        assert!(!seen.contains(env.dir().to_str().unwrap()), "{executor}: {seen}");
        assert!(!seen.contains("Anna"), "{executor}: {seen}");
    }
}

#[test]
fn a_stage_reads_no_password_of_the_host() {
    let Ok(shadow) = std::fs::read_to_string("/etc/shadow") else {
        skip("only root can tell what is in /etc/shadow");
        return;
    };
    let lines: Vec<&str> = shadow.lines().filter(|line| line.contains(':')).collect();
    assert!(!lines.is_empty());
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let script = "cat /etc/shadow /etc/shadow- /etc/gshadow /etc/ssh/*key /root/.ssh/* /root/.bashrc \
                      > \"/pfs/out/$(basename $notes)\" 2>/dev/null; id -u >> \"/pfs/out/$(basename $notes)\"";
        let seen = seen(&env, "", script);
        assert!(!lines.iter().any(|line| seen.contains(line)), "{executor}: {seen}");
        if executor == "process" {
            assert_ne!(seen.trim(), "0", "nothing but the id of another user than root");
        }
    }
}

#[test]
fn a_stage_without_network_has_no_way_out() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let script = "{ tail -n +2 /proc/net/route; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | grep -v -x -e lo -e 'sit0' \
                      -e 'tunl0' -e 'gre.*' -e 'ip6.*' -e 'erspan0' -e 'ip_vti0'; } > \"/pfs/out/$(basename $notes)\"; true";
        assert_eq!(seen(&env, "\"network\": \"none\",", script), "", "{executor}: neither route nor interface");
    }
}

/// A user other than root; the process executor has no other.
fn user_of(executor: &str) -> &'static str {
    if executor == "docker" { "\"user\": \"1000\"," } else { "" }
}

/// Tries everything that would change an input; prints what succeeded.
const CHANGES: &str = "echo x > $notes && echo WROTE; echo x >> $notes && echo APPENDED; rm -f $notes && echo REMOVED
    mv $notes /pfs/notes/z && echo RENAMED; mkdir /pfs/notes/x && echo MADE; chmod 777 $notes && echo CHANGED
    ln $notes /pfs/out/hard && echo LINKED; true";

#[test]
fn inputs_cannot_be_changed() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let script = format!(
            "said=$({{ {CHANGES}; }} 2>/dev/null); {{ printf %s \"$said\"; cat $notes; }} > \"/pfs/out/$(basename $notes)\""
        );
        assert_eq!(
            seen(&env, user_of(executor), &script),
            "a\n",
            "{executor}: all was refused and nothing has changed"
        );
    }
}

#[test]
fn root_in_a_container_that_changes_what_it_was_given_fails() {
    if !has_docker() {
        return;
    }
    let changes = [("echo x > $notes", "/pfs/notes/a"), ("rm $notes", "/pfs/notes/a")];
    for (change, path) in changes {
        let env = env_with_notes_on("docker");
        env.write("code/say", "echo said by code");
        let script = format!(
            "if [ $(basename $notes) = a ]; then {change}; else sh /code/say > \"/pfs/out/$(basename $notes)\"; fi"
        );
        apply(&env, &spec_with("look", &pfs("notes", "/*"), &script, "\"code\": \"code\","));
        let output = env.output(["run", "-j", "1"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("it changed its input `{path}`")), "{said}");
        assert!(said.contains("1 of 3 datums failed"), "later datums get what they should: {said}");
        assert_eq!(env.ok(["cat", "notes:/a"]), "a\n");
    }
}

#[test]
fn a_stage_runs_its_code_and_cannot_change_it() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        env.write("code/say", "echo said by code");
        let script = "echo x 2>/dev/null > /code/say; sh /code/say > \"/pfs/out/$(basename $notes)\"";
        assert_eq!(
            seen(&env, "\"code\": \"code\",", script),
            "said by code\n",
            "{executor}: root in a container cannot either"
        );
    }
}

#[test]
fn datums_leave_nothing_to_each_other() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let gate = Gate::new();
        let script = format!(
            "{{ ls -A /tmp; ls -A /pfs/out; pwd; ls /pfs; {look} | grep -x {pattern}; }} \
             > /tmp/seen; [ $(basename $notes) = c ] && cp /tmp/seen /pfs/out/c
             echo left > /tmp/left; mkdir /tmp/.left
             (setsid sh -c 'trap \"\" TERM HUP; sleep {mark}' > /dev/null 2>&1 &)
             while ! {look} | grep -q -x {pattern}; do :; done
             [ -e /pfs/out/c ] || echo none > /pfs/out/$(basename $notes)",
            mark = gate.mark(),
            look = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'",
            // Written so that the search does not find itself.
            pattern = format!("'[1]{}'", &gate.mark()[1..]),
        );
        seen(&env, "\"working_dir\": \"/usr\",", &script);
        let last = env.ok(["cat", "look:/c"]);
        assert_eq!(last, "seen\n/usr\nnotes\nout\n", "{executor}: a fresh sandbox for the third datum");
        until_true("the end of all commands", || gate.waiting().is_empty());
    }
}

#[test]
fn root_in_a_container_leaves_nothing_to_later_datums() {
    if !has_docker() {
        return;
    }
    let env = env_with_notes_on("docker");
    let script = "{ cat /root/left /etc/left /bin/left /left/left; tail -n 1 /etc/passwd; ls /home; sh -c left; } \
                  > \"/pfs/out/$(basename $notes)\" 2>/dev/null
                  for place in /root /etc /bin; do echo 'echo left' > $place/left; chmod 755 $place/left; done
                  mkdir /left; echo left > /left/left; echo left >> /etc/passwd; mv /home /gone";
    seen(&env, "", script);
    for name in ["a", "b", "c"] {
        assert_eq!(env.ok(["cat", &format!("look:/{name}")]), "ana:x:1000:1000:Ana:/home/ana:/bin/sh\nana\n", "{name}");
    }
    until_true("the end of all containers", || containers("look").is_empty());
}

#[test]
fn a_stage_sees_only_the_files_of_its_datum() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        let script = "{ find /pfs/notes -type f; echo $PV_STORE; } > \"/pfs/out/$(basename $notes)\"";
        assert_eq!(seen(&env, "", script), "/pfs/notes/a\n\n", "{executor}");
    }
}
