//! How far a long operation has come: a bar on a terminal, elsewhere a line at most every ten seconds.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::{Notes, Sink, count, shown, size};

/// Time between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows progress until it is dropped. May be told from several threads.
#[derive(Debug)]
pub(crate) struct Progress {
    verb: &'static str,
    how: How,
}

#[derive(Debug)]
enum How {
    Silent,
    Bar(ProgressBar),
    Lines { notes: Notes, last: Mutex<Instant> },
}

impl Progress {
    pub(crate) fn new(notes: &Notes, verb: &'static str) -> Self {
        let notes = notes.another();
        let how = match notes.width {
            _ if notes.quiet => How::Silent,
            Some(width) => How::Bar(bar(notes, width, verb)),
            None => How::Lines { notes, last: Mutex::new(Instant::now()) },
        };
        Self { verb, how }
    }

    /// So many of a sort of things are done, of so many in all (0 when that is not known).
    pub(crate) fn count(&self, what: &str, done: u64, total: u64) {
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => {
                bar.set_length(total.max(done));
                bar.set_position(done);
                bar.set_message(shown(&format!("{what} {}", count(done)), true).into_owned());
            }
            How::Lines { notes, last } => {
                if is_time(last) {
                    let of = if total > 0 { format!(" of {}", count(total)) } else { String::new() };
                    notes.line(format!("{} {what}: {}{of}", self.verb, count(done)));
                }
            }
        }
    }

    /// So many bytes of something are done, of so many in all (0 when that is not known).
    pub(crate) fn bytes(&self, what: &str, bytes: u64, total_bytes: u64) {
        self.say(bytes, total_bytes, || what.to_owned());
    }

    /// So many files and bytes are done, of so many bytes in all (0 when that is not known).
    pub(crate) fn update(&self, files: u64, bytes: u64, total_bytes: u64) {
        self.say(bytes, total_bytes, || format!("{} files", count(files)));
    }

    /// Words are made only when they are shown: this is called for every one of very many files.
    fn say(&self, bytes: u64, total_bytes: u64, what: impl Fn() -> String) {
        let of = || if total_bytes > 0 { format!(" of {}", size(total_bytes)) } else { String::new() };
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => {
                bar.set_length(total_bytes.max(bytes));
                bar.set_position(bytes);
                bar.set_message(shown(&format!("{}  {}{}", what(), size(bytes), of()), true).into_owned());
            }
            How::Lines { notes, last } => {
                if is_time(last) {
                    notes.line(format!("{} {}, {}{}", self.verb, what(), size(bytes), of()));
                }
            }
        }
    }
}

/// Whether the last line was long enough ago.
fn is_time(last: &Mutex<Instant>) -> bool {
    let mut last = last.lock().expect("no panic under this lock");
    let is_time = last.elapsed() >= BETWEEN_LINES;
    if is_time {
        *last = Instant::now();
    }
    is_time
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}

fn bar(notes: Notes, width: u16, verb: &'static str) -> ProgressBar {
    let left = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        if state.pos() > 0 {
            write!(text, "{:#} left", indicatif::HumanDuration(state.eta())).ok();
        }
    };
    let style = ProgressStyle::with_template("{prefix} {msg}  {bar:20} {left}")
        .expect("the template is a constant that a test renders")
        .progress_chars("━╸─")
        .with_key("left", left);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal { stderr: notes.stderr, width }), 10);
    ProgressBar::with_draw_target(Some(0), target).with_style(style).with_prefix(verb)
}

/// The terminal behind a context's stderr, which need not be that of this process.
#[derive(Debug)]
struct Terminal {
    stderr: Sink,
    width: u16,
}

impl Terminal {
    #[expect(clippy::unnecessary_wraps, reason = "the trait's methods give a result")]
    fn send(&self, text: &str) -> std::io::Result<()> {
        self.stderr.note(text.as_bytes());
        Ok(())
    }

    fn go(&self, n: usize, direction: char) -> std::io::Result<()> {
        if n == 0 { Ok(()) } else { self.send(&format!("\x1b[{n}{direction}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.width
    }
    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        self.go(n, 'A')
    }
    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        self.go(n, 'B')
    }
    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        self.go(n, 'C')
    }
    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        self.go(n, 'D')
    }
    fn write_line(&self, s: &str) -> std::io::Result<()> {
        self.send(&format!("{s}\n"))
    }
    fn write_str(&self, s: &str) -> std::io::Result<()> {
        self.send(s)
    }
    fn clear_line(&self) -> std::io::Result<()> {
        self.send("\r\x1b[2K")
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Cancel, Client};

    #[test]
    fn a_bar_tells_files_bytes_and_total() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let notes = Notes {
            stderr: Sink::new(file.reopen().unwrap(), Cancel::default(), Client::default()),
            quiet: false,
            color: false,
            width: Some(100),
            cancel: Cancel::default(),
        };
        let progress = Progress::new(&notes, "put");
        progress.update(1200, 5_000_000, 10_000_000);
        let How::Bar(bar) = &progress.how else { panic!("a terminal has a bar") };
        bar.tick();
        std::thread::sleep(Duration::from_millis(150));
        bar.tick();
        let drawn = std::fs::read_to_string(file.path()).unwrap();
        assert!(drawn.contains("put 1,200 files  5.0 MB of 10 MB"), "{drawn}");
    }
}
