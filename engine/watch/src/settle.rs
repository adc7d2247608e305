//! Which files have settled, and so may be committed. Pure: looks, events and the time come from outside.
//!
//! A path is *pending* from the moment it is seen to differ from what was committed. It settles when it was not seen to change for the
//! settle time, and nobody is known to have it open for writing. Seeing a path with the same stamp again proves nothing by itself and
//! changes nothing; another stamp, or an event, starts the time anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use repos::files::Stamp;
use specs::FilePath;

/// Paths settle together if they do so within one part in this many of the settle time.
const TOGETHER: u32 = 4;

/// The paths of a map below a directory.
pub(crate) fn below<'m, V>(
    map: &'m BTreeMap<FilePath, V>,
    folder: &FilePath,
) -> impl Iterator<Item = &'m FilePath> + use<'m, V> {
    let prefix = folder.as_prefix();
    // A space is the least that a name can begin with. If that is too long for a path, nothing is below.
    let first = FilePath::from_bytes(format!("{prefix} ").as_bytes()).unwrap_or_else(|_| folder.clone());
    let range = map.range(first..).map(|(path, _)| path);
    range.take_while(move |path| path.as_str().starts_with(&prefix))
}

/// What shows that a file changed.
pub(crate) trait Seen: Copy + PartialEq {
    /// Whether both are of the same file, not of two that have had the same path.
    fn is_same_file(&self, other: &Self) -> bool;
}

impl Seen for Stamp {
    fn is_same_file(&self, other: &Self) -> bool {
        self.file_id() == other.file_id()
    }
}

/// How long a file that somebody was heard to write to may be silent before it is asked who has it open. The kernel tells of a close under one
/// of the file's names, which may be another one by then.
const SILENT: Duration = Duration::from_mins(1);

/// Paths that wait to settle.
#[derive(Debug)]
pub(crate) struct Settling<S> {
    settle: Duration,
    pending: BTreeMap<FilePath, Pending<S>>,
    /// No path settles before this time; `None` if none waits.
    next: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Pending<S> {
    /// `None` for a path that is gone.
    stamp: Option<S>,
    /// When it was last seen to change.
    since: Instant,
    writing: Writing,
}

impl<S> Pending<S> {
    /// When it settles, if it does not change any more.
    fn settles(&self, settle: Duration) -> Instant {
        let is_open = self.writing == Writing::Open && self.stamp.is_some();
        self.since + if is_open { settle.max(SILENT) } else { settle }
    }
}

/// What is known of writers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Nothing: it has to be found out.
    Unknown,
    /// Somebody wrote and has not closed it.
    Open,
    /// It was closed after the last write.
    Closed,
}

/// A path that has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled<S> {
    /// As it was seen; `None` if it is gone.
    pub(crate) stamp: Option<S>,
}

impl<S: Seen> Settling<S> {
    pub(crate) fn new(settle: Duration) -> Self {
        Self { settle, pending: BTreeMap::new(), next: None }
    }

    /// A look found the path like this. `since`: when it changed at the latest.
    pub(crate) fn see(&mut self, path: FilePath, stamp: Option<S>, since: Instant) {
        let known = self.pending.get(&path);
        if known.is_some_and(|known| known.stamp == stamp) {
            return;
        }
        // What was heard of a file does not hold for another one at its path, nor a close for what was written since.
        let is_open = known.is_some_and(|known| match (&known.stamp, &stamp) {
            (Some(before), Some(now)) => known.writing == Writing::Open && before.is_same_file(now),
            _ => false,
        });
        let writing = if is_open { Writing::Open } else { Writing::Unknown };
        self.put(path, Pending { stamp, since, writing });
    }

    /// An event told that the path was written to, or closed. Does nothing for a path that is not pending.
    pub(crate) fn hear(&mut self, path: &FilePath, writing: Writing, at: Instant) {
        if let Some(known) = self.pending.get(path).copied() {
            self.put(path.clone(), Pending { since: at.max(known.since), writing, ..known });
        }
    }

    /// Whoever wrote may still do so: the settle time begins again.
    pub(crate) fn put_off(&mut self, path: &FilePath, now: Instant) {
        if let Some(known) = self.pending.get(path).copied() {
            self.put(path.clone(), Pending { since: now, ..known });
        }
    }

    fn put(&mut self, path: FilePath, known: Pending<S>) {
        let settles = known.settles(self.settle);
        self.next = Some(self.next.map_or(settles, |next| next.min(settles)));
        self.pending.insert(path, known);
    }

    /// Events may have been lost: nothing is known any more of the writers of files that last changed before this time.
    pub(crate) fn forget_writers(&mut self, before: Option<Instant>) {
        let old = self.pending.values_mut().filter(|known| before.is_some_and(|before| known.since <= before));
        old.for_each(|known| known.writing = Writing::Unknown);
        self.find_next();
    }

    /// The path is committed, or of no interest any more.
    pub(crate) fn remove(&mut self, path: &FilePath) {
        self.pending.remove(path);
    }

    /// Whether a path waits.
    pub(crate) fn has(&self, path: &FilePath) -> bool {
        self.pending.contains_key(path)
    }

    /// Whether a path waits to be removed.
    pub(crate) fn is_going(&self, path: &FilePath) -> bool {
        self.pending.get(path).is_some_and(|known| known.stamp.is_none())
    }

    /// The paths that wait, with what was seen of them.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&FilePath, Option<&S>)> {
        self.pending.iter().map(|(path, known)| (path, known.stamp.as_ref()))
    }

    /// The paths that wait below a directory.
    pub(crate) fn below<'m>(&'m self, folder: &FilePath) -> impl Iterator<Item = &'m FilePath> + use<'m, S> {
        below(&self.pending, folder)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The paths that have settled, in order. Those that settle shortly after the first one are waited for.
    pub(crate) fn settled(&mut self, now: Instant) -> BTreeMap<FilePath, Settled<S>> {
        self.find_next();
        let Some(first) = self.next.filter(|next| *next <= now) else { return BTreeMap::new() };
        let last = first + self.settle / TOGETHER;
        let due = self.pending.values().map(|known| known.settles(self.settle)).filter(|due| *due <= last);
        if let Some(later) = due.max().filter(|due| *due > now) {
            self.next = Some(later);
            return BTreeMap::new();
        }
        let is_due = |known: &Pending<S>| known.settles(self.settle) <= now;
        let due = self.pending.iter().filter(|(_, known)| is_due(known));
        due.map(|(path, known)| (path.clone(), Settled { stamp: known.stamp })).collect()
    }

    /// No path settles before this time, unless something changes; `None` if none waits.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    fn find_next(&mut self) {
        self.next = self.pending.values().map(|known| known.settles(self.settle)).min();
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    impl Seen for u32 {
        fn is_same_file(&self, other: &Self) -> bool {
            self / 100 == other / 100
        }
    }

    const SETTLE: Duration = Duration::from_secs(2);

    fn path(name: &str) -> FilePath {
        name.parse().unwrap()
    }

    fn names(settling: &mut Settling<u32>, now: Instant) -> Vec<String> {
        settling.settled(now).into_keys().map(|path| path.to_string()).collect()
    }

    #[test]
    fn a_file_settles_after_the_time_without_a_change() {
        let (start, mut settling) = (Instant::now(), Settling::new(SETTLE));
        settling.see(path("/a"), Some(1), start);
        settling.see(path("/a"), Some(1), start + Duration::from_secs(1));
        assert_eq!(names(&mut settling, start + (SETTLE.saturating_sub(Duration::from_millis(1)))), [""; 0]);
        assert_eq!(names(&mut settling, start + SETTLE), ["/a"]);
        settling.see(path("/a"), Some(2), start + SETTLE);
        assert_eq!(names(&mut settling, start + SETTLE), [""; 0], "another stamp begins anew");
        assert_eq!(settling.next(), Some(start + 2 * SETTLE));
    }

    #[test]
    fn files_that_settle_shortly_one_after_another_are_taken_together() {
        let (start, mut settling) = (Instant::now(), Settling::new(SETTLE));
        let after = |parts: u32| start + SETTLE / 8 * parts;
        for (name, since) in [("/a", after(0)), ("/b", after(1)), ("/c", after(2)), ("/d", after(3))] {
            settling.see(path(name), Some(1), since);
        }
        assert_eq!(names(&mut settling, start + SETTLE), [""; 0], "others follow");
        assert_eq!(settling.next(), Some(after(10)));
        assert_eq!(names(&mut settling, after(10)), ["/a", "/b", "/c"], "but this is long enough");
    }

    #[test]
    fn an_open_file_waits_for_its_close_and_without_one_is_asked_about_in_the_end() {
        let (start, mut settling) = (Instant::now(), Settling::new(SETTLE));
        settling.see(path("/a"), Some(1), start);
        settling.hear(&path("/a"), Writing::Open, start);
        assert_eq!(names(&mut settling, start + 10 * SETTLE), [""; 0]);
        settling.hear(&path("/a"), Writing::Closed, start + 10 * SETTLE);
        assert_eq!(names(&mut settling, start + 10 * SETTLE), [""; 0]);
        assert_eq!(names(&mut settling, start + 11 * SETTLE), ["/a"]);
        settling.hear(&path("/a"), Writing::Open, start + 11 * SETTLE);
        assert_eq!(names(&mut settling, start + 12 * SETTLE), [""; 0]);
        assert_eq!(names(&mut settling, start + 11 * SETTLE + SILENT), ["/a"], "the kernel may never report its close");
    }

    #[test]
    fn an_open_file_that_is_gone_does_not_wait() {
        let (start, mut settling) = (Instant::now(), Settling::<u32>::new(SETTLE));
        settling.see(path("/a"), Some(1), start);
        settling.hear(&path("/a"), Writing::Open, start);
        settling.see(path("/a"), None, start);
        assert_eq!(settling.settled(start + SETTLE)[&path("/a")].stamp, None);
    }

    #[test]
    fn nothing_is_known_of_the_writer_of_another_file_with_the_same_path() {
        let (start, mut settling) = (Instant::now(), Settling::new(SETTLE));
        settling.see(path("/a"), Some(1), start);
        settling.hear(&path("/a"), Writing::Open, start);
        settling.see(path("/a"), Some(2), start);
        assert_eq!(names(&mut settling, start + 2 * SETTLE), [""; 0], "the same file, which is still open");
        settling.see(path("/a"), Some(101), start);
        assert_eq!(settling.next(), Some(start + SETTLE));
    }

    #[test]
    fn lost_events_leave_nobody_waiting_for_ever() {
        let (start, mut settling) = (Instant::now(), Settling::new(SETTLE));
        settling.see(path("/a"), Some(1), start);
        settling.hear(&path("/a"), Writing::Open, start);
        settling.forget_writers(start.checked_sub(SETTLE));
        assert_eq!(settling.next(), Some(start + SILENT));
        settling.forget_writers(Some(start));
        assert_eq!(names(&mut settling, start + SETTLE), ["/a"], "it has to be found out");
    }

    /// What happens to a file, after this many milliseconds.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Write(u64),
        Close(u64),
        Look(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let time = 0_u64..4_000;
        prop_oneof![time.clone().prop_map(Step::Write), time.clone().prop_map(Step::Close), time.prop_map(Step::Look)]
    }

    proptest! {
        #[test]
        fn no_file_settles_while_it_is_open_or_just_changed(steps in vec(step(), 1..60)) {
            let (mut now, file) = (Instant::now(), path("/a"));
            let (mut settling, mut stamp, mut is_open, mut changed) = (Settling::new(SETTLE), 0, false, now);
            settling.see(file.clone(), Some(stamp), now);
            for step in steps {
                let (Step::Write(wait) | Step::Close(wait) | Step::Look(wait)) = step;
                now += Duration::from_millis(wait);
                match step {
                    Step::Write(_) => {
                        (stamp, is_open, changed) = (stamp + 1, true, now);
                        settling.hear(&file, Writing::Open, now);
                    }
                    Step::Close(_) if is_open => {
                        (is_open, changed) = (false, now);
                        settling.hear(&file, Writing::Closed, now);
                    }
                    Step::Close(_) => {}
                    Step::Look(_) => settling.see(file.clone(), Some(stamp), now),
                }
                let is_due = settling.settled(now).contains_key(&file);
                let silent = now - changed;
                prop_assert!(!(is_due && (silent < SETTLE || is_open && silent < SILENT)));
            }
            now += SETTLE;
            settling.see(file.clone(), Some(stamp), now);
            settling.hear(&file, Writing::Closed, now);
            prop_assert!(settling.settled(now + SETTLE).contains_key(&file), "every file settles in the end");
        }
    }
}
