//! Shows long output on a terminal page by page, as git does.
//!
//! `PV_PAGER` names the pager, else `PAGER`; the default is `less`, which exits if everything fits on the screen (`-F`), keeps colours
//! (`-R`) and leaves the text on the screen (`-X`). An empty name or `cat` means none. Errors and hints go through it too, which keeps
//! their order.
//! The process that prints, possibly the owner of the store, learns the size of the terminal from `PV_PAGED`.

use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::SigSet;

use super::screen;
use crate::invocation::{Environment, Invocation};

/// The variable with the size of the terminal behind a pager: `80x24`.
const PAGED: &str = "PV_PAGED";
/// Options for `less` if the user sets none.
const LESS: &str = "FRX";

/// The width of the terminal behind a pager, if this environment is that of a command that prints to one.
pub(super) fn columns(env: &Environment) -> Option<usize> {
    env.get(PAGED)?.split_once('x')?.0.parse().ok()
}

/// A running pager. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pager {
    child: Arc<Mutex<Option<Child>>>,
}

impl Pager {
    /// Puts a pager between a command and its terminal. Does nothing without a terminal or a pager.
    pub(crate) fn start(&self, invocation: &mut Invocation) {
        if let Some((child, to_stdout, to_stderr)) = started(invocation) {
            invocation.streams.stdout = to_stdout;
            if let Some(to_stderr) = to_stderr {
                invocation.streams.stderr = to_stderr;
            }
            *self.child() = Some(child);
        }
    }

    /// Waits until the user leaves the pager. Every writer to the pager must be gone by then.
    pub(crate) fn end(&self) {
        let mut child = self.child();
        if let Some(mut pager) = child.take() {
            // If waiting fails, the pager is gone.
            pager.wait().ok();
        }
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The pager, its input for stdout, and for stderr if that is a terminal too.
fn started(invocation: &mut Invocation) -> Option<(Child, File, Option<File>)> {
    let (columns, rows) = screen::size(&invocation.streams.stdout)?;
    let mut command = command(&invocation.env)?;
    let (read, write) = std::io::pipe().ok()?;
    let file = |write: PipeWriter| File::from(OwnedFd::from(write));
    let to_stderr =
        rustix::termios::isatty(&invocation.streams.stderr).then(|| write.try_clone().map(file)).transpose().ok()?;
    command.stdin(Stdio::from(OwnedFd::from(read)));
    // Spawned in a separate thread with all signals unblocked: a child inherits its thread's signal mask, and a pager needs Ctrl-C.
    let spawn = || {
        SigSet::all().thread_unblock().ok();
        command.spawn().ok()
    };
    let child = std::thread::scope(|scope| scope.spawn(spawn).join().ok())??;
    invocation.env.set(PAGED, &format!("{columns}x{rows}"));
    Some((child, file(write), to_stderr))
}

/// The pager's command; `None` for no pager.
fn command(env: &Environment) -> Option<Command> {
    if env.get("TERM").is_none_or(|kind| kind == "dumb") {
        return None;
    }
    let mut command = match env.raw("PV_PAGER").or_else(|| env.raw("PAGER")) {
        Some(words) if words.trim().is_empty() || words.trim() == "cat" => return None,
        Some(words) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", words]);
            shell
        }
        None => Command::new("less"),
    };
    for (name, value) in [("LESS", LESS), ("LV", "-c")] {
        if env.raw(name).is_none() {
            command.env(name, value);
        }
    }
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(variables: &[(&str, &str)]) -> Option<String> {
        let env = Environment::new(variables.iter().map(|(name, value)| (name.into(), value.into())));
        let command = command(&env)?;
        let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
        let set: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some(format!("{}={}", name.display(), value?.display())))
            .collect();
        Some(format!("{} {}", words.join(" ".as_ref()).display(), set.join(" ")))
    }

    #[test]
    fn the_pager_is_the_one_that_the_environment_names() {
        let xterm = ("TERM", "xterm");
        assert_eq!(called(&[xterm]).as_deref(), Some("less LESS=FRX LV=-c"));
        assert_eq!(called(&[xterm, ("LESS", "S")]).as_deref(), Some("less LV=-c"));
        assert_eq!(called(&[xterm, ("PAGER", "more")]).as_deref(), Some("sh -c more LESS=FRX LV=-c"));
        assert_eq!(
            called(&[xterm, ("PAGER", "more"), ("PV_PAGER", "less -S")]).as_deref(),
            Some("sh -c less -S LESS=FRX LV=-c")
        );
        for none in [
            [xterm, ("PV_PAGER", "")],
            [xterm, ("PV_PAGER", "cat")],
            [xterm, ("PAGER", " ")],
            [("TERM", "dumb"), ("PAGER", "more")],
        ] {
            assert_eq!(called(&none), None, "{none:?}");
        }
        assert_eq!(called(&[("PV_PAGER", "less")]), None, "a terminal of unknown kind");
    }

    #[test]
    fn whoever_prints_to_a_pager_knows_the_width_of_the_terminal() {
        let env = |value: &str| Environment::new([(PAGED.into(), value.into())]);
        assert_eq!(
            [columns(&env("100x24")), columns(&env("wide")), columns(&Environment::default())],
            [Some(100), None, None]
        );
    }
}
