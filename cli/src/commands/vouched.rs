//! How signatures and rerun certificates of a commit are printed for users.

use answers::commit::{Certificate, CertificateView, Repetition, SignatureState, SignatureView};
use answers::sorted::Sorted;

use crate::output::{Human, short_digest};

/// The signatures of a commit and the results of reruns, as lines of a table.
pub(super) fn vouched_lines(
    signed: &[SignatureView],
    certificates: &[Sorted<CertificateView>],
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
            match signed.state {
                SignatureState::Good => format!("by key {key}"),
                SignatureState::UnknownKey => format!("by key {key}, which is unknown to this store"),
                SignatureState::UnvouchedKey => format!("by key {key}, which is not trusted"),
                SignatureState::Bad => format!("invalid: not made by key {key}"),
                SignatureState::Damaged => format!("invalid: {}", signed.why.as_deref().unwrap_or_default()),
            },
        ));
    }
    lines.extend(certificate_lines(certificates, human));
    lines
}

/// The results of reruns, as lines of a table.
pub(super) fn certificate_lines(
    certificates: &[Sorted<CertificateView>],
    human: &Human,
) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for certificate in certificates.iter().map(|view| &view.certificate) {
        let of = certificate.path.as_ref().map(|path| format!("{path}, ")).unwrap_or_default();
        let what = format!("{of}{}", super::rerun::executed(&certificate.stages));
        let when = human.local(certificate.at);
        lines.push(("run again", format!("{}   {what}   {when}{}", certificate.outcome.words(), tail(certificate))));
    }
    lines
}

/// What a rerun gave differently.
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
