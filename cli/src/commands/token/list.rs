//! `pv token list`

use answers::token::{TokenState, TokenView, tokens};

use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row};

/// List tokens: what each may do, until when, and when it was last used; never the token itself
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Also list revoked and expired ones
    #[arg(long)]
    all: bool,
}

impl Row for TokenView {
    const HEADER: &'static [&'static str] =
        &["TOKEN", "ROLE", "REPOSITORIES", "STATE", "ENDS", "USED", "CREATED", "BY"];
    const GIVES_UP: &'static [&'static str] = &["BY", "CREATED"];

    fn cells(&self, human: &Human) -> Vec<String> {
        let at = |time: Option<repos::Timestamp>| time.map_or_else(|| "never".to_owned(), |time| human.local(time));
        vec![
            self.name.to_string(),
            self.role.to_string(),
            if self.repos.is_empty() { "none".to_owned() } else { self.repos.to_string() },
            word(self.state).to_owned(),
            at(self.revoked_at.or(self.expires_at)),
            at(self.used_at),
            human.local(self.created_at),
            self.created_by.clone(),
        ]
    }
}

fn word(state: TokenState) -> &'static str {
    match state {
        TokenState::Valid => "valid",
        TokenState::EndsSoon => "ends soon",
        TokenState::Expired => "expired",
        TokenState::Revoked => "revoked",
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let tokens = tokens(cx.store()?, args.all)?;
    let soon: Vec<TokenView> = tokens.iter().filter(|one| one.state == TokenState::EndsSoon).cloned().collect();
    cx.list(None, tokens.into_iter().map(Ok))?;
    cx.out().flush()?;
    for one in soon {
        let ends = one.expires_at.map_or_else(String::new, |at| cx.human().local(at));
        cx.notes().line(format!("token `{}` expires {ends}: create a replacement before then", one.name));
    }
    Ok(())
}
