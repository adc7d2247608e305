//! `pv key trust`

use serde_json::json;
use specs::Digest;

use crate::context::Context;
use crate::error::{CliError, Result};

/// Minimum number of hex digits of a prefix.
const LEAST_DIGITS: usize = 8;

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
    let known = store.signing_keys()?;
    let wanted = args.fingerprint.to_ascii_lowercase();
    if wanted.len() < LEAST_DIGITS {
        return Err(CliError::usage("a fingerprint needs at least 8 digits", "pv key show lists the keys"));
    }
    let fits: Vec<Digest> =
        known.iter().map(|(key, _)| *key).filter(|key| key.to_string().starts_with(&wanted)).collect();
    let [key] = fits[..] else {
        let kind = if fits.is_empty() { specs::ErrorKind::NotFound } else { specs::ErrorKind::Usage };
        let what = if fits.is_empty() { "the journal has no key that begins with" } else { "several keys begin with" };
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
    cx.notes().line(if is_new { "trusted; everything that it signed now counts" } else { "already trusted" });
    Ok(())
}
