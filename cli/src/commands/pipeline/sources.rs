//! Spec files: named files, all files of a folder, templates, a web address, or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use engine::apply::SpecSources;
use repos::RepoError;
use repos::web::WebUrl;
use serde::Serialize;
use specs::spec::MAX_FILE_BYTES;
use specs::{Diagnostic, SpecSet, parse_specs};

use super::jsonnet::{self, Argument};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{diagnostic_text, plural};

/// The name of standard input in messages.
const STDIN: &str = "stdin";
/// Most bytes of all files that are read together.
const MAX_BYTES: usize = 64 << 20;
/// Extensions of spec files in a folder.
const ENDINGS: [&str; 3] = ["yml", "yaml", "json"];

/// Extension of templates. Those in a folder are ignored, since each may need other arguments.
const TEMPLATE: &str = "jsonnet";

/// Which files.
#[derive(clap::Args, Debug)]
pub(in crate::commands) struct Files {
    /// Spec files, or folders (all `*.yml`, `*.yaml` and `*.json` in them); `-` is standard input
    ///
    /// A `*.jsonnet` file is rendered, with each `--arg` passed to its function. `https://` URLs are fetched.
    #[arg(short, long = "file", value_name = "FILE|DIR", required_unless_present = "jsonnet", num_args = 1..)]
    file: Vec<PathBuf>,
    /// Jsonnet template, whatever its extension
    #[arg(long, value_name = "FILE")]
    jsonnet: Vec<PathBuf>,
    /// Argument for the templates; may be repeated
    #[arg(long = "arg", value_name = "KEY=VALUE")]
    arguments: Vec<Argument>,
}

/// Specs that were read.
pub(in crate::commands) struct Specs {
    /// The specs, with the problems found in them.
    pub(in crate::commands) set: SpecSet,
    /// The folder of each file, to which paths in it are relative.
    pub(in crate::commands) folders: SpecSources,
}

impl Files {
    /// Reads these files and folders.
    pub(in crate::commands) fn named(file: Vec<PathBuf>) -> Self {
        Self { file, jsonnet: Vec::new(), arguments: Vec::new() }
    }

    /// Reads and parses all files.
    pub(in crate::commands) fn read(&self, cx: &Context) -> Result<Specs> {
        let mut files: Vec<(String, String)> = Vec::new();
        let mut folders = SpecSources::new();
        let mut total = 0;
        let mut templates = 0;
        for (path, is_template) in self.paths(cx)? {
            let is_address = is_address(&path);
            let shown = if path == Path::new("-") { STDIN.to_owned() } else { path.display().to_string() };
            let name = if is_template { format!("{shown}, rendered") } else { shown.clone() };
            if folders.contains_key(&name) {
                continue; // named twice
            }
            let mut text = if is_address { fetch(&shown, MAX_FILE_BYTES)? } else { read(cx, &path)? };
            if is_template {
                text = jsonnet::render(&cx.path(&path), &shown, &text, &self.arguments)?;
                templates += 1;
            }
            total += text.len();
            if total > MAX_BYTES {
                return Err(CliError::usage("the spec files exceed 64 MiB in total", "apply them in parts"));
            }
            files.push((name.clone(), text));
            // Standard input counts as a file in the current folder.
            let folder = path.parent().filter(|_| name != STDIN && !is_address).unwrap_or(Path::new(""));
            folders.insert(name, cx.invocation().cwd.join(folder));
        }
        if templates == 0 && !self.arguments.is_empty() {
            return Err(CliError::usage("--arg is for Jsonnet templates, but none is given", "--jsonnet FILE"));
        }
        Ok(Specs { set: parse_specs(&files), folders })
    }

    /// The files, as the user named them, and whether each is a template.
    fn paths(&self, cx: &Context) -> Result<Vec<(PathBuf, bool)>> {
        let mut paths = Vec::new();
        for given in &self.file {
            if !is_address(given) && cx.path(given).is_dir() {
                paths.extend(in_folder(cx, given)?.into_iter().map(|path| (path, false)));
            } else {
                paths.push((given.clone(), given.extension().is_some_and(|ending| ending == TEMPLATE)));
            }
        }
        paths.extend(self.jsonnet.iter().map(|given| (given.clone(), true)));
        Ok(paths)
    }
}

fn in_folder(cx: &Context, folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| CliError::io(format!("cannot read `{}`", folder.display()), &error);
    let (mut paths, mut templates) = (Vec::new(), 0);
    for entry in std::fs::read_dir(cx.path(folder)).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let path = folder.join(&name);
        let is_spec = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if is_spec && cx.path(&path).is_file() {
            paths.push(path);
        } else if path.extension().is_some_and(|ending| ending == TEMPLATE) {
            templates += 1;
        }
    }
    if templates > 0 {
        let templates = plural(templates, "template", "templates");
        cx.notes()
            .line(format!("skipped: {templates} in `{}`; name each explicitly, as in -f X.jsonnet", folder.display()));
    }
    if paths.is_empty() {
        let message = format!("`{}` contains no spec: no *.yml, *.yaml or *.json", folder.display());
        return Err(CliError::usage(message, "name another folder, or a file"));
    }
    paths.sort();
    Ok(paths)
}

fn read(cx: &Context, path: &Path) -> Result<String> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    cx.read_text(path, &name, MAX_FILE_BYTES as u64, "pv pipeline new prints an example")
}

/// Whether a file is given as a web address.
fn is_address(file: &Path) -> bool {
    file.to_str().is_some_and(WebUrl::is_meant_by)
}

/// The text at an address, of at most `most` bytes.
fn fetch(address: &str, most: usize) -> Result<String> {
    let url = WebUrl::parse(address)?;
    if !url.is_private() {
        let hint = format!("https{}", url.origin().trim_start_matches("http"));
        return Err(CliError::usage(format!("`{url}`: content sent over http can be changed on the way"), hint));
    }
    let mut bytes = Vec::new();
    let read = url.open()?.take(most as u64 + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| match error.downcast::<RepoError>() {
        Ok(error) => error.into(),
        Err(error) => CliError::io(format!("cannot read `{url}`"), &error),
    })?;
    let text = String::from_utf8(bytes).ok().filter(|_| length <= most);
    text.ok_or_else(|| CliError::usage(format!("`{url}` is not UTF-8 text, or is too long"), "name a spec"))
}

/// A warning, for programs.
#[derive(Serialize)]
pub(in crate::commands) struct WarningView<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    message: &'a str,
    hint: &'a Option<String>,
}

impl<'a> From<&'a Diagnostic> for WarningView<'a> {
    fn from(warning: &'a Diagnostic) -> Self {
        let Diagnostic { file, place, message, hint, .. } = warning;
        Self { file, line: place.line, column: place.column, message, hint }
    }
}

/// Prints warnings, in the style of compilers.
pub(in crate::commands) fn warn(cx: &Context, warnings: &[Diagnostic]) {
    for warning in warnings {
        cx.notes().line(diagnostic_text(warning, cx.notes().color()));
    }
}
