//! Which server a command uses, and the tokens that `pv login` keeps.
//!
//! Only `--server` and `PV_SERVER` choose a server, in this order; a folder with a store never counts less because a token was kept. The
//! file `$XDG_CONFIG_HOME/pv/servers` has a line `URL TOKEN` for each login, with mode 0600; the last one is the newest.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(crate) use dial::Server;

use crate::error::{CliError, Result};
use crate::flags::Flags;
use crate::invocation::Environment;

/// The server that flags and variables name; `None` if neither does, or if `--store` names a store.
pub(crate) fn chosen(flags: &Flags, env: &Environment) -> Result<Option<Server>> {
    let given = match (&flags.server, &flags.store) {
        (Some(_), Some(_)) => {
            return Err(CliError::usage("--server and --store exclude each other", "name one of them"));
        }
        (Some(url), None) => url,
        (None, Some(_)) => return Ok(None),
        (None, None) => match env.get("PV_SERVER") {
            Some(url) => url,
            None => return Ok(None),
        },
    };
    known(given, flags.insecure, env).map(Some)
}

/// The server at a URL, with the token of `PV_TOKEN`, else the one that was kept for it.
pub(crate) fn known(given: &str, insecure: bool, env: &Environment) -> Result<Server> {
    let server = Server::at(given, insecure)?;
    let kept = || Kept::of(env).and_then(|kept| kept.token(&server.place));
    let token = env.get("PV_TOKEN").map(str::trim).map(str::to_owned).or_else(kept).unwrap_or_default();
    let server = server.with_token(token);
    Ok(match authorities(env)? {
        Some((file, pem)) => server.trusting(file, pem),
        None => server,
    })
}

fn authorities(env: &Environment) -> Result<Option<(String, Vec<u8>)>> {
    let Some(file) = env.get("PV_CA") else { return Ok(None) };
    let text = std::fs::read(file).map_err(|error| CliError::io(format!("PV_CA: cannot read `{file}`"), &error))?;
    Ok(Some((file.to_owned(), text)))
}

/// The file with kept tokens.
pub(crate) struct Kept {
    file: PathBuf,
}

impl Kept {
    /// The file of this user; `None` without a home.
    pub(crate) fn of(env: &Environment) -> Option<Self> {
        let home = || env.get("HOME").map(|home| PathBuf::from(home).join(".config"));
        let config = env.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)?;
        Some(Self { file: config.join("pv/servers") })
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// All URLs with their tokens, the newest last.
    fn lines(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(url, token)| (url.to_owned(), token.trim().to_owned())).collect()
    }

    fn token(&self, place: &str) -> Option<String> {
        self.lines().into_iter().rev().find(|(url, _)| url == place).map(|(_, token)| token)
    }

    /// The URLs, the newest last.
    pub(crate) fn places(&self) -> Vec<String> {
        self.lines().into_iter().map(|(url, _)| url).collect()
    }

    /// Keeps the token of a server.
    pub(crate) fn keep(&self, server: &Server) -> Result<()> {
        let mut lines = self.lines();
        lines.retain(|(url, _)| *url != server.place);
        lines.push((server.place.clone(), server.token().to_owned()));
        self.write(&lines)
    }

    /// Forgets a server; false if it is not known.
    pub(crate) fn forget(&self, place: &str) -> Result<bool> {
        let mut lines = self.lines();
        let before = lines.len();
        lines.retain(|(url, _)| url != place);
        if lines.len() == before {
            return Ok(false);
        }
        self.write(&lines).map(|()| true)
    }

    /// Replaces the file: no reader sees a part of it, and nobody else can read it at any time.
    fn write(&self, lines: &[(String, String)]) -> Result<()> {
        let text: String = lines.iter().flat_map(|(url, token)| [url.as_str(), " ", token.as_str(), "\n"]).collect();
        let part = self.file.with_extension(format!("{}.part", repos::random_hex()));
        let written = (|| {
            if let Some(folder) = self.file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &self.file)
        })();
        if written.is_err() {
            // It may not exist.
            std::fs::remove_file(&part).ok();
        }
        written.map_err(|error| CliError::io(format!("cannot write `{}`", self.file.display()), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn flags(server: Option<&str>, store: Option<&str>) -> Flags {
        Flags { server: server.map(str::to_owned), store: store.map(PathBuf::from), ..Flags::default() }
    }

    #[test]
    fn only_a_flag_or_a_variable_chooses_a_server() {
        let chosen = |flags, env| chosen(&flags, &env).map(|server| server.map(|server| server.place));
        let variable = [("PV_SERVER", "https://two.org/pv/")];
        assert_eq!(chosen(flags(None, None), env(&[])).unwrap(), None);
        assert_eq!(chosen(flags(None, None), env(&variable)).unwrap().as_deref(), Some("https://two.org/pv"));
        let flag = Some("https://one.org");
        assert_eq!(chosen(flags(flag, None), env(&variable)).unwrap().as_deref(), flag);
        assert_eq!(chosen(flags(None, Some("x")), env(&variable)).unwrap(), None);
        assert!(chosen(flags(flag, Some("x")), env(&[])).is_err());
    }

    #[test]
    fn a_token_is_kept_by_url_and_for_its_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let env = env(&[("HOME", home.path().to_str().unwrap())]);
        let kept = Kept::of(&env).unwrap();
        let at = |url: &str| known(url, false, &env).unwrap();
        for (url, token) in [("https://a.org", "pv_1"), ("https://b.org/x", "pv_2"), ("https://a.org/", "pv_3")] {
            kept.keep(&at(url).with_token(token.to_owned())).unwrap();
        }
        assert_eq!(
            ["https://a.org", "https://b.org/x/", "https://c.org"].map(|url| at(url).token().to_owned()),
            ["pv_3", "pv_2", ""]
        );
        assert_eq!(kept.places(), ["https://b.org/x", "https://a.org"]);
        let mode = std::fs::metadata(&kept.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(kept.forget("https://a.org").unwrap() && !kept.forget("https://a.org").unwrap());
        assert_eq!(at("https://a.org").token(), "");
        assert!(!format!("{:?}", at("https://b.org/x")).contains("pv_2"));
    }
}
