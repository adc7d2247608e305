//! What commands must not reach.

use super::super::{Network, SandboxSpec};
use super::{Bench, MemoryFiles, Subject};

pub(super) async fn suite(subject: &Subject<'_>) {
    assert!(std::env::var_os(subject.canary).is_some(), "the test sets the canary");
    let mut bench = subject.bench().await;
    nothing_of_the_engine_shows(&mut bench, subject.canary).await;
    no_right_can_be_gained(&mut bench).await;
    the_agent_is_out_of_reach(&mut bench).await;
    bench.close().await;
    without_a_network_nothing_answers(subject).await;
}

async fn nothing_of_the_engine_shows(bench: &mut Bench<'_>, canary: &str) {
    let record = bench.good("env; cat /proc/1/environ 2>/dev/null; cat /proc/mounts", vec![]).await;
    assert!(!record.log().contains(canary), "{}", record.log());
    for path in
        ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket"]
    {
        let record = bench.good(&format!("[ -e {path} ] && echo {path}; true"), vec![]).await;
        assert_eq!(record.log(), "", "a socket of the host shows");
    }
    let host = std::fs::read_to_string("/etc/shadow").unwrap_or_default();
    let record = bench.good("cat /etc/shadow /etc/shadow- /etc/gshadow 2>/dev/null; true", vec![]).await;
    let host_lines: Vec<_> = host.lines().filter(|line| line.len() > 8).collect();
    assert!(!record.log().lines().any(|line| host_lines.contains(&line)), "the host's passwords show");
    let store = std::env::current_dir().expect("a directory");
    let record = bench.good(&format!("[ -e '{}/Cargo.toml' ] && echo shows; true", store.display()), vec![]).await;
    assert_eq!(record.log(), "", "the engine's own files show");
}

async fn no_right_can_be_gained(bench: &mut Bench<'_>) {
    let record = bench.good("grep -E 'NoNewPrivs|CapEff' /proc/self/status", vec![]).await;
    assert!(record.log().contains("NoNewPrivs:\t1"), "{}", record.log());
    let record = bench
        .good(
            "mount -t tmpfs none /mnt 2>/dev/null && echo mounted; mknod /tmp/d c 1 1 2>/dev/null && cat /tmp/d; true",
            vec![],
        )
        .await;
    assert_eq!(record.log(), "");
}

async fn the_agent_is_out_of_reach(bench: &mut Bench<'_>) {
    let script = "kill -9 1; kill -TERM 1; cat /proc/1/mem; ls /proc/1/fd; echo x > /proc/1/fd/1; true";
    bench
        .good(&format!("{{ {script}; }} >/tmp/seen 2>/dev/null; [ -s /tmp/seen ] && cat /tmp/seen; true"), vec![])
        .await;
    let record = bench.good("[ -r /proc/1/fd/1 ] && echo reachable; echo still here", vec![]).await;
    assert_eq!(record.log(), "still here\n");
}

async fn without_a_network_nothing_answers(subject: &Subject<'_>) {
    let spec = SandboxSpec { network: Network::None, ..subject.spec() };
    let mut bench = subject.bench_with(spec, MemoryFiles::default()).await;
    let record = bench.good("tail -n +3 /proc/net/dev | cut -d: -f1; tail -n +2 /proc/net/route", vec![]).await;
    if record.log().trim() != "lo" {
        // More than the loopback device, or a route: then there must be no way to use them.
        let record = bench.good("ifconfig lo 2>&1; true", vec![]).await;
        assert!(record.log().contains("Address family not supported"), "{}", record.log());
    }
    bench.close().await;
}
