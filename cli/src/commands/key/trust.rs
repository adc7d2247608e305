//! `pv key trust`

use answers::key::{TrustedView, key_by_prefix};

use crate::context::Context;
use crate::error::Result;

/// Trust a key: of another machine, or one that replaced a lost key
///
/// Everything that the key signed, before and after, then counts as proven. Run this on the machine that has the store's key, and only for
/// a fingerprint that you got from the key's owner: `pv key show` prints it there.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Fingerprint of the key, or at least its first 8 digits
    fingerprint: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let (key, is_trusted) = key_by_prefix(store, &args.fingerprint)?;
    let is_new = !is_trusted;
    if is_new {
        store.trust_key(&key)?;
    }
    if cx.out().is_json() {
        return cx.out().json(&TrustedView { changed: is_new, fingerprint: key, vouched: true });
    }
    cx.out().line(key.to_string())?;
    cx.notes().line(if is_new { "trusted; everything that it signed now counts" } else { "already trusted" });
    Ok(())
}
