//! Which files somebody has open for writing, as far as this process may know.
//!
//! `/proc/PID/fd` shows the files of processes of the same user, and of all for root; `flags` in `/proc/PID/fdinfo` says how they are open.
//! A process of somebody else, on another machine, or one that has only a mapping left, is not seen.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device and inode.
pub(crate) type FileId = (u64, u64);

/// The files among `of` that are open for writing.
pub(crate) fn open_for_writing(of: &HashSet<FileId>) -> HashSet<FileId> {
    let mut open = HashSet::new();
    if of.is_empty() {
        return open;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    for process in processes.filter(|entry| is_process(&entry.file_name())) {
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        for file in files {
            // Follows the link: the file itself.
            let Ok(data) = fs::metadata(file.path()) else { continue };
            let id = (data.dev(), data.ino());
            if of.contains(&id) && is_writable(&process.path().join("fdinfo").join(file.file_name())) {
                open.insert(id);
            }
        }
    }
    open
}

/// Whether a descriptor can be written to; if that cannot be read, it may be.
fn is_writable(info: &Path) -> bool {
    const ACCESS_MODE: u32 = 0o3;
    let Ok(text) = fs::read_to_string(info) else { return true };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_none_or(|flags| flags & ACCESS_MODE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(path: &Path) -> FileId {
        let data = fs::metadata(path).unwrap();
        (data.dev(), data.ino())
    }

    #[test]
    fn only_files_open_for_writing_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["read", "written", "closed"].map(|name| folder.path().join(name));
        for path in &paths {
            fs::write(path, "x").unwrap();
        }
        let _read = fs::File::open(&paths[0]).unwrap();
        let _written = fs::OpenOptions::new().append(true).open(&paths[1]).unwrap();
        let ids: HashSet<FileId> = paths.iter().map(|path| id(path)).collect();
        assert_eq!(open_for_writing(&ids), HashSet::from([id(&paths[1])]));
        assert_eq!(open_for_writing(&HashSet::new()), HashSet::new());
    }
}
