//! Whether the kernel ended processes because the sandbox reached its limit of memory.

use std::fs;

/// Where the count is: control groups of version 2 and of version 1.
const COUNTS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// Processes of this sandbox that the kernel has ended for want of memory; 0 where nothing counts them.
pub(super) fn kills() -> u64 {
    COUNTS.iter().find_map(|path| count(&fs::read_to_string(path).ok()?)).unwrap_or_default()
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Makes a process the first to go when memory runs out, so that it is not the agent.
pub(super) fn offer(process: u32) {
    // Without it the kernel chooses by size, which is right but for a very small limit.
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
