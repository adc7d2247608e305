//! `pv checkpoint`

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use repos::Store;
use repos::log::checkpoint::{Checkpoint, verifier_key};
use serde_json::json;
use specs::{Digest, ErrorKind, Reference};

use super::bundle::write;
use super::names::shell_word;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::known::Standing;
use crate::output::plural;

/// Sign what the journal holds now, so that anybody can check later that it only grew
///
/// The checkpoint is a signed note (C2SP tlog-checkpoint): the store's id, how many records the journal has, and the root of a Merkle tree
/// (RFC 6962) over them. Keep it where whoever can write to the store cannot: `pv verify --checkpoint FILE` then shows that nothing was
/// taken back, and a witness can sign it too.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The file to write, such as `store.checkpoint`; else stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show with it that the record of this commit is in the journal: a C2SP tlog-proof, whose extra data is the record
    #[arg(long, value_name = "REF", conflicts_with = "since")]
    inclusion: Option<Reference>,
    /// Show with it that the journal began with its first N records, as of an older checkpoint: what C2SP tlog-witness asks for
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Take the store as it is, though it is not what was seen of it on this machine before; signs nothing
    #[arg(long, conflicts_with_all = ["out", "inclusion", "since"])]
    accept: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if args.accept {
        return accept(cx, store);
    }
    if let Some(Standing::Other(other)) = cx.standing() {
        let error = CliError::new(ErrorKind::Conflict, format!("the store is not what it was: {}", other.why));
        return Err(error.hint("pv checkpoint --accept, if that is right; who signs both has signed two histories"));
    }
    let checkpoint = store.checkpoint()?;
    let text = match (&args.inclusion, args.since) {
        (Some(reference), _) => inclusion(store, reference, &checkpoint)?,
        (None, Some(old)) => since(store, old, &checkpoint)?,
        (None, None) => checkpoint.to_string(),
    };
    if let Some(out) = &args.out {
        use std::io::Write as _;
        let failed = |error: std::io::Error| CliError::io(format!("cannot write `{}`", out.display()), &error);
        write(&cx.path(out), |file| file.write_all(text.as_bytes()).map_err(failed))?;
    }
    if cx.out().is_json() {
        let key = store.public_key()?.map(|key| verifier_key(&checkpoint.origin, &key));
        return cx.out().json(&json!({
            "store": checkpoint.origin, "records": checkpoint.head.size, "root": checkpoint.head.root,
            "file": args.out, "text": text, "verifier_key": key,
        }));
    }
    match &args.out {
        None => cx.out().bytes(text.as_bytes()),
        Some(out) => {
            cx.out().line(out.display().to_string())?;
            let records = plural(checkpoint.head.size, "record", "records");
            cx.notes()
                .line(format!("{records}; next: pv verify --checkpoint {}", shell_word(&out.display().to_string())));
            Ok(())
        }
    }
}

/// A C2SP tlog-proof.
fn inclusion(store: &Store, reference: &Reference, checkpoint: &Checkpoint) -> Result<String> {
    let commit = store.resolve(reference)?.id;
    let found = store.included(&commit, checkpoint.head.size)?;
    let extra = STANDARD.encode(&found.record);
    let head = format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex {}\n", found.index);
    Ok(format!("{head}{}\n{checkpoint}", lines(&found.path)))
}

/// What a witness is asked with: C2SP tlog-witness, `add-checkpoint`.
fn since(store: &Store, old: u64, checkpoint: &Checkpoint) -> Result<String> {
    let path = store.consistency(old, checkpoint.head.size)?;
    Ok(format!("old {old}\n{}\n{checkpoint}", lines(&path)))
}

fn lines(hashes: &[Digest]) -> String {
    hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes()) + "\n").collect()
}

fn accept(cx: &Context, store: &Store) -> Result<()> {
    let Some(known) = cx.known_stores() else {
        let error = CliError::new(ErrorKind::Conflict, "nothing is noted of stores here: there is no place for it");
        return Err(error.hint("set HOME, XDG_STATE_HOME or PV_KNOWN_STORES"));
    };
    let seen = known.see(store, cx.human().now(), true)?;
    let object =
        json!({"store": seen.store, "place": seen.place, "records": seen.records, "root": seen.root, "key": seen.key});
    cx.done(&format!("accepted as it is: {}", seen.words()), &object)
}
