//! The order of the modules of a crate, and whether its paths keep to it.
//!
//! A crate states its order once, in the documentation of its `lib.rs` or `main.rs`: the `text` block after the words *from ground to
//! roof*, one module per line, its name first. A `mod.rs` may do the same for the modules of its folder. A module may use those before it
//! in that list and none after it, including tests in its files; each module of the folder is in the list once.
//!
//! The test reads the paths that begin with `crate` or `super`, in `use` lines and elsewhere. Calls of methods contain no path: so a module
//! must not add methods to a type of another one (by `impl Type`), where modules below could call them undetected. A name that `lib.rs`
//! re-exports counts as the module that it comes from; items defined in `lib.rs` itself are above all modules.
//!
//! - `tokens` the code of a source file, and the paths in it

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod tokens;

use tokens::{Named, inherent_impls, paths_in, re_exports};
pub(crate) use tokens::{paths_of, words_of};

/// The words before the list.
const WORDS: &str = "from ground to roof";

/// Uses between modules: (module, module that it uses) → places.
pub type Arrows = BTreeMap<(String, String), Vec<String>>;

/// A folder whose modules have an order.
#[derive(Debug)]
pub struct Rooms {
    /// From ground to roof.
    order: Vec<String>,
    arrows: Arrows,
    faults: Vec<String>,
}

/// Panics with all faults unless every ordered folder of a crate keeps to its order. `src` is the crate's `src` folder, whose `lib.rs` or
/// `main.rs` has an order.
///
/// # Panics
/// If a module uses one that is not below it, is not in the list, or is listed without existing.
pub fn assert_order(src: &Path) {
    assert!(Rooms::read(src, &[]).is_some(), "{} has no list of its modules {WORDS}", src.display());
    let faults: Vec<String> = ordered(src, &[]).into_iter().flat_map(|rooms| rooms.faults()).collect();
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

/// All ordered folders at and below `folder`, which is the module of this path.
fn ordered(folder: &Path, module: &[String]) -> Vec<Rooms> {
    let mut all: Vec<Rooms> = Rooms::read(folder, module).into_iter().collect();
    for name in modules_of(folder) {
        let below = folder.join(&name);
        if below.is_dir() {
            all.extend(ordered(&below, &[module, &[name]].concat()));
        }
    }
    all
}

impl Rooms {
    /// Reads a folder, which is the module of this path below the crate; `None` without an order.
    ///
    /// # Panics
    /// If a file cannot be read.
    pub fn read(folder: &Path, module: &[String]) -> Option<Self> {
        let root = ["lib.rs", "main.rs", "mod.rs"].iter().map(|name| folder.join(name)).find(|path| path.exists())?;
        let text = read(&root);
        let order = order_in(&text)?;
        let modules = modules_of(folder);
        let mut rooms = Self { order, arrows: Arrows::new(), faults: Vec::new() };
        rooms.check_list(&modules, &root);
        let from = re_exports(&text);
        for room in &modules {
            for file in files_of(folder, room) {
                rooms.add(module, room, &file, &from);
            }
        }
        Some(rooms)
    }

    /// The uses between modules.
    pub fn arrows(&self) -> &Arrows {
        &self.arrows
    }

    /// All faults, one per line: modules missing from the list, listed modules that do not exist, and places with a use of a higher module.
    pub fn faults(&self) -> Vec<String> {
        let place = |room: &String| self.order.iter().position(|name| name == room);
        let up = self.arrows.iter().filter(|((from, to), _)| place(to) >= place(from) || place(to).is_none());
        let lines = up.flat_map(|((from, to), places)| {
            places.iter().map(move |place| format!("{place}: `{from}` names `{to}`, which is not below it"))
        });
        self.faults.iter().cloned().chain(lines).collect()
    }

    fn check_list(&mut self, modules: &BTreeSet<String>, root: &Path) {
        let listed: BTreeSet<String> = self.order.iter().cloned().collect();
        if listed.len() < self.order.len() {
            self.faults.push(format!("{}: a module is listed twice", root.display()));
        }
        for name in listed.symmetric_difference(modules) {
            self.faults.push(format!("{}: `{name}` is listed or there, but not both", root.display()));
        }
    }

    /// Adds what a file of `room` uses in the folder that is the module `scope`.
    fn add(&mut self, scope: &[String], room: &str, file: &(PathBuf, Vec<String>), from: &BTreeMap<String, String>) {
        let (path, below) = file;
        let own = [scope, &[room.to_owned()], below].concat();
        let (text, mut foreign) = (read(path), BTreeSet::new());
        for Named { line, path: named } in paths_in(&text, &own) {
            let Some(name) = named.strip_prefix(scope).and_then(|rest| rest.first()) else { continue };
            let to = from.get(name).filter(|_| !self.order.contains(name)).unwrap_or(name);
            if to != room {
                foreign.extend(named.last().cloned());
                let place = format!("{}:{line}", path.display());
                self.arrows.entry((room.to_owned(), to.clone())).or_default().push(place);
            }
        }
        for (line, name) in inherent_impls(&text).into_iter().filter(|(_, name)| foreign.contains(*name)) {
            let fault = format!("{}:{line}: `{room}` adds methods to `{name}` of another module", path.display());
            self.faults.push(fault);
        }
    }
}

/// The list in the documentation of a module.
fn order_in(text: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.find(|line| line.to_lowercase().contains(WORDS))?;
    lines.find(|line| line.trim() == "```text")?;
    let names = lines.take_while(|line| line.trim() != "```");
    // An indented line continues the previous one.
    let names = names.filter(|line| !line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    Some(names.map(str::to_owned).collect())
}

/// The modules of a folder by the names of its files and folders.
fn modules_of(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |path: PathBuf| {
        let is_module = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
        path.file_stem().filter(|_| is_module).map(|stem| stem.to_string_lossy().into_owned())
    };
    let names = entries.filter_map(|entry| name(entry.expect("an entry of a folder").path()));
    names.filter(|name| !["lib", "main", "mod"].contains(&name.as_str())).collect()
}

/// The files of a module of `folder`, each with its path below the module.
fn files_of(folder: &Path, module: &str) -> Vec<(PathBuf, Vec<String>)> {
    let mut files = Vec::new();
    let file = folder.join(format!("{module}.rs"));
    if file.exists() {
        files.push((file, Vec::new()));
    }
    let folder = folder.join(module);
    if folder.is_dir() {
        let root = folder.join("mod.rs");
        if root.exists() {
            files.push((root, Vec::new()));
        }
        for name in modules_of(&folder) {
            let below = files_of(&folder, &name).into_iter();
            files.extend(below.map(|(file, path)| (file, [vec![name.clone()], path].concat())));
        }
    }
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "//! A crate, from ground to roof:\n//!\n//! ```text\n//! base  what all use\n//!       and more\n//! shop  sells\n//! ```\n//! Not here: cash.\npub mod shop;\nmod base;\npub use base::{Coin, coin::Mint as Maker};\npub fn main() {}\n";

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let src = folder.path();
        for (name, text) in [("lib.rs", ROOT), ("base.rs", ""), ("shop.rs", "")].iter().chain(files) {
            fs::create_dir_all(src.join(name).parent().unwrap()).unwrap();
            fs::write(src.join(name), text).unwrap();
        }
        let faults = ordered(src, &[]).into_iter().flat_map(|rooms| rooms.faults());
        faults.map(|fault| fault.replace(&format!("{}/", src.display()), "")).collect()
    }

    #[test]
    fn an_arrow_down_is_fine_and_one_up_is_told_with_its_place() {
        assert!(faults(&[("shop.rs", "use crate::base::Coin;\nuse crate::{Maker, base};\n")]).is_empty());
        let up = "base.rs:2: `base` names `shop`, which is not below it";
        for text in [
            "\nuse crate::shop::Till;",
            "\nuse super::shop;",
            "\nuse crate::{base::x, shop::{a, b}};",
            "\nfn f() -> crate::shop::Till { todo!() }",
            "mod tests {\nuse super::super::shop;\n}",
            "/* a\n*/ const X: &str = crate :: shop :: NAME;",
        ] {
            assert!(
                faults(&[("base.rs", text)]).contains(&up.to_owned()),
                "{text}: {:?}",
                faults(&[("base.rs", text)])
            );
        }
        let deep = faults(&[("base/coin.rs", "use super::super::shop;"), ("base/mod.rs", "use self::coin;")]);
        assert_eq!(deep, ["base/coin.rs:1: `base` names `shop`, which is not below it"]);
    }

    #[test]
    fn what_is_not_code_and_what_is_of_the_module_itself_is_no_arrow() {
        let text = "//! crate::shop\n/// [`crate::shop`]\n// crate::shop\nconst A: &str = \"crate::shop \\\" crate::shop\";\n\
                    const B: &str = r#\"crate::shop \" \"#;\nconst C: char = '\"'; const D: u8 = b'\\''; fn f<'a>(_: &'a str) {}\n\
                    pub(crate) mod tests { use super::*; fn g() -> super::Coin { todo!() } } use crate::base::x;";
        assert_eq!(faults(&[("base.rs", text)]), Vec::<String>::new());
    }

    #[test]
    fn names_of_the_crate_itself_count_as_where_they_come_from() {
        assert!(faults(&[("shop.rs", "use crate::Coin;")]).is_empty());
        assert!(faults(&[("base.rs", "use crate::Coin;")]).is_empty());
        let above = "shop.rs:1: `shop` names `main`, which is not below it";
        assert_eq!(faults(&[("shop.rs", "fn f() { crate::main() }")]), [above]);
    }

    #[test]
    fn methods_are_added_where_their_type_is() {
        let text = "use crate::base::{Coin, Pay, Note};\nimpl<'a> Coin<'a> { fn f() {} }\nimpl Pay for Coin {}\nimpl Till {}\n\
                    fn f(_: impl Pay) -> impl Pay { todo!() }\nimpl<T: Pay> Note<T> where T: Pay { fn f() {} }";
        let told = |line: u32, name: &str| format!("shop.rs:{line}: `shop` adds methods to `{name}` of another module");
        assert_eq!(faults(&[("shop.rs", text)]), [told(2, "Coin"), told(6, "Note")]);
    }

    #[test]
    fn a_module_that_is_not_listed_and_a_line_without_a_module_are_faults() {
        let more = faults(&[("till.rs", "")]);
        assert_eq!(more, ["lib.rs: `till` is listed or there, but not both"]);
        let twice = ROOT.replace("//! shop", "//! cash\n//! base\n//! shop");
        assert_eq!(
            faults(&[("lib.rs", &twice)]),
            ["lib.rs: a module is listed twice", "lib.rs: `cash` is listed or there, but not both"]
        );
    }

    #[test]
    fn a_folder_may_have_an_order_of_its_own() {
        let room = "//! From ground to roof:\n//! ```text\n//! gold\n//! coin\n//! ```\nmod coin; mod gold;";
        let files = [
            ("base/mod.rs", room),
            ("base/coin.rs", "use super::gold;"),
            ("base/gold.rs", "use crate::base::coin::Mint;"),
        ];
        assert_eq!(faults(&files), ["base/gold.rs:1: `gold` names `coin`, which is not below it"]);
    }
}
