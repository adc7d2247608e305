//! `pv checkpoint`

use std::path::PathBuf;

use answers::proof::{CheckpointView, Shows, checkpoint};
use serde_json::json;
use specs::{ErrorKind, Reference};

use super::bundle::write;
use super::names::shell_word;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::known::Standing;
use crate::output::plural;
use crate::remote::client::Writes;

/// Sign the current state of the journal
///
/// With the checkpoint anyone can check later that records were only added to the journal.
///
/// The checkpoint is a signed note (C2SP tlog-checkpoint) with the store's id, the number of records and the root of a Merkle tree
/// (RFC 6962) over them. Keep it where people who can write to the store cannot change it. `pv verify --checkpoint FILE` then shows that
/// no record was removed or changed. A witness can sign it too.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// File to write, such as `store.checkpoint` [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Add a proof that the journal contains the record of this commit (C2SP tlog-proof)
    #[arg(long, value_name = "REF", conflicts_with = "since")]
    inclusion: Option<Reference>,
    /// Add a proof that an older checkpoint of N records is a prefix of this journal (for C2SP tlog-witness)
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Accept a store that differs from what this machine last saw of it; signs nothing
    #[arg(long, conflicts_with_all = ["out", "inclusion", "since"])]
    accept: bool,
}

impl Args {
    /// What it writes on the caller's machine.
    pub(super) fn writes(&self) -> Writes {
        self.out.clone().map_or(Writes::Nothing, Writes::File)
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if args.accept {
        return accept(cx, store);
    }
    if let Some(Standing::Other(other)) = cx.standing() {
        let error = CliError::new(ErrorKind::Conflict, format!("the store has changed unexpectedly: {}", other.why));
        return Err(error.hint(
            "pv checkpoint --accept, if this is right; signing both states would sign two contradicting histories",
        ));
    }
    let shows = match (&args.inclusion, args.since) {
        (Some(reference), _) => Shows::Inclusion(reference),
        (None, Some(old)) => Shows::Since(old),
        (None, None) => Shows::State,
    };
    let signed = CheckpointView { file: args.out.clone(), ..checkpoint(store, shows)? };
    if let Some(out) = &args.out {
        use std::io::Write as _;
        let failed = |error: std::io::Error| CliError::io(format!("cannot write `{}`", out.display()), &error);
        write(cx, out, |file| file.write_all(signed.text.as_bytes()).map_err(failed))?;
    }
    if cx.out().is_json() {
        return cx.out().json(&signed);
    }
    match &args.out {
        None => cx.out().bytes(signed.text.as_bytes()),
        Some(out) => {
            cx.out().line(out.display().to_string())?;
            let records = plural(signed.records, "record", "records");
            cx.notes()
                .line(format!("{records}; next: pv verify --checkpoint {}", shell_word(&out.display().to_string())));
            Ok(())
        }
    }
}

fn accept(cx: &Context, store: &Store) -> Result<()> {
    let Some(known) = cx.known_stores() else {
        let error =
            CliError::new(ErrorKind::Conflict, "this machine cannot remember stores: it has no folder for that");
        return Err(error.hint("set HOME, XDG_STATE_HOME or PV_KNOWN_STORES"));
    };
    let seen = known.see(store, cx.human().now(), true)?;
    let object =
        json!({"store": seen.store, "place": seen.place, "records": seen.records, "root": seen.root, "key": seen.key});
    cx.done(&format!("accepted as it is: {}", seen.words()), &object)
}
