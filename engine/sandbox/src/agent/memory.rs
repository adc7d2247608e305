//! Whether the kernel killed processes because the sandbox reached its memory limit.

use std::fs;

/// The files with the count: control groups version 2 and version 1.
const COUNTS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// Number of processes in this sandbox that the kernel killed for lack of memory; 0 if nothing counts them.
pub(super) fn kills() -> u64 {
    COUNTS.iter().find_map(|path| count(&fs::read_to_string(path).ok()?)).unwrap_or_default()
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Makes a process the first candidate when memory runs out, so that the agent survives.
pub(super) fn offer(process: u32) {
    // If this fails, the kernel chooses by size, which is right except with a very small limit.
    fs::write(format!("/proc/{process}/oom_score_adj"), "1000").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        assert_eq!(count("low 0\nhigh 0\nmax 71\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(count("oom_kill_disable 0\n"), None);
    }
}
