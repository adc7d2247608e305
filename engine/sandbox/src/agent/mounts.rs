//! The mounts in this sandbox.

use std::fs;
use std::io;

/// Kernel file systems, in which a command cannot store files: what it may write there is checked elsewhere.
const KERNEL: [&str; 7] = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs"];

/// A line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The mount point.
    pub(super) at: String,
    /// For example `rw,nosuid`.
    options: String,
    /// For example `overlay`.
    kind: String,
}

/// All mounts, in mount order.
pub(super) fn table() -> io::Result<Vec<Mount>> {
    Ok(fs::read_to_string("/proc/self/mountinfo")?.lines().filter_map(parse).collect())
}

impl Mount {
    /// Whether a command may find a file there that it can change.
    pub(super) fn may_be_written(&self) -> bool {
        let is_covered = self.at.starts_with("/proc/") || self.at.starts_with("/sys/");
        !is_covered && !KERNEL.contains(&self.kind.as_str()) && !self.options.split(',').any(|option| option == "ro")
    }

    /// Whether it is `/dev`, where writing to a file leaves nothing behind.
    pub(super) fn is_of_devices(&self) -> bool {
        self.at == "/dev"
    }
}

fn parse(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ').skip(4);
    let (at, options) = (unescape(fields.next()?), fields.next()?.to_owned());
    let kind = fields.skip_while(|field| *field != "-").nth(1)?.to_owned();
    Some(Mount { at, options, kind })
}

/// The kernel escapes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_place_rights_and_kind() {
        let mount = |line: &str| parse(line).unwrap();
        let root = mount("76 51 0:41 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/a");
        assert_eq!((root.at.as_str(), root.kind.as_str(), root.may_be_written()), ("/", "overlay", true));
        let volume = mount("93 76 254:0 /var/x /my\\040data ro,relatime - ext4 /dev/vda rw,discard");
        assert_eq!((volume.at.as_str(), volume.may_be_written()), ("/my data", false));
        assert!(!mount("57 77 0:45 /null /proc/keys rw,nosuid - tmpfs tmpfs rw").may_be_written());
        assert!(!mount("91 78 0:43 / /dev/mqueue rw,nosuid - mqueue mqueue rw").may_be_written());
        let devices = mount("78 76 0:45 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755");
        assert!(devices.may_be_written() && devices.is_of_devices());
        assert_eq!(parse("broken"), None);
    }
}
