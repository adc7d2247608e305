//! Example content: a repository of three notes and two pipelines in plain `sh`, which run on any Linux without an image.

use std::path::Path;

use answers::setting::EXECUTOR;
use engine::apply::{self, Request, SpecSources};
use engine::changes::{self, NewCommit};
use repos::files::Edits;
use repos::tree::FileEntry;
use specs::parse_specs;

use crate::author::by;
use crate::commands::choose_executor::choose_executor;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};

const SPECS: &str = include_str!("example.yml");
const SPECS_FILE: &str = "example.yml";
const NOTES: [(&str, &str); 3] =
    [("/monday.txt", "rain all day\n"), ("/tuesday.txt", "sun and a little wind\n"), ("/friday.txt", "fog\n")];

/// Adds the example to a new store in `dir`.
pub(super) fn fill(cx: &Context, store: &Store, dir: &Path) -> Result<()> {
    let by = by(cx, None);
    let repo = "notes".parse().expect("a legal name");
    changes::create_repo(store, &repo)?;
    let mut edits = Edits::default();
    for (path, text) in NOTES {
        let stored = store.put_bytes(text.as_bytes())?;
        let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        edits.files.insert(path.parse().expect("a legal path"), Some(file));
    }
    let branch = store.default_branch()?;
    let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &by, message: "three notes" };
    changes::commit(store, &new, |_| Ok(edits.clone()))?;

    let file = dir.join(SPECS_FILE);
    if !file.exists() {
        std::fs::File::create(&file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, SPECS.as_bytes()))
            .map_err(|error| CliError::io(format!("cannot write `{}`", file.display()), &error))?;
    }
    // Containers need an image; `sh` is everywhere.
    store.set_setting(&EXECUTOR, Some("process"))?;
    let set = parse_specs(&[(SPECS_FILE.to_owned(), SPECS.to_owned())]);
    let sources = SpecSources::from([(SPECS_FILE.to_owned(), dir.into())]);
    cx.block_on(async {
        let executor = choose_executor(cx, store).await?.executor;
        let request =
            Request { set: &set, sources: &sources, by: &by, dry: false, on_pull: &|_| {}, announce: &|_| {} };
        Ok::<_, CliError>(apply::apply(store, executor.as_ref(), request).await?)
    })??;
    Ok(())
}
