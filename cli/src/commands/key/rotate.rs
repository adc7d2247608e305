//! `pv key rotate`

use answers::key::rotated_view;

use crate::context::Context;
use crate::error::Result;

/// Replace the store's key by a new one, signed by the old one
///
/// The old private key is deleted. Its public key is kept, so its signatures can still be checked.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let (old, new) = cx.store()?.replace_key()?;
    let fingerprint = new.fingerprint();
    if cx.out().is_json() {
        return cx.out().json(&rotated_view(old, &new));
    }
    cx.out().line(fingerprint.to_string())?;
    cx.notes().line(format!("replaces {old}, which signed it; next: pv key show"));
    Ok(())
}
