//! Help topics that are not about one command. Each is built from the table that the program itself uses.

use answers::setting;
use specs::spec::guide::{Section, sections};
use specs::{ErrorKind, glob};

use crate::context::Context;
use crate::error::Result;
use crate::output::Columns;

/// A topic.
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    text: fn(&Context) -> Result<()>,
}

/// All topics.
pub(super) const TOPICS: &[Topic] = &[
    Topic { name: "specs", about: "every field of a pipeline's spec", text: specs_topic },
    Topic { name: "references", about: "how data, runs, jobs and datums are named", text: references },
    Topic { name: "globs", about: "how paths become datums", text: globs },
    Topic { name: "settings", about: "every setting, and when it takes effect", text: settings },
    Topic { name: "txn", about: "several changes as one transaction", text: transactions },
    Topic { name: "exit-codes", about: "exit codes, for scripts", text: exit_codes },
];

impl Topic {
    pub(super) fn print(&self, cx: &Context) -> Result<()> {
        (self.text)(cx)
    }
}

/// A spec with the usual fields.
const SPEC: &str = r#"pipeline: {name: detect}
input:
  cross:                # each image with the whole model
    - pfs: {repo: images, glob: "/*/*"}
    - pfs: {repo: model, glob: /}
transform:
  image: python:3.13
  cmd: [python3, /code/detect.py]
  code: ./code          # a folder beside this file
datum_timeout: 30s
"#;

fn specs_topic(cx: &Context) -> Result<()> {
    let out = cx.out();
    out.wrapped(
        "A pipeline is a YAML or JSON document in Pachyderm's format. A file holds one or several: pv pipeline apply -f FILE",
    )?;
    out.wrapped("The inputs of a datum are below /pfs/NAME, and what it writes to /pfs/out is its output.")?;
    out.line("")?;
    SPEC.lines().try_for_each(|line| out.line(format!("  {line}")))?;
    for section in sections() {
        print_section(cx, &section)?;
    }
    out.line("")?;
    out.wrapped(
        "Field names may also be in camelCase. An unknown field is an error that shows its place and the nearest name.",
    )?;
    out.wrapped("pv pipeline new NAME --input REPO:GLOB -- CMD prints a spec to start from; pv schema prints the JSON Schema for editors.")
}

fn print_section(cx: &Context, section: &Section) -> Result<()> {
    cx.out().line("")?;
    cx.out().line(cx.out().paint(1, section.title))?;
    let row = |field: &specs::spec::guide::Described| {
        vec![format!("  {}", field.name), field.shape.clone(), field.about.to_owned()]
    };
    cx.columns(
        // Invisible names, one for each column.
        &Columns { header: &["", " ", "  "], gives_up: &[" "], shortens: &[] },
        section.fields.iter().map(row).collect(),
    )?;
    let names = |list: &[&str]| list.join(" ");
    if !section.ignored.is_empty() {
        cx.out().branch("  ignored, with a warning: ", "    ", &names(&section.ignored))?;
    }
    section
        .refused
        .iter()
        .try_for_each(|(name, why)| cx.out().branch("  ", "    ", &format!("refused: {name}, because {why}")))
}

/// How things are named: the notation, and its meaning.
const REFERENCES: &[(&str, &str)] = &[
    ("images", "the newest commit of the default branch"),
    ("images@release", "the newest commit of a branch, or the commit of a tag"),
    ("images@77ab01c2", "a commit, by the first digits of its id (4 at least)"),
    ("images@6e0b2f17", "the commit that a run made or used here; also by a commit id of another repository"),
    ("images@release@6e0b2f17", "the same, on one of several branches"),
    ("images@main~2", "two commits before; also written ^2 or ^^"),
    ("images@main~1:/cam7/x.jpg", "a file or directory of a commit; paths begin with / and are literal"),
];
const OTHERS: &[(&str, &str)] = &[
    ("@6e0b2f17", "a run: all jobs that one change caused"),
    ("detect", "a pipeline; where a job is expected, its newest job"),
    ("detect@6e0b2f17", "the job of a pipeline in a run"),
    ("0b77c1aa", "a datum, by the first digits of its id"),
    ("detect@6e0b2f17/0b77c1aa", "a datum of a job; detect/0b77c1aa for the newest job"),
    ("threat:/cam7/x.json", "where a datum is expected: the datum that wrote this file"),
    ("detect --input /cam7/x.jpg", "where a datum is expected: the datum that read this file"),
];

fn references(cx: &Context) -> Result<()> {
    let rows = |list: &[(&str, &str)]| {
        list.iter().map(|(written, means)| vec![format!("  {written}"), (*means).to_owned()]).collect::<Vec<_>>()
    };
    cx.out().line("Data: REPO[@REV][:/PATH]\n")?;
    cx.table(&[], rows(REFERENCES))?;
    cx.out().line("\nRuns, jobs, datums\n")?;
    cx.table(&[], rows(OTHERS))?;
    cx.out().line("")?;
    cx.out().wrapped("A name takes precedence over an id. An ambiguous id is an error that lists all matches. pv log lists runs; pv log REPO lists commits.")
}

fn globs(cx: &Context) -> Result<()> {
    cx.out().wrapped("The glob of an input selects the files and directories that become datums: `/` makes the whole commit one datum, `/*` makes each top-level entry a datum, `/*/*.jpg` each image one level down.")?;
    cx.out().line("")?;
    let rows = glob::syntax().into_iter().map(|(written, matches)| vec![format!("  {written}"), matches]);
    cx.table(&[], rows.collect())?;
    cx.out().line("")?;
    cx.out().wrapped(glob::notes())?;
    cx.out().wrapped("Parts in parentheses are captured as `$1`, `$2`, … for `join_on` and `group_by`: with the glob `/(*)_*.jpg`, `$1` of /cam7_1511.jpg is cam7.")
}

fn settings(cx: &Context) -> Result<()> {
    cx.out().line("pv config set KEY VALUE; pv config list shows what is set.\n")?;
    for setting in setting::ALL {
        cx.out().line(cx.out().paint(1, setting.name))?;
        cx.out().wrapped(format!("  {}", setting.about))?;
        let default =
            if setting.default.is_empty() { String::new() } else { format!("; default: {}", setting.default) };
        cx.out().wrapped(format!("  value: {}{default}", setting.what))?;
        cx.out().wrapped(format!("  takes effect {}", setting.counts))?;
    }
    Ok(())
}

fn transactions(cx: &Context) -> Result<()> {
    cx.out().line("pv txn FILE applies all lines of a file together, or none of them.\n")?;
    cx.out().line(engine::transaction::FORMAT)
}

fn exit_codes(cx: &Context) -> Result<()> {
    let mut rows = vec![vec!["0".to_owned(), String::new(), "done".to_owned()]];
    rows.extend(ErrorKind::ALL.map(|kind| {
        let word =
            serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        vec![kind.exit_code().to_string(), word, kind.meaning().to_owned()]
    }));
    rows.push(vec!["130".to_owned(), String::new(), "ended by Ctrl-C".to_owned()]);
    rows.push(vec!["143".to_owned(), String::new(), "ended by SIGTERM".to_owned()]);
    cx.table(&["CODE", "ERROR.KIND", "MEANING"], rows)?;
    cx.out().line("")?;
    cx.out().wrapped("With --json the last line on stderr is {\"error\": {kind, exit_code, message, causes, hint, done}}. A closed output pipe is not an error.")
}

#[cfg(test)]
mod tests {
    use specs::{DatumRef, JobRef, Reference, RunRef, parse_specs};

    use super::*;

    #[test]
    fn the_spec_that_is_shown_is_one() {
        let set = parse_specs(&[("spec".to_owned(), SPEC.to_owned())]);
        assert_eq!((set.specs.len(), set.diagnostics.len()), (1, 0), "{:?}", set.diagnostics);
    }

    #[test]
    fn what_is_said_of_references_is_read_as_such() {
        for (written, _) in REFERENCES {
            assert!(written.parse::<Reference>().is_ok(), "{written}");
        }
        for (written, _) in OTHERS {
            let word = written.split(" --").next().unwrap();
            let is_known =
                word.parse::<RunRef>().is_ok() || word.parse::<JobRef>().is_ok() || word.parse::<DatumRef>().is_ok();
            assert!(is_known, "{written}");
        }
    }
}
