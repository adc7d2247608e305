//! `pv key rotate`

use serde_json::json;

use crate::context::Context;
use crate::error::Result;

/// Make a new key take the place of this store's key, and have the old one sign that
///
/// The old private key is gone afterwards. Its public half stays on record, so what it signed can be checked as before.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let (old, new) = cx.store()?.replace_key()?;
    let fingerprint = new.fingerprint();
    if cx.out().is_json() {
        return cx.out().json(&json!({"fingerprint": fingerprint, "previous": old, "public_key": new.to_pem()}));
    }
    cx.out().line(fingerprint.to_string())?;
    cx.notes().line(format!("takes the place of {old}, which signed it; next: pv key show"));
    Ok(())
}
