//! `pv verify`

use std::path::{Path, PathBuf};

use engine::proof::{self, Link, Report, State, Verdict};
use repos::keys::PublicKey;
use serde_json::json;
use specs::Reference;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{plural, table};

/// Check whether what a store says of its files is true
///
/// Each link from a file to what people committed is checked by itself, past all caches: bytes, tree, commit, signature, lineage, result,
/// recipe, inputs, log, source. Exit code 0: proven; 1: not proven; 5: something is damaged.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A commit, or a file or directory of one; without it the heads of all branches
    #[arg(value_name = "REF[:/PATH]")]
    reference: Option<Reference>,
    /// Execute its datums, and all that they rest on, again in fresh sandboxes; what comes of it is kept, and shown by `pv show`
    #[arg(long, requires = "reference")]
    rerun: bool,
    /// With --rerun: also what reaches the network, such as a stage that sends mail; it is left out otherwise
    #[arg(long, requires = "rerun")]
    network: bool,
    /// Check this bundle; it needs no store
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reference", "rerun"])]
    bundle: Option<PathBuf>,
    /// The public key, as PEM, of who has to have signed the bundle; can be given more than once
    #[arg(long, value_name = "FILE", requires = "bundle")]
    key: Vec<PathBuf>,
}

impl Args {
    /// Whether it runs user code, which one process at a time does.
    pub(super) fn executes(&self) -> bool {
        self.rerun
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    if let Some(bundle) = &args.bundle {
        let keys = args.key.iter().map(|file| read_key(cx, file)).collect::<Result<Vec<_>>>()?;
        let (subject, report) = proof::verify_bundle(&cx.path(bundle), &keys)?;
        return show(cx, &subject, &report);
    }
    let store = cx.store()?;
    let at = args.reference.as_ref().map(|reference| store.resolve(reference)).transpose()?;
    let report = proof::verify(store, at.as_ref())?;
    let subject = match &at {
        Some(at) if at.path.is_root() => at.place(),
        Some(at) => format!("{}:{}", at.place(), at.path),
        None => "the heads of all branches".to_owned(),
    };
    show(cx, &subject, &report)?;
    match at.filter(|_| args.rerun) {
        Some(at) => super::rerun::run(cx, store, (&at, &subject), args.network),
        None => Ok(()),
    }
}

fn read_key(cx: &Context, file: &Path) -> Result<PublicKey> {
    let name = format!("the key `{}`", file.display());
    let text = cx.read_text(file, &name, 1 << 16, "pv key show > KEY.pem")?;
    PublicKey::from_pem(&text)
        .map_err(|error| CliError::usage(format!("`{}`: {error}", file.display()), "pv key show > KEY.pem"))
}

/// Prints the links and the verdict, which is also the exit code.
pub(super) fn show(cx: &Context, subject: &str, report: &Report) -> Result<()> {
    let verdict = report.verdict();
    if cx.out().is_json() {
        let counts: serde_json::Map<_, _> =
            report.counts.iter().map(|(kind, count)| (kind.word().to_owned(), json!(count))).collect();
        cx.out().json(&json!({
            "subject": subject, "verdict": verdict, "checked": counts,
            "links": report.links, "not_held": report.bad,
        }))?;
    } else {
        lines(cx, subject, report)?;
    }
    let Some(kind) = verdict.error_kind() else { return Ok(()) };
    let worst = report.worst().map(words).unwrap_or_default();
    let error = CliError::new(kind, format!("{subject} is not proven: {worst}"));
    Err(match verdict {
        Verdict::Damaged => error.hint("pv fsck names all that is damaged; pv fsck --repair --from MIRROR heals it"),
        _ => error,
    })
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
    cx.out().text(table(&[], rows))?;
    let noted = match report.noted() {
        0 => String::new(),
        noted => format!(", but {} only as far as can be checked", plural(noted, "link", "links")),
    };
    let checked = plural(report.total(), "link", "links");
    cx.out().line(match report.verdict() {
        Verdict::Proven => format!("PROVEN   {subject}   {checked}{noted}"),
        Verdict::Whole => format!("whole, but signer not checked   {subject}   {checked}{noted}"),
        Verdict::NotProven | Verdict::Damaged => {
            format!("NOT PROVEN: {}", report.worst().map(words).unwrap_or_default())
        }
    })
}
