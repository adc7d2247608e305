//! `pv key trust`

use serde_json::json;
use specs::Digest;

use crate::context::Context;
use crate::error::{CliError, Result};

/// Hex digits that a prefix has at least.
const LEAST_DIGITS: usize = 8;

/// Vouch for a key that another machine made when it joined the store, or that was made because the store's own was lost
///
/// What that key signed is proven from now on, also what it signed before. Say it where the store's key is, and only of a key whose
/// fingerprint you had from its owner: `pv key show` there prints it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The key's fingerprint, or at least 8 digits of it
    fingerprint: String,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let known = store.signing_keys()?;
    let wanted = args.fingerprint.to_ascii_lowercase();
    if wanted.len() < LEAST_DIGITS {
        return Err(CliError::usage("a fingerprint is given with at least 8 digits", "pv key show lists the keys"));
    }
    let fits: Vec<Digest> =
        known.iter().map(|(key, _)| *key).filter(|key| key.to_string().starts_with(&wanted)).collect();
    let [key] = fits[..] else {
        let kind = if fits.is_empty() { specs::ErrorKind::NotFound } else { specs::ErrorKind::Usage };
        let what = if fits.is_empty() { "the journal does not know a key" } else { "several keys begin with" };
        return Err(CliError::new(kind, format!("{what} {wanted}")).hint("pv key show lists the keys"));
    };
    let is_new = known.iter().any(|(known, row)| *known == key && !row.vouched);
    if is_new {
        store.trust_key(&key)?;
    }
    if cx.out().is_json() {
        return cx.out().json(&json!({"fingerprint": key, "vouched": true, "changed": is_new}));
    }
    cx.out().line(key.to_string())?;
    cx.notes().line(if is_new { "vouched for; what it signed counts" } else { "it counts already" });
    Ok(())
}
