//! A pseudo-terminal for a stream that is a terminal at the client.
//!
//! It changes nothing on the way (the client's own terminal does what terminals do), and only carries output: standard input is a pipe in
//! any case, since only a pipe has an end.

use std::fs::File;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// Both ends of a terminal.
pub(super) struct Terminal {
    /// Where output is read from.
    pub(super) read: File,
    /// The terminal for the command.
    pub(super) write: File,
}

impl Terminal {
    /// A terminal of this size.
    pub(super) fn open((columns, rows): (u16, u16)) -> std::io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let read = openpt(flags)?;
        grantpt(&read)?;
        unlockpt(&read)?;
        let write = ioctl_tiocgptpeer(&read, flags)?;
        let mut settings = tcgetattr(&write)?;
        settings.make_raw();
        tcsetattr(&write, OptionalActions::Now, &settings)?;
        let (read, write) = (File::from(read), File::from(write));
        resize(&read, (columns, rows))?;
        Ok(Self { read, write })
    }
}

/// Changes the size of a terminal.
pub(super) fn resize(terminal: &File, (columns, rows): (u16, u16)) -> std::io::Result<()> {
    Ok(tcsetwinsize(terminal, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 })?)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_terminal_has_its_size_and_passes_bytes_as_they_are() {
        let Terminal { mut read, mut write } = Terminal::open((100, 30)).unwrap();
        assert!(rustix::termios::isatty(&write));
        let size = rustix::termios::tcgetwinsize(&write).unwrap();
        assert_eq!((size.ws_col, size.ws_row), (100, 30));
        write.write_all(b"a\n\x03\x04\t\xff").unwrap();
        let mut found = [0; 7];
        read.read_exact(&mut found[..6]).unwrap();
        assert_eq!(&found[..6], b"a\n\x03\x04\t\xff");
        resize(&read, (50, 20)).unwrap();
        assert_eq!(rustix::termios::tcgetwinsize(&write).unwrap().ws_col, 50);
    }
}
