//! `pv login` and `pv logout`

use std::io::Read;

use dial::{login_link, token_owner};
use serde_json::json;
use specs::ErrorKind;

use super::whoami::warn_of_end;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::remote::servers::{self, Kept, Server};

/// Most bytes of a token with the white space around it.
const MAX_TOKEN_BYTES: u64 = 4096;

/// Keep a server's token on this machine
///
/// The token is asked for, or read from stdin. It is checked, and then kept in `$XDG_CONFIG_HOME/pv/servers`, which only you can read.
/// Commands use the server with `--server URL` or `PV_SERVER`; `PV_TOKEN` takes precedence over a kept token.
#[derive(clap::Args, Debug)]
pub(crate) struct LoginArgs {
    /// The server's URL: `https://HOST`, or `http://localhost:PORT`
    url: String,
    /// Also use http beyond this machine: the token and all data are sent in clear
    #[arg(long = "insecure", id = "insecure_login")]
    insecure: bool,
    /// Keep nothing; print a link that logs a browser in as this token, once, within 10 minutes
    #[arg(long)]
    link: bool,
}

/// Forget a server's token
#[derive(clap::Args, Debug)]
pub(crate) struct LogoutArgs {
    /// The server's URL [default: `PV_SERVER`, or the only one]
    url: Option<String>,
}

pub(crate) fn login(cx: &Context, args: &LoginArgs) -> Result<()> {
    let server = servers::known(&args.url, args.insecure, cx.env())?;
    if args.link {
        return link(cx, server);
    }
    let kept = kept(cx)?;
    let token = ask(cx, &server.place)?;
    let server = server.with_token(token);
    let who = cx.block_on(async { token_owner(&server).await })??;
    kept.keep(&server)?;
    warn_of_end(cx, who.expires_at);
    cx.done(
        &format!("logged in to {} as {} ({})", server.place, who.name, who.role),
        &json!({"server": server.place, "name": who.name, "role": who.role}),
    )
}

/// Prints a link that logs a browser in, with the token that is known for the server, or one that is asked for.
fn link(cx: &Context, server: Server) -> Result<()> {
    let server = if server.token().is_empty() {
        let token = ask(cx, &server.place)?;
        server.with_token(token)
    } else {
        server
    };
    let link = cx.block_on(async { login_link(&server).await })??;
    let url = format!("{}/{}", server.place, link.path);
    if cx.out().is_json() {
        return cx.out().json(&json!({"server": server.place, "url": url, "expires_at": link.expires_at}));
    }
    cx.notes().line(format!("open this in a browser within {}; it works once", cx.human().until(link.expires_at)));
    cx.out().line(url)
}

pub(crate) fn logout(cx: &Context, args: &LogoutArgs) -> Result<()> {
    let kept = kept(cx)?;
    let places = kept.places();
    let place = match (args.url.as_deref().or_else(|| cx.env().get("PV_SERVER")), places.as_slice()) {
        (Some(url), _) => Server::at(url, true)?.place,
        (None, [only]) => only.clone(),
        (None, []) => {
            return Err(CliError::new(ErrorKind::NotFound, "no server's token is kept here").hint("pv login URL"));
        }
        (None, places) => {
            let hint = format!("pv logout URL, with one of: {}", places.join(", "));
            return Err(CliError::usage("tokens of several servers are kept here", hint));
        }
    };
    if !kept.forget(&place)? {
        let error = CliError::new(ErrorKind::NotFound, format!("no token of {place} is kept here"));
        let known =
            if places.is_empty() { "pv login URL".to_owned() } else { format!("kept are: {}", places.join(", ")) };
        return Err(error.hint(known));
    }
    let words = format!("logged out of {place}; the token itself stays valid: pv token revoke ends it");
    cx.done(&words, &json!({"server": place}))
}

fn kept(cx: &Context) -> Result<Kept> {
    Kept::of(cx.env()).ok_or_else(|| {
        let error = CliError::new(ErrorKind::Conflict, "cannot save tokens: no configuration folder is known");
        error.hint("set HOME or XDG_CONFIG_HOME, or use PV_SERVER and PV_TOKEN")
    })
}

/// Asks for the token on a terminal, without showing what is typed; else reads it from stdin.
fn ask(cx: &Context, place: &str) -> Result<String> {
    let invocation = cx.invocation();
    let text = if invocation.is_interactive() {
        cx.notes().text(&format!("Token for {place}: "));
        let hidden = Hidden::begin(&invocation.streams.stdin);
        let answer = invocation.answer();
        drop(hidden);
        cx.notes().text("\n");
        answer.unwrap_or_default()
    } else {
        let mut bytes = Vec::new();
        let read = invocation.stdin().take(MAX_TOKEN_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| CliError::io("cannot read the token from standard input", &error))?;
        String::from_utf8(bytes).unwrap_or_default()
    };
    let token = text.trim();
    // It becomes a header and a line of a file. Errors never repeat it.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::usage("this is not a token", "a token begins with `pv_`: pv token create prints it"));
    }
    Ok(token.to_owned())
}

/// Hides what is typed, until dropped.
struct Hidden<'a> {
    terminal: &'a std::fs::File,
    before: rustix::termios::Termios,
}

impl<'a> Hidden<'a> {
    fn begin(terminal: &'a std::fs::File) -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(terminal).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &hidden).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // If it fails, the terminal is gone.
        rustix::termios::tcsetattr(self.terminal, rustix::termios::OptionalActions::Flush, &self.before).ok();
    }
}
