//! A real terminal, made by `script`.

use std::process::{Command, Stdio};

use crate::TestEnv;

/// Columns and rows of a terminal.
pub type Size = (u16, u16);

/// Whether the program `script` exists.
pub fn has_script() -> bool {
    Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl TestEnv {
    /// A shell line, ready to run on a terminal of this size. `pv` in it is the binary under test, without a pager unless the line names
    /// one.
    ///
    /// # Panics
    /// If the binary cannot be put into the shell's path.
    pub fn on_a_terminal(&self, line: &str, (columns, rows): Size) -> Command {
        let folder = self.dir().join("bin");
        if !folder.exists() {
            std::fs::create_dir(&folder).expect("a folder");
            std::os::unix::fs::symlink(self.binary(), folder.join("pv")).expect("a link");
        }
        let mut shell = Command::new("script");
        shell.args(["-qefc", &format!("stty cols {columns} rows {rows}; {line}"), "/dev/null"]);
        shell.current_dir(self.work()).env_clear().stdin(Stdio::null());
        shell.envs(self.command::<&str>([]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display()));
        shell.envs([("TERM", "xterm"), ("PV_PAGER", "cat"), ("SHELL", "/bin/sh")]);
        shell
    }

    /// What such a line writes to the terminal, byte for byte.
    ///
    /// # Panics
    /// If there is no terminal.
    pub fn terminal_bytes(&self, line: &str, size: Size) -> Vec<u8> {
        self.on_a_terminal(line, size).output().expect("`script` can be called").stdout
    }
}
