//! `pv key show`

use repos::log::checkpoint::verifier_key;
use repos::{KeyRow, Timestamp};
use serde::Serialize;
use specs::Digest;

use crate::context::Context;
use crate::error::{CliError, Result};

/// Show the public keys and fingerprints that sign commits
///
/// Prints this machine's public key to stdout as PEM, for `pv verify --bundle F --key K` and openssl. Everything else is printed to stderr.
/// The fingerprint is the SHA-256 of the key in DER form. The verifier key is for tools that read signed notes such as those of
/// `pv checkpoint`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// A key as programs read it.
#[derive(Serialize)]
struct KeyView {
    fingerprint: Digest,
    public_key: String,
    /// The form that readers of signed notes take.
    verifier_key: String,
    /// Whether it is the one of this place.
    own: bool,
    since: Timestamp,
    replaced_at: Option<Timestamp>,
    previous: Option<Digest>,
    /// Whether it counts: the store's first key, or one that a key that counts vouches for.
    vouched: bool,
}

pub(crate) fn run(cx: &Context, _: &Args) -> Result<()> {
    let store = cx.store()?;
    let own = store.public_key()?;
    let fingerprint = own.as_ref().map(repos::keys::PublicKey::fingerprint);
    let id = store.id()?;
    let mut keys = store.signing_keys()?;
    keys.sort_by_key(|(_, row)| row.at);
    if cx.out().is_json() {
        return keys.into_iter().try_for_each(|(name, row)| {
            let KeyRow { public_key, previous, at, replaced_at, vouched, .. } = row;
            let (verifier_key, public_key) = (verifier_key(&id, &public_key), public_key.to_pem());
            let own = Some(name) == fingerprint;
            cx.out().json(&KeyView {
                fingerprint: name,
                public_key,
                verifier_key,
                own,
                since: at,
                replaced_at,
                previous,
                vouched,
            })
        });
    }
    let human = cx.human();
    if let Some(own) = &own {
        cx.notes().line(format!("for signed notes   {}", verifier_key(&id, own)));
    }
    for (name, row) in &keys {
        let until = row.replaced_at.map(|at| format!("   replaced {}", human.local(at))).unwrap_or_default();
        let here = if Some(*name) == fingerprint { "   on this machine" } else { "" };
        let doubt = if row.vouched { "" } else { "   not trusted: pv key trust" };
        cx.notes().line(format!("key {name}   since {}{until}{here}{doubt}", human.local(row.at)));
    }
    let Some(own) = own else {
        let hint = "the next commit made here creates one";
        return Err(CliError::new(specs::ErrorKind::NotFound, "this store has no key here yet").hint(hint));
    };
    cx.out().bytes(own.to_pem().as_bytes())
}
