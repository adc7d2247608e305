//! Rewrites packs from their intact entries.

use std::path::PathBuf;

use specs::Digest;

use super::{Done, Mirror, Report, Store, Subject};
use crate::base::durable::sync_folder;
use crate::base::error::{IoContext, RepoError};
use crate::base::kind::Kind;
use crate::objects::packs::codec::unpack;
use crate::objects::packs::format::Row;
use crate::objects::packs::scan::scan;
use crate::objects::packs::writer::{finish, read_index};
use crate::objects::packs::{PackName, PackStore};
use crate::store::Result;

/// Rewrites every damaged pack, and restores missing packs that the mirror has.
pub(super) fn rewrite(store: &Store, report: &Report, mirror: Option<&Mirror>, done: &mut Vec<Done>) -> Result<()> {
    let lengths = store.packs().list()?;
    for name in &report.damaged_packs {
        let Some((_, length)) = lengths.iter().find(|(listed, _)| listed == name) else { continue };
        let rows = match read_index(store.packs(), name, *length) {
            Err(RepoError::DamagedPack { .. }) => scan(store.packs(), name, *length)?.rows,
            rows => rows?,
        };
        let copied = copy(store.packs(), name, rows, store.packs())?;
        for row in &copied.damaged {
            let stored = store.packs().read(name, row.stored_range())?;
            put_aside(store, &aside_name(row), &stored)?;
        }
        if copied.name != Some(*name) {
            store.packs().remove(name)?;
        }
        let how = match copied.damaged.len() {
            0 => format!("rewritten from its {} intact entries", copied.whole),
            lost => format!("rewritten from its {} intact entries; {lost} were lost", copied.whole),
        };
        done.push(Done { subject: Subject::Pack(*name), how, is_healed: true });
    }
    for problem in &report.problems {
        let (Subject::Pack(name), Some(mirror)) = (problem.subject, mirror) else { continue };
        let is_missing = !lengths.iter().any(|(listed, _)| *listed == name);
        let there = mirror.packs().list()?.into_iter().find(|(listed, _)| is_missing && *listed == name);
        if let Some((_, length)) = there {
            copy(mirror.packs(), &name, mirror.rows(&name, length)?, store.packs())?;
            let how = "taken from the mirror".to_owned();
            done.push(Done { subject: problem.subject, how, is_healed: true });
        }
    }
    Ok(())
}

struct Copied {
    /// The name of the new pack; `None` if nothing was intact.
    name: Option<PackName>,
    whole: usize,
    damaged: Vec<Row>,
}

/// Copies the intact entries of a pack to a new one, as stored. If all are intact, the new pack has the same name.
fn copy(from: &dyn PackStore, name: &PackName, mut rows: Vec<Row>, to: &dyn PackStore) -> Result<Copied> {
    rows.sort_unstable_by_key(|row| row.offset);
    let mut file = to.create(name.class)?;
    let (mut whole, mut damaged) = (Vec::new(), Vec::new());
    for row in rows {
        let stored = from.read(name, row.stored_range())?;
        if unpack(&row, stored.clone()).is_none() {
            damaged.push(row);
            continue;
        }
        let row = Row { offset: file.length(), ..row };
        file.append(&[&row.entry_header(), &stored])?;
        whole.push(row);
    }
    if whole.is_empty() {
        file.discard()?;
        return Ok(Copied { name: None, whole: 0, damaged });
    }
    let count = whole.len();
    let finished = finish(&mut *file, &[], whole)?;
    Ok(Copied { name: Some(finished.name), whole: count, damaged })
}

fn aside_folder(store: &Store) -> PathBuf {
    store.folder().join("damaged")
}

fn aside_name(row: &Row) -> String {
    let kind = Kind::from_number(row.kind).map_or_else(|| format!("kind{}", row.kind), |kind| kind.to_string());
    format!("{kind}-{}", row.digest)
}

/// Keeps damaged bytes: they may still be useful to someone.
pub(super) fn put_aside(store: &Store, name: &str, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let folder = aside_folder(store);
    std::fs::create_dir_all(&folder).doing("create", &folder)?;
    let path = folder.join(name);
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.doing("write", &path)?;
    sync_folder(&folder)
}

/// Removes data set aside for objects that are intact again.
pub(super) fn clear_aside(store: &Store) -> Result<()> {
    let folder = aside_folder(store);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
        let object = name.and_then(|(word, digest)| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
            Some((kind, digest.parse::<Digest>().ok()?))
        });
        if object.is_some_and(|(kind, digest)| matches!(store.find_object(kind, &digest), Ok(Some(_)))) {
            std::fs::remove_file(&path).doing("remove", &path)?;
        }
    }
    // Succeeds only if it is empty.
    std::fs::remove_dir(&folder).ok();
    Ok(())
}
