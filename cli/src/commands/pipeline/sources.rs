//! Spec files: named files, all files of a folder, templates, a web address, or standard input.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use engine::apply::{SpecFolder, SpecListing, SpecSources, upload_specs};
use repos::RepoError;
use repos::web::WebUrl;
use specs::spec::MAX_FILE_BYTES;
use specs::{Diagnostic, RepoName, SpecSet, parse_specs};

use super::jsonnet::{self, Argument};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::invocation::files::{Files, PathKind, Question};
use crate::invocation::{Far, Part};
use crate::output::{diagnostic_text, plural};
use crate::remote::client::Outgoing;

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
pub(in crate::commands) struct SpecFiles {
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
pub(crate) struct Specs {
    /// The specs, with the problems found in them.
    pub(in crate::commands) set: SpecSet,
    /// The folder of each file, to which paths in it are relative.
    pub(in crate::commands) folders: SpecSources,
}

impl SpecFiles {
    /// Reads these files and folders.
    pub(in crate::commands) fn named(file: Vec<PathBuf>) -> Self {
        Self { file, jsonnet: Vec::new(), arguments: Vec::new() }
    }

    /// Reads all files, so that they are noted. Problems of templates are errors, since a server does not render them; it finds all others.
    pub(in crate::commands) fn read_files(&self, cx: &Context) -> Result<Option<Specs>> {
        let has_templates = self.paths(cx).is_ok_and(|paths| paths.iter().any(|(_, is_template)| *is_template));
        match self.read(cx) {
            Ok(specs) => Ok(Some(specs)),
            Err(error) if has_templates => Err(error),
            Err(_) => Ok(None),
        }
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
            let mut text = if is_address { fetch(cx.files(), &shown, MAX_FILE_BYTES)? } else { read(cx, &path)? };
            if is_template {
                text = self.rendered(cx, &path, &shown, &text)?;
                templates += 1;
            }
            total += text.len();
            if total > MAX_BYTES {
                return Err(CliError::usage("the spec files exceed 64 MiB in total", "apply them in parts"));
            }
            files.push((name.clone(), text));
            // Standard input counts as a file in the current folder.
            let folder = path.parent().filter(|_| name != STDIN && !is_address).unwrap_or(Path::new(""));
            folders.insert(name, cx.invocation().cwd.join(folder).into());
        }
        if templates == 0 && !self.arguments.is_empty() {
            return Err(CliError::usage("--arg is for Jsonnet templates, but none is given", "--jsonnet FILE"));
        }
        let mut specs = Specs { set: parse_specs(&files), folders };
        if let Some(far) = cx.invocation().client.is_far() {
            specs.folders = sent_folders(cx.store()?, far, &specs)?;
        }
        Ok(specs)
    }

    /// The rendered template. The caller's machine renders, since nothing bounds the time that a template takes.
    fn rendered(&self, cx: &Context, path: &Path, shown: &str, text: &str) -> Result<String> {
        let Some(here) = cx.files().here(path) else {
            let sent = cx.files().sent_text(Question::Rendered, path);
            return sent.map_err(|error| CliError::io(format!("cannot render `{shown}`"), &error));
        };
        let rendered = jsonnet::render(&here, shown, text, &self.arguments)?;
        cx.files().note(Question::Rendered, path, rendered.clone().into_bytes());
        Ok(rendered)
    }

    /// The files, as the user named them, and whether each is a template.
    fn paths(&self, cx: &Context) -> Result<Vec<(PathBuf, bool)>> {
        let mut paths = Vec::new();
        for given in &self.file {
            if !is_address(given) && cx.files().kind(given) == PathKind::Folder {
                paths.extend(in_folder(cx, given)?.into_iter().map(|path| (path, false)));
            } else {
                paths.push((given.clone(), given.extension().is_some_and(|ending| ending == TEMPLATE)));
            }
        }
        paths.extend(self.jsonnet.iter().map(|given| (given.clone(), true)));
        Ok(paths)
    }
}

impl Specs {
    /// Sends the code of the specs to a store elsewhere, on the caller's machine; returns a message about all folders.
    pub(in crate::commands) fn upload(&self, to: &Outgoing) -> Result<Vec<u8>> {
        let listings = upload_specs(&self.set, &self.folders, to)?;
        // Documents need a form that says what it holds.
        Ok(serde_json::to_vec(&listings).expect("listings have a form"))
    }
}

/// Has the client on another machine send the code of specs; returns what the folders of the specs are for an apply here.
fn sent_folders(store: &Store, far: &Far, specs: &Specs) -> Result<SpecSources> {
    let sees = |repo: &RepoName| store.sees(repo);
    let (listings, from) = crate::commands::put::sent(store, (far, Part::Sources), &sees)?;
    let mut listings: BTreeMap<String, SpecListing> = serde_json::from_slice(&listings)
        .map_err(|_| CliError::usage("the list of code cannot be read", "use the same version of pv on both sides"))?;
    let folder = |name: &String| {
        let listing = listings.remove(name).unwrap_or_default();
        Ok((name.clone(), SpecFolder::listed(store, listing, &from)?))
    };
    specs.folders.keys().map(folder).collect()
}

fn in_folder(cx: &Context, folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| CliError::io(format!("cannot read `{}`", folder.display()), &error);
    let (mut paths, mut templates) = (Vec::new(), 0);
    for name in cx.files().names(folder).map_err(unreadable)? {
        let path = folder.join(&name);
        let is_spec = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if is_spec && cx.files().kind(&path) == PathKind::File {
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
fn fetch(files: &Files, address: &str, most: usize) -> Result<String> {
    let url = WebUrl::parse(address)?;
    if !url.is_private() {
        let hint = format!("https{}", url.origin().trim_start_matches("http"));
        return Err(CliError::usage(format!("`{url}`: content sent over http can be changed on the way"), hint));
    }
    let bytes = files.web(address, || {
        let mut bytes = Vec::new();
        url.open().map_err(std::io::Error::other)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = bytes.map_err(|error| match error.downcast::<RepoError>() {
        Ok(error) => error.into(),
        Err(error) => CliError::io(format!("cannot read `{url}`"), &error),
    })?;
    let text = Some(bytes).filter(|bytes| bytes.len() <= most).and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| CliError::usage(format!("`{url}` is not UTF-8 text, or is too long"), "name a spec"))
}

/// Prints warnings, in the style of compilers.
pub(in crate::commands) fn warn(cx: &Context, warnings: &[Diagnostic]) {
    for warning in warnings {
        cx.notes().line(diagnostic_text(warning, cx.notes().color()));
    }
}
