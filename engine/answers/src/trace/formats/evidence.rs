//! The parts of a page with the content of files, and with who vouches for the commits.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compare::{Picture, Shown};
use jiff::tz::TimeZone;
use repos::documents::{Certificate, Repetition};

use super::html::{escaped, table_of, text_code};
use super::words::{moment, place, size};
use crate::trace::exhibits::{Exhibit, Exhibits};
use crate::trace::nodes::Trace;
use specs::words::{count, plural};

/// The content of the requested file and its sources.
pub(super) fn exhibits(trace: &Trace, exhibits: &Exhibits) -> String {
    if exhibits.shown.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<section>\n<h2>What it says, and what it rests on</h2>\n<p>First the file itself, then what people committed, then what stages made on \
         the way. Pictures are smaller copies, long texts are cut; each stands under the digest of the whole file.</p>\n",
    );
    for exhibit in &exhibits.shown {
        text += &figure(exhibit, exhibit.digest == trace.file.digest);
    }
    if exhibits.left_out > 0 {
        let files = plural(exhibits.left_out as u64, "more file is", "more files are");
        let _ = writeln!(text, "<p class=\"small\">{files} not shown here; “All files” lists them.</p>");
    }
    text + "</section>\n"
}

fn figure(exhibit: &Exhibit, is_asked: bool) -> String {
    let Exhibit { place: (repo, commit, path), digest, size_bytes, shown } = exhibit;
    let name = place(repo, commit, path);
    let mut caption = format!("{}{}", if is_asked { "<b>The file itself</b>: " } else { "" }, text_code(&name));
    let _ = write!(caption, ", {}", size(*size_bytes));
    let body = match shown {
        Shown::Picture(picture) => {
            let (width, height) = picture.of;
            let _ = write!(caption, ", {width} × {height} pixels");
            image(picture, &name)
        }
        Shown::Text(text, is_cut) => {
            if *is_cut {
                caption += ", truncated: only its beginning is shown";
            }
            format!("<pre>{}</pre>", escaped(text))
        }
        Shown::Tensors(lines, more) => {
            let more = if *more > 0 { format!("\n… {} more", count(*more as u64)) } else { String::new() };
            format!("<pre>{}{more}</pre>", escaped(&lines.join("\n")))
        }
        Shown::Nothing(why) => {
            let _ = write!(caption, ", not shown: {}", escaped(why));
            String::new()
        }
    };
    let digest = text_code(&digest.to_string());
    format!("<figure>\n<figcaption>{caption}<br>sha256 {digest}</figcaption>\n{body}\n</figure>\n")
}

fn image(picture: &Picture, name: &str) -> String {
    let (width, height) = picture.size;
    let data = STANDARD.encode(&picture.bytes);
    let alt = escaped(name).replace('\n', " ");
    let media_type = picture.media_type;
    format!("<img src=\"data:{media_type};base64,{data}\" alt=\"{alt}\" width=\"{width}\" height=\"{height}\">")
}

/// Who signed the commits, and the outcome of executing them again.
pub(super) fn vouched(exhibits: &Exhibits, zone: &TimeZone) -> String {
    if exhibits.signed.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<section>\n<h2>Who vouches for it</h2>\n<p>What the store said of signatures when this page was made. The signatures themselves are in \
         the store and in a bundle.</p>\n<table class=\"facts\">\n",
    );
    for signed in &exhibits.signed {
        let class = if signed.is_good { "good" } else { "bad" };
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td><span class=\"{class}\">{}</span><br>commit {}</td></tr>",
            escaped(signed.repo.as_str()),
            escaped(&signed.words),
            text_code(&signed.commit.to_string())
        );
    }
    text += "</table>\n";
    if exhibits.commits_left_out > 0 {
        let more = plural(exhibits.commits_left_out as u64, "more commit", "more commits");
        let _ = writeln!(text, "<p class=\"small\">This section does not cover {more}.</p>");
    }
    text += "<h3>Executed again, as a proof</h3>\n";
    if exhibits.certificates.is_empty() {
        text += "<p>There is no certificate: it was never executed again (<code>pv verify --rerun</code>).</p>\n";
    }
    for (digest, certificate) in &exhibits.certificates {
        text += &certified(digest, certificate, zone);
    }
    text + "</section>\n"
}

fn certified(digest: &specs::Digest, certificate: &Certificate, zone: &TimeZone) -> String {
    let class = if certificate.outcome == Repetition::Identical { "good" } else { "bad" };
    let stages = certificate.stages.iter().map(|stage| {
        let count = plural(stage.datums, "execution", "executions");
        let why = stage.why.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
        escaped(&format!("{}: {}, {count}{why}", stage.pipeline, stage.outcome.words()))
    });
    table_of(&[
        ("Outcome", format!("<b class=\"{class}\">{}</b>", escaped(certificate.outcome.words()))),
        ("When", escaped(&moment(certificate.at, zone))),
        ("By", escaped(&certificate.committer)),
        ("On", escaped(&certificate.executor.to_string())),
        ("Stages", stages.collect::<Vec<_>>().join("<br>")),
        ("Certificate", format!("sha256 {}", text_code(&digest.to_string()))),
    ])
}
