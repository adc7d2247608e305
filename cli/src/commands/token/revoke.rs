//! `pv token revoke`

use engine::tokens;
use serde_json::json;
use specs::TokenName;

use crate::context::Context;
use crate::error::Result;

/// Revoke a token: it stops working at once
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Token
    name: TokenName,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let name = tokens::revoke(cx.store()?, &args.name)?.name;
    cx.done(
        &format!("token `{name}` is revoked; requests with it are refused from now on"),
        &json!({ "revoked": name }),
    )
}
