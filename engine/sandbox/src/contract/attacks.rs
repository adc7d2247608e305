//! What a try must not reach, and must not leave for the next: every known way, attempted from inside.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};

use super::super::{DatumTask, Exit, SandboxSpec};
use super::{Bench, MemoryFiles, Subject, shell};
use crate::agent::most_processes;

/// Prints what a try finds that should be the same for each.
const FOUND: &str = "ls -A /tmp /dev/shm /dev/mqueue /pfs /pfs/out 2>/dev/null; stat -c '%n %a %U' /tmp /dev/shm /dev/mqueue /pfs /pfs/out 2>/dev/null; \
                     for d in /tmp /pfs/out /dev/shm; do [ $(stat -c %Y $d) -gt 1000 ] || echo old; done; \
                     cat /proc/sysvipc/shm /proc/sysvipc/msg /proc/sysvipc/sem; cut -d' ' -f19,40,41 /proc/1/stat; cat /proc/self/limits; \
                     grep _allowed /proc/self/status; umask; pwd; env | sort; \
                     find /code /run /home /root /var /etc /dev /opt /mnt -xdev 2>/dev/null | sort; cat /pfs/in/a /code/lib/data";

/// Actions that the next try must not notice. They do nothing if the sandbox lacks what they need.
const DEEDS: [&str; 20] = [
    "echo x > /tmp/left; mkdir /tmp/.d; touch -d @1 /tmp; chmod 700 /tmp",
    "echo x > /dev/shm/left; chmod 0 /dev/shm",
    "echo x > /dev/mqueue/left; touch /dev/mqueue/left; chmod 0 /dev/mqueue",
    "mkdir -p /pfs/out/a/b; chmod 0 /pfs/out/a/b /pfs/out/a; chmod 0 /pfs/out",
    "setfacl -d -m u:1:rwx /tmp /pfs/out; chattr +dS /tmp /pfs/out; setfattr -n user.left -v x /tmp",
    "renice -n 19 -p 1",
    "chrt -i -p 0 1; chrt -b -p 0 1",
    "taskset -p 1 1",
    "ionice -c 3 -p 1",
    "prlimit --pid 1 --fsize=10:10 --nofile=64:64",
    "ipcmk -M 4096; ipcmk -Q; ipcmk -S 2",
    "umask 077; cd /usr; ulimit -n 64; export LEFT=x",
    "for path in /proc/1/root /proc/1/cwd /proc/1/fd/*; do echo x > $path/tmp/left; echo x > $path/left; echo x > $path/code/left; done",
    "for path in /proc/1/mem /proc/1/oom_score_adj /proc/1/autogroup /proc/1/timerslack_ns /proc/1/coredump_filter; do echo 1 > $path; done",
    "for path in $(find /proc/sys /proc/1 /sys -type f -perm /222 2>/dev/null); do echo 1 > $path; done",
    "s=1; while [ $s -lt 65 ]; do kill -$s 1; s=$((s+1)); done",
    "kill -BUS 1; kill -SEGV 1",
    "for place in / /code /pfs /pfs/in /run /home /root /var /opt /mnt /dev /etc /usr; do echo x > $place/left; mkdir $place/left.d; chmod 777 $place; done",
    "chmod u+w /pfs/in/a; echo x >> /pfs/in/a; chmod u+w /code/lib /code/lib/data; echo x >> /code/lib/data; echo x > /code/lib/new",
    "unshare -Urm sh -c 'mount -o remount,rw /code; mount -o remount,rw /pfs; umount /etc/shadow; echo x > /code/lib/new; mount --bind /tmp /code'",
];

pub(super) async fn suite(subject: &Subject<'_>) {
    let inheritable = inheritable();
    let mut bench = with_code(subject).await;
    nothing_but_three_streams_is_open(&mut bench).await;
    if subject.image.is_none() {
        no_deed_shows_in_the_next_try(&mut bench).await;
        nothing_hangs_on_a_directory(&mut bench).await;
        processes_are_limited(&mut bench).await;
        keys_are_out_of_reach(&mut bench).await;
        no_terminal_is_there(&mut bench).await;
        sockets_of_the_host_are_out_of_reach(&mut bench).await;
    }
    the_agent_is_not_traced(&mut bench).await;
    whatever_multiplies_ends(&mut bench).await;
    bench.close().await;
    drop(inheritable);
}

/// Open files of this process that every child process inherits unless it closes them.
fn inheritable() -> Vec<OwnedFd> {
    let paths = ["/", "/etc/passwd", "/dev/null"];
    let files: Vec<OwnedFd> = paths.map(|path| File::open(path).expect("it is there").into()).into();
    for file in &files {
        fcntl_setfd(file, FdFlags::empty()).expect("it is open");
    }
    files
}

async fn with_code<'a>(subject: &'a Subject<'a>) -> Bench<'a> {
    let mut files = MemoryFiles::default();
    let code = vec![files.add("lib/data", "data")];
    subject.bench_with(SandboxSpec { code, ..subject.spec() }, files).await
}

/// Without a shell, because a shell opens its own files. The last one listed is the listing itself.
async fn nothing_but_three_streams_is_open(bench: &mut Bench<'_>) {
    let cmd = ["ls", "-l", "/proc/self/fd"].map(str::to_owned).to_vec();
    let input = bench.files.add("in/a", "a");
    let task = DatumTask { cmd, inputs: vec![input], ..DatumTask::default() };
    for _ in 0..2 {
        let (outcome, record) = bench.run(&task).await;
        assert_eq!(outcome.exit, Exit::Code(0));
        let log = record.log();
        // For example `lr-x------ 1 root root 64 Nov 29 15:57 0 -> pipe:[7]`; some `ls` close the list before they look at its own entry.
        let open: Vec<(&str, &str)> = log
            .lines()
            .filter(|line| line.starts_with("lr") || line.starts_with("l-"))
            .map(|line| line.split_once(" -> ").unwrap_or((line, "")))
            .map(|(line, target)| (line.rsplit(' ').next().unwrap_or_default(), target))
            .collect();
        assert_eq!(open.iter().map(|(number, _)| *number).collect::<Vec<_>>(), ["0", "1", "2", "3"], "{log}");
        assert!(open[3].1.is_empty() || open[3].1.ends_with("/fd"), "{log}");
        assert!(open[..3].iter().all(|(_, target)| target.starts_with("pipe:")), "{log}");
        assert_eq!(open[1].1, open[2].1, "both go to the log");
        assert_ne!(open[0].1, open[1].1);
    }
}

async fn no_deed_shows_in_the_next_try(bench: &mut Bench<'_>) {
    let input = bench.files.add("in/a", "a");
    let before = bench.good(FOUND, vec![input.clone()]).await.log();
    assert!(before.ends_with("adata"), "{before}");
    for deed in DEEDS {
        for end in ["exit 0", "exit 3"] {
            bench.sh(&format!("{{ {deed}; }} >/dev/null 2>&1; {end}"), vec![input.clone()]).await;
            let after = bench.good(FOUND, vec![input.clone()]).await.log();
            assert_eq!(after, before, "{deed}; {end}");
        }
    }
}

/// Makes system calls that no shell can; every Debian has `perl`.
fn perl(script: &str) -> String {
    format!("if [ -x /usr/bin/perl ] && [ $(uname -m) = x86_64 ]; then /usr/bin/perl -e '{script}'; fi")
}

/// Attributes of the directories that a try writes to.
async fn nothing_hangs_on_a_directory(bench: &mut Bench<'_>) {
    let list = perl(
        "for my $d (\"/tmp\", \"/pfs/out\", \"/dev/shm\") { my $p = $d; my $b = \"\\0\" x 4096; my $n = syscall(194, $p, $b, 4096); \
         print \"$d \", substr($b, 0, $n), \"\\n\" if $n > 0; }",
    );
    let before = bench.good(&list, vec![]).await.log();
    let set = perl(
        "for my $d (\"/tmp\", \"/pfs/out\", \"/dev/shm\") { my ($p, $n, $v) = ($d, \"user.left\", \"x\"); syscall(188, $p, $n, $v, 1, 0); }",
    );
    bench.good(&set, vec![]).await;
    assert_eq!(bench.good(&list, vec![]).await.log(), before);
}

async fn processes_are_limited(bench: &mut Bench<'_>) {
    let log = bench.good("grep 'Max processes' /proc/self/limits", vec![]).await.log();
    let limits: Vec<u64> = log.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(limits.len() == 2 && limits.iter().all(|limit| *limit <= u64::from(most_processes())), "{log}");
}

async fn keys_are_out_of_reach(bench: &mut Bench<'_>) {
    // `add_key` and `keyctl(KEYCTL_GET_KEYRING_ID)`.
    let script = perl(
        "my ($t, $n, $v) = (\"user\", \"left\", \"x\"); for my $ring (-3, -4, -5) { for my $bit (0, 0x40000000) { \
         print \"ADDED\\n\" if syscall(248 | $bit, $t, $n, $v, 1, $ring) >= 0; \
         print \"FOUND\\n\" if syscall(250 | $bit, 0, $ring, 1) >= 0; } }",
    );
    assert_eq!(bench.good(&script, vec![]).await.log(), "");
}

/// Abstract sockets belong to a network, and so exist in a sandbox that uses the host's. Linux can block them since 6.12.
async fn sockets_of_the_host_are_out_of_reach(bench: &mut Bench<'_>) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(6), Some(12)) {
        return;
    }
    let name = format!("pv-contract-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let listener = UnixListener::bind_addr(&address).expect("a socket");
    assert!(UnixStream::connect_addr(&address).is_ok(), "it answers outside");
    // The address is the family and a name that begins with a zero byte. It may reach its own socket.
    let script = perl(&format!(
        "socket(S, 1, 1, 0); print \"REACHED\\n\" if connect(S, pack(\"Sxa*\", 1, \"{name}\")); \
         socket(L, 1, 1, 0); bind(L, pack(\"Sxa*\", 1, \"own\")); listen(L, 1); socket(C, 1, 1, 0); \
         print \"own\\n\" if connect(C, pack(\"Sxa*\", 1, \"own\"));"
    ));
    let log = bench.good(&script, vec![]).await.log();
    assert!(["", "own\n"].contains(&log.as_str()), "{log}");
    drop(listener);
}

async fn no_terminal_is_there(bench: &mut Bench<'_>) {
    let record = bench.good("(: < /dev/tty) 2>/dev/null && echo TERMINAL; true", vec![]).await;
    assert_eq!(record.log(), "");
}

async fn the_agent_is_not_traced(bench: &mut Bench<'_>) {
    // `ptrace(PTRACE_ATTACH, 1)` and `ptrace(PTRACE_SEIZE, 1)`, then a command that makes the agent its tracer.
    let script = perl("print \"TRACED\\n\" if syscall(101, 16, 1, 0, 0) == 0 || syscall(101, 0x4206, 1, 0, 0) == 0;");
    assert_eq!(bench.good(&script, vec![]).await.log(), "");
    // `ptrace(PTRACE_TRACEME)` in a child of the agent, and a signal, which stops it for a tracer that does not respond.
    for script in ["syscall(101, 0, 0, 0, 0); exit 7;", "syscall(101, 0, 0, 0, 0); kill 10, $$; sleep 600;"] {
        let script = perl(script).replace("/usr/bin/perl -e", "exec /usr/bin/perl -e");
        let task = DatumTask { timeout: Some(Duration::from_millis(300)), ..shell(&script) };
        let (outcome, _) = bench.run(&task).await;
        assert!(matches!(outcome.exit, Exit::Code(0 | 7) | Exit::TimedOut), "{outcome:?}");
        assert_eq!(bench.good("echo next", vec![]).await.log(), "next\n");
    }
}

async fn whatever_multiplies_ends(bench: &mut Bench<'_>) {
    for bomb in [
        "bomb() { bomb | bomb & }; bomb; sleep 600",
        "n=0; while [ $n -lt 50 ]; do (setsid sh -c 'trap \"\" TERM HUP INT; (sleep 600 &) ; sleep 600' &); n=$((n+1)); done; sleep 600",
    ] {
        let task =
            DatumTask { timeout: Some(Duration::from_millis(300)), ..shell(&format!("{{ {bomb}; }} 2>/dev/null")) };
        let (outcome, _) = bench.run(&task).await;
        assert!(matches!(outcome.exit, Exit::TimedOut | Exit::Code(_)), "{outcome:?}");
        let left = "for p in /proc/[0-9]*; do [ ${p#/proc/} = 1 ] || [ ${p#/proc/} = $$ ] || echo $p; done";
        assert_eq!(bench.good(left, vec![]).await.log(), "", "{bomb}");
    }
}
