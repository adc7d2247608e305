//! What read a file, as two tables: a line a pipeline, and a line a datum.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine::trace::{Forward, Reader};
use repos::documents::ResultState;
use specs::PipelineName;

use super::words::{file_line, short_job};
use crate::context::Context;
use crate::error::Result;
use crate::output::{plural, table};

/// Datums that a terminal shows.
const ON_A_TERMINAL: usize = 20;

/// What the datums of one pipeline made of it.
#[derive(Default)]
struct Made {
    datums: u64,
    files: u64,
    without_files: u64,
    at_head: u64,
}

pub(super) fn print(cx: &Context, found: &Forward) -> Result<()> {
    let Forward { repo, commit, path, size_bytes, digest, readers } = found;
    cx.out().line(file_line(cx.store()?, (repo, commit, path), *size_bytes, digest)?)?;
    if readers.is_empty() {
        return cx.out().line("no datum read it");
    }
    cx.out().line("")?;
    cx.out().bytes(by_pipeline(readers).as_bytes())?;
    cx.out().line("")?;
    cx.out().bytes(by_datum(cx, readers)?.as_bytes())
}

fn by_pipeline(readers: &[Reader]) -> String {
    let mut order: Vec<&PipelineName> = Vec::new();
    let mut made: BTreeMap<&PipelineName, Made> = BTreeMap::new();
    for reader in readers {
        if !made.contains_key(&reader.pipeline) {
            order.push(&reader.pipeline);
        }
        let files = reader.outputs.len() as u64;
        let sum = made.entry(&reader.pipeline).or_default();
        sum.datums += 1;
        sum.files += files;
        sum.without_files += u64::from(files == 0);
        sum.at_head += if reader.at_head { files } else { 0 };
    }
    let line = |name: &&PipelineName| {
        let made = &made[*name];
        let none = if made.without_files > 0 { format!("; {} wrote none", made.without_files) } else { String::new() };
        let files = plural(made.files, "file", "files") + &none;
        vec![name.to_string(), plural(made.datums, "datum", "datums"), files, made.at_head.to_string()]
    };
    table(&["REPOSITORY", "READ BY", "MADE", "STILL AT HEAD"], order.iter().map(line).collect())
}

fn by_datum(cx: &Context, readers: &[Reader]) -> Result<String> {
    let store = cx.store()?;
    let most = if cx.out().is_terminal() { ON_A_TERMINAL } else { usize::MAX };
    let mut lines = Vec::new();
    for reader in readers.iter().take(most) {
        let state = match reader.state {
            ResultState::Success => "success",
            ResultState::Recovered => "recovered",
            ResultState::Failed => "failed",
        };
        let count = plural(reader.outputs.len() as u64, "file", "files");
        let made = match reader.outputs.as_slice() {
            [] => count,
            [one] => format!("{count}  {one}"),
            [first, ..] => format!("{count}  {first} …"),
        };
        let (repo, path) = &reader.read;
        let job = short_job(store, &reader.job)?;
        lines.push(vec![job, reader.datum.short(8), state.to_owned(), format!("{repo}:{path}"), made]);
    }
    let mut text = table(&["JOB", "DATUM", "STATE", "READ", "MADE"], lines);
    if readers.len() > most {
        let _ = writeln!(text, "…  {} more: --json", readers.len() - most);
    }
    Ok(text)
}
