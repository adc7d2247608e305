//! What vouches for a commit, as it is printed: signatures, and certificates that it was made again.

use repos::documents::{Certificate, Repetition};
use repos::store::{Signed, Vouched};
use serde::Serialize;
use serde_json::{Value, json};
use specs::Digest;

use super::views::CommitView;
use crate::output::{Human, short_digest};

/// A commit with what vouches for it.
#[derive(Serialize)]
pub(super) struct ShownCommit {
    #[serde(flatten)]
    commit: CommitView,
    signatures: Vec<Value>,
    certificates: Vec<Value>,
}

impl ShownCommit {
    pub(super) fn new(commit: CommitView, signed: &[Signed], certificates: Vec<(Digest, Certificate)>) -> Self {
        let signatures = signed.iter().map(|signed| {
            let state = match &signed.vouched {
                Vouched::Good => "good",
                Vouched::UnknownKey => "unknown_key",
                Vouched::UnvouchedKey => "unvouched_key",
                Vouched::Bad => "bad",
                Vouched::Damaged(_) => "damaged",
            };
            json!({"id": signed.signature, "key": signed.key, "state": state})
        });
        let certificates = certificates.into_iter().map(|(id, certificate)| {
            let mut fields = serde_json::to_value(certificate).expect("certificates have a JSON form");
            fields["id"] = json!(id);
            fields
        });
        Self { signatures: signatures.collect(), certificates: certificates.collect(), commit }
    }
}

/// By whom a commit is signed, and what came of making it again, as lines of a table.
pub(super) fn vouched_lines(
    signed: &[Signed],
    certificates: &[(Digest, Certificate)],
    human: &Human,
) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if signed.is_empty() {
        lines.push(("signed", "unsigned".to_owned()));
    }
    for signed in signed {
        let key = signed.key.as_ref().map(short_digest).unwrap_or_default();
        lines.push((
            "signed",
            match &signed.vouched {
                Vouched::Good => format!("by key {key}"),
                Vouched::UnknownKey => format!("by key {key}, which is unknown to this store"),
                Vouched::UnvouchedKey => format!("by key {key}, which is not trusted"),
                Vouched::Bad => format!("invalid: not made by key {key}"),
                Vouched::Damaged(why) => format!("invalid: {why}"),
            },
        ));
    }
    for (_, certificate) in certificates {
        let of = certificate.path.as_ref().map(|path| format!("{path}, ")).unwrap_or_default();
        let what = format!("{of}{}", super::rerun::executed(&certificate.stages));
        let when = human.local(certificate.at);
        lines.push(("run again", format!("{}   {what}   {when}{}", certificate.outcome.words(), tail(certificate))));
    }
    lines
}

/// What is not as it was.
fn tail(certificate: &Certificate) -> String {
    let bad = certificate.stages.iter().filter(|stage| stage.outcome != Repetition::Identical);
    let told = bad.map(|stage| {
        let paths: Vec<&str> = stage.paths.iter().take(3).map(specs::FilePath::as_str).collect();
        let rest = (stage.paths.len() - paths.len()) as u64 + stage.paths_more;
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        format!("   {}: {}{}{more}", stage.pipeline, paths.join(" "), stage.why.as_deref().unwrap_or_default())
    });
    told.collect()
}
