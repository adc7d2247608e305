//! Which server a command uses, and the tokens that `pv login` keeps.
//!
//! Only `--server` and `PV_SERVER` choose a server, in this order; a folder with a store never counts less because a token was kept. The
//! file `$XDG_CONFIG_HOME/pv/servers` has a line `URL TOKEN` for each login, with mode 0600; the last one is the newest.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use specs::ErrorKind;

use crate::error::{CliError, Result};
use crate::flags::Flags;
use crate::invocation::Environment;

/// A server to use.
#[derive(Clone)]
pub(crate) struct Server {
    /// Ends with `/`.
    pub(super) url: Url,
    /// The URL for people: as it is kept.
    pub(crate) place: String,
    /// Empty if there is none.
    pub(super) token: String,
    /// More certificates to trust: the file's name, and its text.
    pub(super) authorities: Option<(String, Vec<u8>)>,
}

/// The token is omitted.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Server {
    /// The server that flags and variables name; `None` if neither does, or if `--store` names a store.
    pub(crate) fn chosen(flags: &Flags, env: &Environment) -> Result<Option<Self>> {
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
        Self::at(given, flags.insecure, env).map(Some)
    }

    /// The server at a URL, with the token of `PV_TOKEN`, else the one that was kept for it.
    pub(crate) fn at(given: &str, insecure: bool, env: &Environment) -> Result<Self> {
        let url = parse(given, insecure)?;
        let place = url.as_str().trim_end_matches('/').to_owned();
        let kept = || Kept::of(env).and_then(|kept| kept.token(&place));
        let token = env.get("PV_TOKEN").map(str::trim).map(str::to_owned).or_else(kept).unwrap_or_default();
        Ok(Self { url, place, token, authorities: authorities(env)? })
    }

    /// The server of a pod. Whoever set the URL chose whether it is spoken to with TLS.
    pub(crate) fn of_pod(url: &str, token: &str, authority: Option<&str>) -> Result<Self> {
        let url = parse(url, true)?;
        let place = url.as_str().trim_end_matches('/').to_owned();
        let authorities = authority.map(|pem| ("the engine's".to_owned(), pem.as_bytes().to_vec()));
        Ok(Self { url, place, token: token.to_owned(), authorities })
    }

    /// Whether it is on this machine and spoken to without TLS.
    pub(super) fn is_plain_and_here(&self) -> bool {
        self.url.scheme() == "http" && is_loopback(&self.url)
    }

    /// Whether a token is known for it.
    pub(crate) fn has_token(&self) -> bool {
        !self.token.is_empty()
    }

    /// The same server with another token.
    pub(crate) fn with_token(self, token: String) -> Self {
        Self { token, ..self }
    }

    /// The error that a request failed.
    pub(super) fn failed(&self, error: &dyn std::error::Error) -> CliError {
        let hint = "check the URL, and that `pv serve` runs there; PV_CA names a file with more certificates";
        let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
        let innermost = causes.last().unwrap_or_else(|| error.to_string());
        CliError::new(ErrorKind::Unavailable, format!("cannot connect to the server at {}: {innermost}", self.place))
            .hint(hint)
    }

    pub(super) fn silent(&self, wait: Duration) -> CliError {
        let what = format!("the server at {} did not answer within {} s", self.place, wait.as_secs());
        CliError::new(ErrorKind::Unavailable, what).hint("check the URL, and that `pv serve` runs there")
    }
}

/// Parses a URL; refuses one by which the token would travel in clear.
fn parse(given: &str, insecure: bool) -> Result<Url> {
    let usage = |what: String| CliError::usage(what, "write it like `https://HOST` or `https://HOST:PORT`");
    let shown = given.escape_debug();
    let mut url = Url::parse(given).map_err(|error| usage(format!("`{shown}` is not a URL: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err(usage(format!("`{shown}` is not the URL of a server")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(usage("the URL of a server has no user, password, query or fragment".to_owned()));
    }
    if url.scheme() == "http" && !insecure && !is_loopback(&url) {
        let what = format!("`{shown}`: over http the token and all data would be sent in clear");
        return Err(CliError::usage(what, "use https, or --insecure if the network is safe"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
        lines.push((server.place.clone(), server.token.clone()));
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

    fn said(error: CliError) -> String {
        match error {
            CliError::Failure(failure) => failure.message,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn only_a_flag_or_a_variable_chooses_a_server() {
        let chosen = |flags, env| Server::chosen(&flags, &env).map(|server| server.map(|server| server.place));
        let variable = [("PV_SERVER", "https://two.org/pv/")];
        assert_eq!(chosen(flags(None, None), env(&[])).unwrap(), None);
        assert_eq!(chosen(flags(None, None), env(&variable)).unwrap().as_deref(), Some("https://two.org/pv"));
        let flag = Some("https://one.org");
        assert_eq!(chosen(flags(flag, None), env(&variable)).unwrap().as_deref(), flag);
        assert_eq!(chosen(flags(None, Some("x")), env(&variable)).unwrap(), None);
        assert!(chosen(flags(flag, Some("x")), env(&[])).is_err());
    }

    #[test]
    fn a_token_travels_in_clear_only_on_this_machine_or_if_that_is_wanted() {
        for url in ["http://localhost:1", "http://127.0.0.1:8080/", "http://[::1]:1/pv", "https://h.org"] {
            assert!(parse(url, false).is_ok(), "{url}");
        }
        for url in ["http://h.org", "http://10.0.0.1", "http://localhost.h.org", "http://0.0.0.0"] {
            assert!(said(parse(url, false).unwrap_err()).ends_with("would be sent in clear"), "{url}");
            assert!(parse(url, true).is_ok(), "{url}");
        }
        for url in ["h.org", "ftp://h.org", "https://u:p@h.org", "https://h.org?x", "file:///x"] {
            assert!(parse(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn a_token_is_kept_by_url_and_for_its_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let env = env(&[("HOME", home.path().to_str().unwrap())]);
        let kept = Kept::of(&env).unwrap();
        let at = |url: &str| Server::at(url, false, &env).unwrap();
        for (url, token) in [("https://a.org", "pv_1"), ("https://b.org/x", "pv_2"), ("https://a.org/", "pv_3")] {
            kept.keep(&at(url).with_token(token.to_owned())).unwrap();
        }
        assert_eq!(
            [at("https://a.org").token, at("https://b.org/x/").token, at("https://c.org").token],
            ["pv_3", "pv_2", ""]
        );
        assert_eq!(kept.places(), ["https://b.org/x", "https://a.org"]);
        let mode = std::fs::metadata(&kept.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(kept.forget("https://a.org").unwrap() && !kept.forget("https://a.org").unwrap());
        assert_eq!(at("https://a.org").token, "");
        assert!(!format!("{:?}", at("https://b.org/x")).contains("pv_2"));
    }
}
