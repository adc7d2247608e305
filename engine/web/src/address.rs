//! Addresses of views. They are built here and nowhere else, so that none can be misspelt, unescaped, or leave the base path.
//!
//! An address is kept without the base path of the server; [`Address::under`] puts it in front.

use std::fmt::{self, Write};

use specs::{BranchName, CommitId, FilePath, NotificationName, PipelineName, RepoName};

/// The address of a view, or of what a view shows or changes: path and query, escaped, beginning with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    path: String,
    query: String,
    fragment: String,
}

impl Address {
    /// The address with these segments; each is escaped.
    pub fn of<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            escape_into(&mut path, segment.as_ref(), b"");
        }
        if path.is_empty() {
            path.push('/');
        }
        Self { path, query: String::new(), fragment: String::new() }
    }

    /// The same address with a path of several segments at its end.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        if !path.is_empty() {
            self.path.push('/');
            escape_into(&mut self.path, path, b"/");
        }
        self
    }

    /// The same address with a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        escape_into(&mut self.query, name, b"");
        self.query.push('=');
        escape_into(&mut self.query, &value.to_string(), b"/@:");
        self
    }

    /// The same address with a parameter, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The same address with a segment that a form fills in: `{name}` is replaced by the field `{name}` of the form.
    #[must_use]
    pub(crate) fn with_field(mut self, name: &str) -> Self {
        let _ = write!(self.path, "/{{{name}}}");
        self
    }

    /// The same address, at an element of its page.
    #[must_use]
    pub fn at(mut self, id: &str) -> Self {
        self.fragment.clear();
        self.fragment.push('#');
        escape_into(&mut self.fragment, id, b"");
        self
    }

    /// As a browser uses it: below the base path of the server (empty, or without a `/` at its end).
    pub fn under(&self, base: &str) -> String {
        format!("{base}{}{}{}", self.path, self.query, self.fragment)
    }

    /// The parameters as they were before they were escaped: for a form that adds others.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (unescaped(name), unescaped(value)))
    }

    /// The path alone, without a base.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Escapes all but letters, digits, `-._~` and `also`.
fn escape_into(text: &mut String, of: &str, also: &[u8]) {
    for byte in of.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// What [`escape_into`] was given.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &after[2..]),
            None => (bytes.push(*first), rest = after),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The overview.
pub fn home() -> Address {
    Address::of([""; 0])
}

/// The graph of repositories and pipelines.
pub fn graph() -> Address {
    Address::of(["graph"])
}

/// All repositories.
pub fn repos() -> Address {
    Address::of(["repos"])
}

/// A repository.
pub fn repo(repo: &RepoName) -> Address {
    Address::of(["repos", repo.as_str()])
}

/// A branch: its history.
pub fn branch(repo: &RepoName, branch: &BranchName) -> Address {
    Address::of(["repos", repo.as_str(), "branches", branch.as_str()])
}

/// A commit.
pub fn commit(repo: &RepoName, commit: &CommitId) -> Address {
    Address::of(["repos", repo.as_str(), "commits", &commit.to_string()])
}

/// A file or directory of a commit; the root for no path.
pub fn files(repo: &RepoName, commit: &CommitId, path: Option<&FilePath>) -> Address {
    let files = Address::of(["repos", repo.as_str(), "commits", &commit.to_string(), "files"]);
    files.below(path.map(|path| path.as_str().trim_start_matches('/')).unwrap_or_default())
}

/// The bytes of a file, from the API.
pub fn content(repo: &RepoName, commit: &CommitId, path: &FilePath) -> Address {
    api(["repos", repo.as_str(), "commits", &commit.to_string(), "files"]).below(path.as_str().trim_start_matches('/'))
}

/// The bytes of a file with the media type of its name, for `<img>`, `<audio>`, `<video>` and frames of PDF.
pub fn media(repo: &RepoName, commit: &CommitId, path: &FilePath) -> Address {
    let media = Address::of(["repos", repo.as_str(), "commits", &commit.to_string(), "media"]);
    media.below(path.as_str().trim_start_matches('/'))
}

/// A picture of an image whose longer side has at most so many pixels.
pub fn picture(repo: &RepoName, commit: &CommitId, path: &FilePath, longer_side: u32) -> Address {
    let side = longer_side.to_string();
    let pictures = Address::of(["repos", repo.as_str(), "commits", &commit.to_string(), "pictures", &side]);
    pictures.below(path.as_str().trim_start_matches('/'))
}

/// A directory with all below it, as an archive from the API: `tar` or `zip`.
pub fn archive(repo: &RepoName, commit: &CommitId, path: &FilePath, form: &str) -> Address {
    content(repo, commit, path).with("archive", form)
}

/// Leads to the commit that a revision names now, at a path of it.
pub fn at(repo: &RepoName, revision: impl fmt::Display, path: Option<&FilePath>) -> Address {
    let files = Address::of(["repos", repo.as_str(), "at", &revision.to_string(), "files"]);
    files.below(path.map(|path| path.as_str().trim_start_matches('/')).unwrap_or_default())
}

/// Where the form with files for a branch is posted.
pub fn upload(repo: &RepoName, branch: &BranchName) -> Address {
    Address::of(["repos", repo.as_str(), "branches", branch.as_str(), "upload"])
}

/// Where the form for a new branch is posted.
pub fn branches(repo: &RepoName) -> Address {
    Address::of(["repos", repo.as_str(), "branches"])
}

/// All pipelines.
pub fn pipelines() -> Address {
    Address::of(["pipelines"])
}

/// A pipeline.
pub fn pipeline(pipeline: &PipelineName) -> Address {
    Address::of(["pipelines", pipeline.as_str()])
}

/// All runs.
pub fn runs() -> Address {
    Address::of(["runs"])
}

/// A run, by its id.
pub fn run(run: &str) -> Address {
    Address::of(["runs", run])
}

/// A job, by its id: `PIPELINE@RUN`.
pub fn job(job: &str) -> Address {
    Address::of(["jobs", job])
}

/// A datum of a job.
pub fn datum(job: &str, datum: &str) -> Address {
    Address::of(["jobs", job, "datums", datum])
}

/// What a job, or a datum of it, printed.
pub fn log(job: &str, datum: Option<&str>) -> Address {
    match datum {
        Some(datum) => Address::of(["jobs", job, "datums", datum, "log"]),
        None => Address::of(["jobs", job, "log"]),
    }
}

/// The difference of two references.
pub fn diff(old: impl fmt::Display, new: impl fmt::Display) -> Address {
    Address::of(["diff"]).with("old", old).with("new", new)
}

/// A PNG of what differs between two pictures, or one of the two as browsers can show it (`old`, `new`); each `REPO@COMMIT:/PATH`.
pub fn difference(old: impl fmt::Display, new: impl fmt::Display, show: &str) -> Address {
    Address::of(["diff", "picture"]).with("old", old).with("new", new).with("show", show)
}

/// The verdict of a verification: the id of its operation, or none for the one that a form is about to start.
pub fn verdict(operation: Option<&str>, of: impl fmt::Display) -> Address {
    match operation {
        Some(id) => Address::of(["verified", id]),
        None => Address { path: "/verified/{id}".to_owned(), ..Address::of(["verified"]) },
    }
    .with("of", of)
}

/// A trace as one file, for people without pv.
pub fn trace_page(reference: impl fmt::Display) -> Address {
    Address::of(["trace", "page"]).with("file", reference)
}

/// Where a file comes from: `REPO@REVISION:/PATH`.
pub fn trace(reference: impl fmt::Display) -> Address {
    Address::of(["trace"]).with("file", reference)
}

/// What a word of pv's reference grammar, a digest or a file name stands for.
pub fn find(word: &str) -> Address {
    Address::of(["find"]).with("q", word)
}

/// A page that has no parameters: `watches`, `notifications`, `tokens`, `audit`, `settings`, `storage`, `operations`.
pub fn place(name: &str) -> Address {
    Address::of([name])
}

/// An operation of the API.
pub fn api<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Address {
    let api = ["api".to_owned(), "v1".to_owned()].into_iter();
    Address::of(api.chain(segments.into_iter().map(|segment| segment.as_ref().to_owned())))
}

/// An asset, whose name holds its digest.
pub fn asset(name: &str) -> Address {
    Address::of(["assets", name])
}

/// Where one logs in.
pub fn login() -> Address {
    Address::of(["login"])
}

/// The list of keys of the keyboard.
pub fn keys() -> Address {
    Address::of(["keys"])
}

/// A notification and its messages.
pub fn notification(name: &NotificationName) -> Address {
    Address::of(["notifications", name.as_str()])
}

/// Long work.
pub fn operation(id: &str) -> Address {
    Address::of(["operations", id])
}

/// Where forms of pages are posted.
pub fn act() -> Address {
    Address::of(["act"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_name_stays_in_its_segment() {
        let address = Address::of(["repos", "a/b?c#d e\u{202e}"]).below("x/%2e?/ü").with("q", "a&b=c").at("L1");
        assert_eq!(address.under("/pv"), "/pv/repos/a%2Fb%3Fc%23d%20e%E2%80%AE/x/%252e%3F/%C3%BC?q=a%26b%3Dc#L1");
        let parameters: Vec<_> = home().with("a&b", "c=%2 ü\u{202e}").with("d", "/x@y:z").parameters().collect();
        let expected =
            [("a&b", "c=%2 ü\u{202e}"), ("d", "/x@y:z")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters, expected);
        assert_eq!(home().under(""), "/");
        assert_eq!(home().under("/pv"), "/pv/");
    }
}
