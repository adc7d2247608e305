//! Patterns of texts, as JSON Schemas state them: regular expressions that JavaScript, Python and Rust read alike.
//!
//! Each pattern fits every text that its type accepts. Where a type accepts less than the pattern says (a time within a reference, a glob),
//! its schema also has a `format`, whose name begins with `pv-`.

/// A name, with these characters allowed between others.
pub(crate) fn of_name(inner: &str) -> String {
    whole(&bare_name(inner))
}

fn bare_name(inner: &str) -> String {
    // `-` last: it is itself there.
    format!("[A-Za-z0-9]([A-Za-z0-9{inner}_-]{{0,61}}[A-Za-z0-9])?")
}

/// So many lower-case hex digits.
pub(crate) fn hex(digits: usize) -> String {
    whole(&format!("[0-9a-f]{{{digits}}}"))
}

/// The first digits of an id.
const ID: &str = "[0-9a-f]{4,64}";

/// The first digits of an id.
pub(crate) fn id() -> String {
    whole(ID)
}

/// A path of a commit, without the `/` at its start.
fn bare_path() -> String {
    const OTHER: &str = r"[^/\u0000-\u001f\u007f-\u009f]";
    const NO_DOT: &str = r"[^/.\u0000-\u001f\u007f-\u009f]";
    let part = format!(r"({NO_DOT}{OTHER}*|\.{NO_DOT}{OTHER}*|\.\.{OTHER}+)");
    format!("{part}(/{part})*")
}

/// A path of a commit.
pub(crate) fn path() -> String {
    whole(&format!("/({})?", bare_path()))
}

/// A path of a commit other than its root, without the `/` at its start.
pub fn relative_path() -> String {
    whole(&bare_path())
}

fn bare_revision() -> String {
    let branch = bare_name("./");
    let time = r"\{[^{}]+\}";
    format!(r"({branch}|{ID}|{branch}@{ID}|({branch}@)?{time})([\^~][0-9]*)*")
}

/// A revision: a branch, a tag, an id, a point in time; then steps back.
pub(crate) fn revision() -> String {
    whole(&bare_revision())
}

fn bare_reference() -> String {
    format!("{}(@{})?(:/({})?)?", bare_name(""), bare_revision(), bare_path())
}

/// `REPO[@REV][:/PATH]`
pub(crate) fn reference() -> String {
    whole(&bare_reference())
}

/// A reference, or an id and perhaps a path.
pub fn source() -> String {
    whole(&format!("({}|(sha256:)?{ID}(:/({})?)?)", bare_reference(), bare_path()))
}

/// `PIPELINE`, `PIPELINE@RUN` or `@RUN`.
pub(crate) fn job() -> String {
    let pipeline = bare_name("");
    whole(&format!("({pipeline}|{pipeline}@{ID}|@{ID})"))
}

/// `@RUN`
pub(crate) fn run() -> String {
    whole(&format!("@{ID}"))
}

/// Numbers with units.
pub(crate) fn duration() -> String {
    whole(r"(([0-9]+(\.[0-9]*)?|\.[0-9]+)(d|h|m|s|ms|us|µs|ns))+")
}

fn whole(pattern: &str) -> String {
    format!("^({pattern})$")
}
