//! The form for new files of a branch: posted as it is without scripts; with them, sent in parts that go on after a cut.

use maud::{Markup, html};
use specs::{BranchName, RepoName};

use crate::address;
use crate::look::Look;

/// The form. Its text fields come before the files: they are read in this order.
pub(super) fn form(look: &Look<'_>, repo: &RepoName, branch: &BranchName) -> Markup {
    let begin = address::api(["repos", repo.as_str(), "branches", branch.as_str(), "uploads"]);
    let uploads = address::api(["uploads"]);
    let done = address::repo(repo).with("branch", branch.as_str());
    html! {
        h2 { "Add files to " (branch.as_str()) }
        form #upload-form .upload method="post" enctype="multipart/form-data" action=(look.link(&address::upload(repo, branch)))
            data-begin=(look.link(&begin)) data-uploads=(look.link(&uploads)) data-done=(look.link(&done))
            data-key={ (look.base) " " (repo.as_str()) "@" (branch.as_str()) } {
            label { "Why" input name="-message" autocomplete="off"; }
            label { "Directory" input name="-directory" value="/" autocomplete="off" spellcheck="false"; }
            label { "Files" input type="file" name="file" multiple; }
            label { "Or a folder" input type="file" name="folder" multiple webkitdirectory; }
            button { "Upload" }
            noscript { p .dim { "Without scripts, at most 64 MB at a time." } }
        }
        div #upload-list hidden data-keep {
            p #upload-state role="status" {}
            progress #upload-progress max="100" value="0" aria-label="Upload" {}
            p { button #upload-cancel type="button" { "Cancel" } }
            ul .plain {}
        }
    }
}
