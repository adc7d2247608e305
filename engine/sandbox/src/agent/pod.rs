//! The agent in a pod: how its binary gets there, and how it meets the worker in the container beside it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::{dup2_stdin, dup2_stdout};

use super::serve::{self, EndsBy, SandboxDirs};
use super::{OrStop, Stop, protect};

/// How long the worker may take to listen.
const START_TIME: Duration = Duration::from_mins(5);
const AGAIN: Duration = Duration::from_millis(20);

/// `pv worker install PATH FOLDER…`: copies this program there, complete or not at all, and creates folders of this user.
pub(super) fn install(path: &Path, folders: &[&str]) -> Result<(), Stop> {
    for folder in folders {
        std::fs::create_dir(folder).or_stop(|| format!("create `{folder}`"))?;
    }
    let copied = (|| {
        let part = path.with_extension("part");
        io::copy(&mut std::fs::File::open("/proc/self/exe")?, &mut std::fs::File::create(&part)?)?;
        std::fs::set_permissions(&part, PermissionsExt::from_mode(0o555))?;
        std::fs::rename(&part, path)
    })();
    copied.or_stop(|| format!("copy pv to `{}`", path.display()))
}

/// `pv worker dial SOCKET`: serves the worker that listens there. It alone ends the agent: it is told when the pod ends, and lets the
/// command finish.
pub(super) fn dial(socket: &Path) -> Result<(), Stop> {
    protect()?;
    let worker = connect(socket).or_stop(|| format!("reach the worker at `{}`", socket.display()))?;
    dup2_stdin(&worker).and_then(|()| dup2_stdout(&worker)).or_stop(|| "talk to the worker".to_owned())?;
    drop(worker);
    serve::run(SandboxDirs::of_container()?, EndsBy::EngineAlone)
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(worker) => return Ok(worker),
            Err(error) if begun.elapsed() > START_TIME => return Err(error),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}
