//! Files that the engine sends and user code may only read: `/pfs/<input>/…`, and the code if no executor mounts it.
//!
//! They are written through a directory that the command cannot reach, or by another user than the command's. If neither applies (a command
//! that is root in its container), changes show in the file's stamp afterwards.
//!
//! Most tries have the same directories as the previous one, and on some disks creating and removing one costs more than the rest of a try.
//! So untouched directories stay for the next try, which removes those it does not need. The same applies to files that the engine wants
//! kept, such as a model that every datum reads, if they are unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, chmodat, fstat, futimens, linkat, mkdirat, openat, statat,
    unlinkat, utimensat,
};
use specs::FilePath;

use super::clear;
use crate::protocol::FileHeader;

/// Modification time of every input and directory, in seconds since 1970: 1980-01-02 UTC. It is the same in each run, so that results
/// derived from it are too; it is late enough for a ZIP archive; and a write changes it, however coarse the clock of `ctime` is.
pub(crate) const MTIME: u64 = 315_619_200;

/// Longer than a tick of the clock that file systems use; the slowest kernels have 100 a second.
const TICK: Duration = Duration::from_millis(12);

const TIMES: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: MTIME.cast_signed(), tv_nsec: 0 },
    last_modification: Timespec { tv_sec: MTIME.cast_signed(), tv_nsec: 0 },
};

/// Metadata that changes when a file or directory is written, replaced, or gets other permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([i128; 6]);

impl Stamp {
    fn of(stat: &rustix::fs::Stat) -> Self {
        // The widths of these fields differ between architectures; this type holds all of them.
        let modified = [i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)];
        let changed = [i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)];
        Self([i128::from(stat.st_ino), i128::from(stat.st_size), modified[0], modified[1], changed[0], changed[1]])
    }
}

/// A file being received.
struct Growing {
    file: File,
    path: String,
    left: u64,
    keep: bool,
}

/// A file that was laid out.
#[derive(Debug, Clone, Copy)]
struct Laid {
    stamp: Stamp,
    keep: bool,
}

/// The files below one directory.
pub(crate) struct Inputs {
    root: OwnedFd,
    /// The path under which user code sees them, such as `/pfs`.
    shown_as: String,
    /// An entry of `root` that does not belong to the inputs.
    keep: Option<&'static str>,
    /// Directories of this try, with their stamps once sealed. `.` is the root.
    directories: BTreeMap<String, Option<Stamp>>,
    /// Directories of the previous try; they contain nothing but `kept`.
    spare: BTreeSet<String>,
    /// Files of the previous try that may be used again.
    kept: BTreeMap<String, Stamp>,
    files: BTreeMap<String, Laid>,
    growing: Option<Growing>,
    /// When the last file to keep was written.
    kept_since: Option<Instant>,
}

impl Inputs {
    pub(crate) fn new(root: OwnedFd, shown_as: &str, keep: Option<&'static str>) -> Self {
        Self {
            root,
            shown_as: shown_as.to_owned(),
            keep,
            directories: BTreeMap::new(),
            spare: BTreeSet::new(),
            kept: BTreeMap::new(),
            files: BTreeMap::new(),
            growing: None,
            kept_since: None,
        }
    }

    /// The directory that contains them.
    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Starts the next file.
    pub(crate) fn file(&mut self, header: FileHeader, keep: bool) -> io::Result<()> {
        let FileHeader { path, size_bytes, executable } = header;
        self.make_place(&path)?;
        let mode = Mode::from_raw_mode(if executable { 0o555 } else { 0o444 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.root, path.as_str(), flags, mode)?);
        self.growing = Some(Growing { file, path, left: size_bytes, keep });
        self.end_if_complete()
    }

    /// Adds the next file, which is already on this disk without a name; its last `left` bytes are still to come.
    pub(crate) fn adopt(&mut self, header: FileHeader, keep: bool, file: File, left: u64) -> io::Result<()> {
        let path = header.path;
        self.make_place(&path)?;
        // Names an open file: going through `/proc` needs no extra privilege.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, open, &self.root, path.as_str(), AtFlags::SYMLINK_FOLLOW)?;
        self.growing = Some(Growing { file, path, left, keep });
        self.end_if_complete()
    }

    /// Uses a file of the previous try again.
    pub(crate) fn same(&mut self, path: &str) -> io::Result<()> {
        let kept = self.kept.remove(path).filter(|stamp| self.growing.is_none() && self.has_stamp(path, *stamp));
        let stamp = kept.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("`{path}` was not kept")))?;
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.make_directories(directory)?;
        }
        self.files.insert(path.to_owned(), Laid { stamp, keep: true });
        Ok(())
    }

    /// Checks that a path is legal and free, and creates its directories.
    fn make_place(&mut self, path: &str) -> io::Result<()> {
        let legal = format!("/{path}").parse::<FilePath>().is_ok_and(|path| !path.is_root());
        let first = path.split('/').next();
        if self.growing.is_some() || !legal || (first.is_some() && first == self.keep) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` cannot be laid out")));
        }
        self.remove_kept(path)?;
        self.remove_spare(path)?;
        path.rsplit_once('/').map_or(Ok(()), |(directory, _)| self.make_directories(directory))
    }

    /// Removes a kept file with this name, which the try does not use.
    fn remove_kept(&mut self, path: &str) -> io::Result<()> {
        if self.kept.remove(path).is_some() {
            unlinkat(&self.root, path, AtFlags::empty())?;
        }
        Ok(())
    }

    fn make_directories(&mut self, directory: &str) -> io::Result<()> {
        if self.directories.contains_key(directory) {
            return Ok(());
        }
        if let Some((parent, _)) = directory.rsplit_once('/') {
            self.make_directories(parent)?;
        }
        if !self.spare.remove(directory) {
            self.remove_kept(directory)?;
            mkdirat(&self.root, directory, Mode::from_raw_mode(0o755))?;
        }
        self.directories.insert(directory.to_owned(), None);
        Ok(())
    }

    /// Removes the spare directory with this name and those below it.
    fn remove_spare(&mut self, name: &str) -> io::Result<()> {
        if !self.spare.contains(name) {
            return Ok(());
        }
        let below = format!("{name}/");
        let kept: Vec<String> = self.kept.keys().filter(|path| path.starts_with(&below)).cloned().collect();
        kept.iter().try_for_each(|path| self.remove_kept(path))?;
        let gone: Vec<String> =
            self.spare.iter().filter(|path| *path == name || path.starts_with(&below)).cloned().collect();
        // Sorted, so in reverse order deeper paths come first.
        for path in gone.iter().rev() {
            unlinkat(&self.root, path.as_str(), AtFlags::REMOVEDIR)?;
            self.spare.remove(path);
        }
        Ok(())
    }

    /// Adds the next bytes to the current file.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(growing) = &mut self.growing else { return Err(unannounced()) };
        growing.left = growing.left.checked_sub(bytes.len() as u64).ok_or_else(unannounced)?;
        growing.file.write_all(bytes)?;
        self.end_if_complete()
    }

    fn end_if_complete(&mut self) -> io::Result<()> {
        let done = self.growing.take_if(|growing| growing.left == 0);
        let Some(Growing { file, path, keep, .. }) = done else { return Ok(()) };
        futimens(&file, &TIMES)?;
        if keep {
            self.kept_since = Some(Instant::now());
        }
        self.files.insert(path, Laid { stamp: Stamp::of(&fstat(&file)?), keep });
        Ok(())
    }

    /// Finishes the inputs: afterwards nothing can be added to the directories.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        if self.growing.is_some() {
            return Err(unannounced());
        }
        for path in std::mem::take(&mut self.kept).into_keys() {
            unlinkat(&self.root, path.as_str(), AtFlags::empty())?;
        }
        for path in std::mem::take(&mut self.spare).iter().rev() {
            unlinkat(&self.root, path.as_str(), AtFlags::REMOVEDIR)?;
        }
        for directory in self.directories.keys() {
            chmodat(&self.root, directory.as_str(), Mode::from_raw_mode(0o555), AtFlags::empty())?;
        }
        self.directories.insert(".".to_owned(), None);
        for (path, stamp) in &mut self.directories {
            utimensat(&self.root, path.as_str(), &TIMES, AtFlags::SYMLINK_NOFOLLOW)?;
            *stamp = Some(Stamp::of(&statat(&self.root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW)?));
        }
        self.let_time_pass();
        Ok(())
    }

    /// Like [`Self::seal`], if user code sees the files under another path than expected.
    pub(crate) fn seal_as(&mut self, shown_as: &str) -> io::Result<()> {
        shown_as.clone_into(&mut self.shown_as);
        self.seal()
    }

    /// Waits until a change to a kept file would get a different time than its writing, so that no change goes unnoticed.
    fn let_time_pass(&mut self) {
        if let Some(since) = self.kept_since.take() {
            std::thread::sleep(TICK.saturating_sub(since.elapsed()));
        }
    }

    fn has_stamp(&self, path: &str, stamp: Stamp) -> bool {
        statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| Stamp::of(&stat) == stamp)
    }

    /// The first file that has changed since it was laid out, under the path that user code sees.
    pub(crate) fn touched(&self) -> Option<String> {
        let touched = self.files.iter().find(|(path, laid)| !self.has_stamp(path, laid.stamp));
        touched.map(|(path, _)| format!("{}/{path}", self.shown_as))
    }

    /// Whether this is one of the files laid out.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The files below a directory (empty for all), sorted.
    pub(crate) fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let from = self.files.range(prefix.clone()..).map(|(path, _)| path.as_str());
        from.take_while(move |path| path.starts_with(&prefix))
    }

    fn has_untouched_directories(&self) -> bool {
        let has_stamp =
            |(path, stamp): (&String, &Option<Stamp>)| stamp.is_some_and(|stamp| self.has_stamp(path, stamp));
        self.directories.contains_key(".") && self.directories.iter().all(has_stamp)
    }

    /// Whether all files to keep will still be there after `clear`.
    pub(crate) fn keeps_all(&self) -> bool {
        let mut kept = self.files.iter().filter(|(_, laid)| laid.keep).peekable();
        kept.peek().is_none()
            || (self.has_untouched_directories() && kept.all(|(path, laid)| self.has_stamp(path, laid.stamp)))
    }

    /// Removes all files and everything user code added. Only untouched directories stay, with the kept files in them.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let sealed = self.growing.take().is_none();
        let untouched = sealed && self.has_untouched_directories();
        self.kept_since = None;
        let files = std::mem::take(&mut self.files);
        let mut directories = std::mem::take(&mut self.directories);
        directories.remove(".");
        if !untouched {
            self.kept.clear();
            self.spare.clear();
            return clear::empty(&self.root, self.keep.as_slice());
        }
        for directory in directories.keys() {
            chmodat(&self.root, directory.as_str(), Mode::from_raw_mode(0o755), AtFlags::empty())?;
        }
        for (path, Laid { stamp, keep }) in files {
            if keep && self.has_stamp(&path, stamp) {
                self.kept.insert(path, stamp);
            } else {
                unlinkat(&self.root, path.as_str(), AtFlags::empty())?;
            }
        }
        self.spare = directories.into_keys().collect();
        Ok(())
    }
}

fn unannounced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a file came with another length than announced")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn header(path: &str, size_bytes: u64) -> FileHeader {
        FileHeader { path: path.into(), size_bytes, executable: false }
    }

    fn laid_out() -> (tempfile::TempDir, Inputs) {
        let root = tempfile::tempdir().unwrap();
        let directory = clear::open_or_make(root.path().to_str().unwrap(), 0o755).unwrap();
        let mut inputs = Inputs::new(directory, "/pfs", Some("out"));
        inputs.file(header("in/a/x", 3), false).unwrap();
        inputs.data(b"ab").unwrap();
        inputs.data(b"c").unwrap();
        inputs.file(header("in/b", 0), false).unwrap();
        inputs.seal().unwrap();
        (root, inputs)
    }

    #[test]
    fn files_come_out_as_sent_and_read_only() {
        let (root, inputs) = laid_out();
        assert_eq!(fs::read(root.path().join("in/a/x")).unwrap(), b"abc");
        assert_eq!(fs::metadata(root.path().join("in/a/x")).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(inputs.touched(), None);
        assert_eq!(inputs.below("in").collect::<Vec<_>>(), ["in/a/x", "in/b"]);
        assert_eq!(inputs.below("in/a").collect::<Vec<_>>(), ["in/a/x"]);
    }

    #[test]
    fn directories_are_used_again_or_removed() {
        let (root, mut inputs) = laid_out();
        inputs.clear().unwrap();
        inputs.file(header("in/c", 0), false).unwrap();
        inputs.seal().unwrap();
        assert_eq!(below(root.path()), ["in", "in/c"]);
        inputs.clear().unwrap();
        inputs.file(header("in", 0), false).unwrap();
        inputs.seal().unwrap();
        assert_eq!(below(root.path()), ["in"]);
    }

    #[test]
    fn what_user_code_put_beside_them_goes() {
        let (root, mut inputs) = laid_out();
        fs::set_permissions(root.path().join("in"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(root.path().join("in/junk"), "").unwrap();
        inputs.clear().unwrap();
        assert_eq!(below(root.path()), Vec::<String>::new());
        inputs.file(header("in/c", 0), false).unwrap();
        inputs.seal().unwrap();
        assert_eq!(below(root.path()), ["in", "in/c"]);
        fs::write(root.path().join("junk"), "").unwrap();
        inputs.clear().unwrap();
        assert_eq!(below(root.path()), Vec::<String>::new());
    }

    fn below(root: &std::path::Path) -> Vec<String> {
        let entries = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name();
        let path = |entry: walkdir::DirEntry| entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        entries.into_iter().map(|entry| path(entry.unwrap())).collect()
    }

    /// A model that the engine wants to keep, and a file that is removed.
    fn with_a_model() -> (tempfile::TempDir, Inputs) {
        let (root, mut inputs) = laid_out();
        inputs.clear().unwrap();
        inputs.file(header("model/large", 3), true).unwrap();
        inputs.data(b"abc").unwrap();
        inputs.file(header("in/a", 0), false).unwrap();
        inputs.seal().unwrap();
        (root, inputs)
    }

    #[test]
    fn a_kept_file_is_the_same_for_the_next_try_or_gone() {
        let (root, mut inputs) = with_a_model();
        assert!(inputs.keeps_all());
        inputs.clear().unwrap();
        inputs.same("model/large").unwrap();
        inputs.file(header("in/b", 0), false).unwrap();
        inputs.seal().unwrap();
        assert_eq!(below(root.path()), ["in", "in/b", "model", "model/large"]);
        assert_eq!((inputs.touched(), inputs.below("model").count()), (None, 1));
        inputs.clear().unwrap();
        inputs.file(header("in/c", 0), false).unwrap();
        inputs.seal().unwrap();
        assert_eq!(below(root.path()), ["in", "in/c"], "who does not want it does not see it");
        inputs.clear().unwrap();
        assert!(inputs.same("model/large").is_err());
    }

    #[test]
    fn a_kept_file_gives_way_to_another() {
        for path in ["model/large", "model", "model/large/below"] {
            let (root, mut inputs) = with_a_model();
            inputs.clear().unwrap();
            inputs.file(header(path, 1), false).unwrap();
            inputs.data(b"x").unwrap();
            inputs.seal().unwrap();
            assert_eq!(fs::read(root.path().join(path)).unwrap(), b"x");
        }
    }

    #[test]
    fn a_kept_file_that_was_changed_is_dropped() {
        for change in [
            |path: &std::path::Path| fs::write(path, "xyz"),
            |path: &std::path::Path| {
                // Restores content and modification time, as if nothing had happened.
                let before = fs::metadata(path).and_then(|data| data.modified()).unwrap();
                fs::write(path, "abc").and_then(|()| fs::File::options().append(true).open(path)?.set_modified(before))
            },
            |path: &std::path::Path| fs::rename(path, path.with_extension("moved")),
        ] {
            let (root, mut inputs) = with_a_model();
            let path = root.path().join("model/large");
            fs::set_permissions(root.path().join("model"), fs::Permissions::from_mode(0o755)).unwrap();
            if !rustix::process::geteuid().is_root() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            }
            change(&path).unwrap();
            assert!(!inputs.keeps_all());
            inputs.clear().unwrap();
            assert!(inputs.same("model/large").is_err());
        }
    }

    #[test]
    fn any_change_of_a_file_shows() {
        for change in [
            |path: &std::path::Path| fs::write(path, "xyz"),
            |path: &std::path::Path| fs::rename(path, path.with_extension("moved")),
            |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)),
        ] {
            let (root, inputs) = laid_out();
            let path = root.path().join("in/a/x");
            fs::set_permissions(root.path().join("in/a"), fs::Permissions::from_mode(0o777)).unwrap();
            // The test may not run as root, so the file is made writable first; that alone is already a change.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o644));
            change(&path).unwrap();
            assert_eq!(inputs.touched().as_deref(), Some("/pfs/in/a/x"));
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let (_root, mut inputs) = laid_out();
        for bad in ["../x", "/x", "out/x", "out", "", "a//b"] {
            assert!(inputs.file(header(bad, 0), false).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let (_root, mut inputs) = laid_out();
        inputs.file(header("in/c", 1), false).unwrap();
        assert!(inputs.data(b"ab").is_err());
        assert!(inputs.seal().is_err());
    }
}
