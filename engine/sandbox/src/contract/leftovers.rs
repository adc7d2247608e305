//! Whatever a try leaves behind, the next one finds nothing of it.
//!
//! Commands that are root in a container can change any file of their image. That may cost a new sandbox; what ordinary commands leave,
//! below `/tmp` and `/pfs/out`, does not.

use super::super::Exit;
use super::{Bench, Subject};

pub(super) async fn suite(subject: &Subject<'_>) {
    let mut bench = subject.bench().await;
    the_next_try_finds_all_as_it_was(&mut bench).await;
    ordinary_tries_share_a_sandbox(&mut bench).await;
    what_lies_in_no_file_goes_too(&mut bench).await;
    bench.close().await;
}

/// Prints every path with its type, permissions, owner and size, and the content of small files; also which of them exist.
const LOOK: &str = "for d in / /tmp /dev/shm /dev/mqueue; do find $d -xdev ! -path '/proc/*' ! -path '/sys/*' \
                    -exec stat -c '%n %A %u:%g' {} + ; done 2>/dev/null | sort; \
                    md5sum /etc/passwd /etc/group /etc/resolv.conf 2>/dev/null; grep evil /etc/hosts; true";

/// Each leaves something somewhere, if it is allowed to.
const LEAVE: &[&str] = &[
    "echo x > /tmp/x; mkdir -p /tmp/a/b; ln -s /etc /tmp/l; mkfifo /tmp/p",
    "chmod 700 /tmp; chmod 700 /pfs /pfs/out /dev/shm",
    "chown 1:1 /tmp /pfs /pfs/out",
    "echo x > /dev/shm/x",
    "echo x > /root/x",
    "mkdir /new",
    "echo x >> /etc/passwd",
    "chmod 777 /etc/passwd",
    "chmod 700 /usr",
    "chown 1:1 /root",
    "touch -d @1 /etc/group",
    "rm /etc/group",
    "mv /etc/group /etc/moved",
    "mv /home /house",
    "ln /etc/passwd /root/l && echo x >> /root/l && rm /root/l",
    "ln /etc/passwd /tmp/l && echo x >> /tmp/l && rm /tmp/l",
    "echo '1.2.3.4 evil' >> /etc/hosts",
    "echo x > /dev/x",
    "chmod 600 /dev/null",
    "mkdir /dev/shm2 && echo x > /dev/shm2/x",
    "(exec 3>>/etc/passwd; echo x >&3; sleep 600) & while ! grep -q ^x /etc/passwd; do [ -w /etc/passwd ] || exit; done",
];

async fn the_next_try_finds_all_as_it_was(bench: &mut Bench<'_>) {
    let before = bench.good(LOOK, vec![]).await.log();
    assert!(before.contains("/tmp d") && before.lines().count() > 20, "{before}");
    for (leave, end) in LEAVE.iter().zip([0, 3].into_iter().cycle()) {
        let (exit, _) = bench.sh(&format!("{{ {leave}; }} 2>/dev/null; exit {end}"), vec![]).await;
        assert!(matches!(exit, Exit::Code(_)), "{leave}: {exit:?}");
        let after = bench.good(LOOK, vec![]).await.log();
        assert_eq!(after, before, "left by: {leave}");
    }
}

async fn ordinary_tries_share_a_sandbox(bench: &mut Bench<'_>) {
    let opened = bench.opened;
    for _ in 0..5 {
        let input = bench.files.add("in/a", "a");
        let script = "cat /etc/passwd /pfs/in/a > /tmp/x; sort /tmp/x > /tmp/y; mv /tmp/y /pfs/out/y; mkdir /tmp/d; ls / /root /etc; \
                      echo x > /dev/null; cd /usr; (sleep 600 &); echo x > /dev/shm/x; umask 077; ulimit -n 100";
        bench.good(&format!("{{ {script}; }} >/dev/null 2>&1; true"), vec![input]).await;
    }
    assert_eq!(bench.opened, opened, "nothing was left that the agent does not remove");
}

/// Needs perl for calls that no shell has; without it these places are covered by the executor's own tests.
async fn what_lies_in_no_file_goes_too(bench: &mut Bench<'_>) {
    let (exit, _) = bench.sh("perl -e 1 2>/dev/null", vec![]).await;
    if exit != Exit::Code(0) {
        return;
    }
    let look = "cat /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg; ls -A /dev/mqueue; cat /proc/self/limits; \
                cut -d' ' -f18,19 /proc/1/stat; grep _allowed_list /proc/self/status";
    let before = bench.good(look, vec![]).await.log();
    for leave in [
        "shmget(77, 4096, 01600) // die",
        "semget(77, 1, 01600) // die",
        "msgget(77, 01600) // die",
        // mq_open on x86_64 or aarch64, chosen by `uname`
        "$n = `uname -m` =~ /aarch64/ ? 180 : 240; $q = \"left\\0\"; syscall($n, $q, 0102, 0600, 0)",
        // prlimit on the agent: 200 open files
        "$n = `uname -m` =~ /aarch64/ ? 261 : 302; $l = pack('QQ', 200, 200); syscall($n, 1, 7, $l, 0)",
        "setpriority(0, 1, 7)",
        // keyctl: a key for the user
        "$n = `uname -m` =~ /aarch64/ ? 217 : 248; $t = \"user\\0\"; $d = \"left\\0\"; $p = 'x'; \
         exit 9 if syscall($n, $t, $d, $p, 1, -4) >= 0",
        // io_uring_setup
        "$p = \"\\0\" x 120; exit 9 if syscall(425, 1, $p) >= 0",
    ] {
        let (exit, record) = bench.sh(&format!("perl -e '{}'; [ $? != 9 ]", leave.replace('\'', "\"")), vec![]).await;
        assert_eq!(exit, Exit::Code(0), "{leave}: {}", record.log());
        assert_eq!(bench.good(look, vec![]).await.log(), before, "left by: {leave}");
    }
}
