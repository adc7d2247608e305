//! `pv verify`

use std::path::{Path, PathBuf};

use answers::proof::{self, Checkpoint, Link, PublicKey, Report, Since, State, TrustedKey, Verdict, verify_view};
use specs::{Digest, ErrorKind, Reference};

use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::invocation::files::{Files, PathKind};
use crate::known::Standing;
use crate::output::plural;

/// Check that provenance and signatures are true
///
/// This checks every link from a file back to the commits made by people, without caches: bytes, tree, commit, signature, lineage, result,
/// recipe, code, inputs, log, source. Exit codes: 0 proven; 1 not proven; 5 damaged; 9 consistent, but the signer was not checked because
/// --key was not given or nothing is signed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Commit, or a file or directory in it [default: heads of all branches]
    #[arg(value_name = "REF[:/PATH]")]
    reference: Option<Reference>,
    /// Run its datums and all they depend on again in fresh sandboxes; `pv show` shows the outcome later
    #[arg(long, requires = "reference")]
    rerun: bool,
    /// With --rerun: also run stages that use the network, such as one that sends mail
    #[arg(long, requires = "rerun")]
    network: bool,
    /// Check this bundle; needs no store
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reference", "rerun"])]
    bundle: Option<PathBuf>,
    /// Check that the store still contains this checkpoint of `pv checkpoint`, and show what was added since
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    checkpoint: Option<PathBuf>,
    /// Required signer: a PEM file with the public key, or its fingerprint; may be repeated. In a store, keys that replaced it also count
    #[arg(long, value_name = "KEY")]
    key: Vec<PathBuf>,
}

/// Most bytes of a checkpoint that are read.
const MAX_CHECKPOINT_BYTES: u64 = 16 << 20;
/// Most bytes of a key.
const MAX_KEY_BYTES: u64 = 1 << 16;

impl Args {
    /// Whether it needs no store.
    pub(super) fn needs_no_store(&self) -> bool {
        self.bundle.is_some()
    }

    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, files: &Files) {
        for key in &self.key {
            files.kind(key);
            files.read(key, MAX_KEY_BYTES).ok();
        }
        self.checkpoint.iter().for_each(|file| drop(files.read(file, MAX_CHECKPOINT_BYTES)));
    }

    /// Whether it runs user code, which only one process may do at a time.
    pub(super) fn executes(&self) -> bool {
        self.rerun
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let keys = args.key.iter().map(|key| read_key(cx, key)).collect::<Result<Vec<_>>>()?;
    if let Some(bundle) = &args.bundle {
        let (subject, report) = proof::verify_bundle(&cx.path(bundle)?, &keys)?;
        return show(cx, &subject, &report, None);
    }
    let checkpoint = args.checkpoint.as_ref().map(|file| read_checkpoint(cx.files(), file)).transpose()?;
    let store = cx.store()?;
    let at = args.reference.as_ref().map(|reference| store.resolve(reference)).transpose()?;
    let mut report = match (&at, &checkpoint) {
        // Only the journal is verified.
        (None, Some(_)) => Report::default(),
        _ => proof::verify(store, at.as_ref(), &keys)?,
    };
    let since = checkpoint.as_ref().map(|checkpoint| check_checkpoint(store, checkpoint, &keys, &mut report));
    let since = since.transpose()?.flatten();
    add_seen(cx, &mut report);
    let subject = match &at {
        Some(at) if at.path.is_root() => at.place(),
        Some(at) => format!("{}:{}", at.place(), at.path),
        None if checkpoint.is_some() => "the journal".to_owned(),
        None => "the heads of all branches".to_owned(),
    };
    let shown = show(cx, &subject, &report, since.as_ref());
    match at.filter(|_| args.rerun) {
        // A missing signature does not prevent a rerun.
        Some(at) if matches!(report.verdict(), Verdict::Proven | Verdict::Unsigned) => {
            super::rerun::run(cx, store, (&at, &subject), args.network).and(shown)
        }
        _ => shown,
    }
}

fn check_checkpoint(
    store: &Store,
    checkpoint: &Result<Checkpoint, String>,
    keys: &[TrustedKey],
    report: &mut Report,
) -> Result<Option<Since>> {
    match checkpoint {
        Ok(checkpoint) => Ok(proof::verify_checkpoint(store, checkpoint, keys, report)?),
        Err(why) => {
            report.add_unread_checkpoint(why);
            Ok(None)
        }
    }
}

/// A checkpoint, or why the file is invalid; that belongs in the report, since the file may have been tampered with.
fn read_checkpoint(files: &Files, file: &Path) -> Result<Result<Checkpoint, String>> {
    let text = files.read(file, MAX_CHECKPOINT_BYTES);
    let text =
        text.map_err(|error| CliError::io(format!("cannot read the checkpoint `{}`", file.display()), &error))?;
    let text = String::from_utf8(text).map_err(|_| "it is not text".to_owned());
    Ok(text.and_then(|text| text.parse::<Checkpoint>().map_err(|error| error.to_string())))
}

/// Adds a comparison with what this machine saw of the store before.
fn add_seen(cx: &Context, report: &mut Report) {
    match cx.standing() {
        None | Some(Standing::New) => {}
        Some(Standing::Same(seen)) => report.add_seen(&format!("on this machine: {}", seen.words()), Ok(())),
        Some(Standing::Other(other)) => {
            let why = format!("{}; now: {}; pv checkpoint --accept accepts it as it is", other.why, other.now.words());
            report.add_seen(&format!("on this machine: {}", other.before.words()), Err(why));
        }
    }
}

/// A key, given as a file or a fingerprint.
fn read_key(cx: &Context, given: &Path) -> Result<TrustedKey> {
    if let Some(fingerprint) = given.to_str().and_then(|text| text.parse::<Digest>().ok())
        && cx.files().kind(given) == PathKind::None
    {
        return Ok(TrustedKey::Fingerprint(fingerprint));
    }
    read_key_file(cx, given).map(TrustedKey::Key)
}

fn read_key_file(cx: &Context, file: &Path) -> Result<PublicKey> {
    let name = format!("the key `{}`", file.display());
    let text = cx.read_text(file, &name, MAX_KEY_BYTES, "pv key show > KEY.pem")?;
    PublicKey::from_pem(&text)
        .map_err(|error| CliError::usage(format!("`{}`: {error}", file.display()), "pv key show > KEY.pem"))
}

/// Prints the links and the verdict, which also sets the exit code.
fn show(cx: &Context, subject: &str, report: &Report, since: Option<&Since>) -> Result<()> {
    let verdict = report.verdict();
    if cx.out().is_json() {
        cx.out().json(&verify_view(subject, report, since))?;
    } else {
        lines(cx, subject, report)?;
        if let Some(since) = since {
            cx.out().line(since_words(since))?;
        }
    }
    let Some(kind) = verdict.error_kind() else { return Ok(()) };
    if kind == ErrorKind::Unchecked {
        let (why, hint) = unchecked(verdict);
        return Err(CliError::new(kind, format!("{subject} is consistent, but {why}")).hint(hint));
    }
    let worst = report.worst().map(words).unwrap_or_default();
    let error = CliError::new(kind, format!("{subject} is not proven: {worst}"));
    Err(match verdict {
        Verdict::Damaged => error.hint("pv fsck lists the damage; pv fsck --repair --from MIRROR repairs it"),
        _ => error,
    })
}

/// Why the signer of consistent data is unchecked, and what to do about it.
fn unchecked(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Unsigned => (
            "nothing is signed",
            "the next commit made here will be signed, and its signature covers everything that it refers to",
        ),
        _ => (
            "the signer was not checked",
            "pass --key KEY.pem, which the store's owner gets from: pv key show > KEY.pem",
        ),
    }
}

/// What was added to the journal since a checkpoint.
fn since_words(since: &Since) -> String {
    let kinds: Vec<String> = since.entries.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let added = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
    format!("since   {added}   {} now", plural(since.records, "record", "records"))
}

fn words(link: &Link) -> String {
    let Link { link, subject, state } = link;
    match state {
        State::Holds => format!("{} {subject}", link.word()),
        State::Noted(why) | State::Fails(why) | State::Damaged(why) => format!("{} {subject}: {why}", link.word()),
    }
}

fn lines(cx: &Context, subject: &str, report: &Report) -> Result<()> {
    let row = |link: &Link| {
        let (word, why) = match &link.state {
            State::Holds => ("ok", ""),
            State::Noted(why) => ("ok, but", why.as_str()),
            State::Fails(why) => ("NO", why.as_str()),
            State::Damaged(why) => ("DAMAGED", why.as_str()),
        };
        let subject = if why.is_empty() { link.subject.clone() } else { format!("{}   {why}", link.subject) };
        vec![word.to_owned(), link.link.word().to_owned(), subject]
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    if report.is_listed() {
        rows.extend(report.links.iter().map(row));
    } else {
        let counted = |(kind, count): (&proof::LinkKind, &u64)| {
            vec!["checked".to_owned(), kind.word().to_owned(), plural(*count, "link", "links")]
        };
        rows.extend(report.counts.iter().map(counted));
    }
    rows.extend(report.bad.iter().take(20).map(row));
    cx.table(&[], rows)?;
    let not_checked: Vec<String> = report.not_checked().iter().map(|(link, count)| noted_words(link, *count)).collect();
    let noted = if not_checked.is_empty() { String::new() } else { format!(", but for {}", not_checked.join("; ")) };
    let checked = plural(report.total(), "link", "links");
    cx.out().line(match report.verdict() {
        Verdict::Proven => format!("PROVEN   {subject}   {checked}{noted}"),
        Verdict::Whole => format!("WHOLE, SIGNER NOT CHECKED   {subject}   {checked}{noted}"),
        Verdict::Unsigned => format!("WHOLE, NOT SIGNED   {subject}   {checked}{noted}"),
        Verdict::NotProven | Verdict::Damaged => {
            format!("NOT PROVEN: {}", report.worst().map(words).unwrap_or_default())
        }
    })
}

/// Links that were not checked, for one common reason.
fn noted_words(link: &Link, count: u64) -> String {
    let why = match &link.state {
        State::Noted(why) => why.as_str(),
        _ => "",
    };
    format!("{}: {why}", plural(count, &format!("{} link", link.link.word()), &format!("{} links", link.link.word())))
}
