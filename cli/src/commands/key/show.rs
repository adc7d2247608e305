//! `pv key show`

use answers::key::{keys, own_key};

use crate::context::Context;
use crate::error::{CliError, Result};

/// Show the public keys and fingerprints that sign commits
///
/// Prints this machine's public key to stdout as PEM, for `pv verify --bundle F --key K` and openssl. Everything else is printed to stderr.
/// The fingerprint is the SHA-256 of the key in DER form. The verifier key is for tools that read signed notes such as those of
/// `pv checkpoint`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let store = cx.store()?;
    let keys = keys(store)?;
    if cx.out().is_json() {
        return keys.iter().try_for_each(|key| cx.out().json(key));
    }
    let (human, own) = (cx.human(), own_key(store)?);
    if let Some(own) = &own {
        cx.notes().line(format!("for signed notes   {}", own.verifier_key));
    }
    for key in &keys {
        let until = key.replaced_at.map(|at| format!("   replaced {}", human.local(at))).unwrap_or_default();
        let here = if key.own { "   on this machine" } else { "" };
        let doubt = if key.vouched { "" } else { "   not trusted: pv key trust" };
        cx.notes().line(format!("key {}   since {}{until}{here}{doubt}", key.fingerprint, human.local(key.since)));
    }
    let Some(own) = own else {
        let hint = "the next commit made here creates one";
        return Err(CliError::new(specs::ErrorKind::NotFound, "this store has no key here yet").hint(hint));
    };
    cx.out().bytes(own.pem.as_bytes())
}
