//! Globs: which files and directories of a commit are datums, and the keys of joins and groups.
//!
//! A text becomes a pattern (`syntax`), the pattern a regular expression that matches whole paths (`regex`). The syntax is Pachyderm's:
//!
//! | written | matches |
//! |---|---|
//! | `*` `?` | any text, any character, but no `/` |
//! | `**` | any text, `/` too |
//! | `[abc]` `[a-c]` `[!a]` `[[:digit:]]` | one character of the set, or not of it; never `/` |
//! | `{a,b}` | one of the alternatives |
//! | `(a\|b)` `@(a\|b)` | one of the alternatives, captured |
//! | `?(a)` `*(a)` `+(a)` | at most one, any number, at least one; captured |
//! | `!(a\|b)` | any text without `/` such that no alternative fits in its place; captured |
//! | `\` | the next character as it is |
//!
//! A leading `/` may be left out and a trailing one is ignored; `/` alone is the whole commit. Upper and lower case differ, and a leading
//! `.` is nothing special.

mod regex;
mod syntax;
mod template;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use self::syntax::Pattern;
pub use self::template::{KeyTemplate, KeyTemplateError};
use crate::digest::serde_as_text;

/// The syntax, one row each: what to write and what it matches, from the table above, which is the only source.
pub fn syntax() -> Vec<(String, String)> {
    let rows = docs().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")).skip(1);
    let cells = rows.filter_map(|row| {
        // A bar within a cell is escaped.
        let (written, matches) =
            row.replace("\\|", "\0").split_once(" | ").map(|(one, two)| (one.to_owned(), two.to_owned()))?;
        let text = |cell: String| cell.replace('\0', "|").replace('`', "");
        Some((text(written), text(matches)))
    });
    cells.collect()
}

/// Further notes: the paragraph below the table.
pub fn notes() -> String {
    let below = docs().skip_while(|line| !line.starts_with('|')).skip_while(|line| line.starts_with('|'));
    below.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The lines of this module's own documentation.
fn docs() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("mod.rs").lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line))
}

/// A pattern for paths, such as `/*`, `/cam7/*.jpg` or `/(*)_*.txt`.
///
/// Globs with equal text are equal. Paths passed to it begin with `/`. Matching takes time linear in the path's length, except with `!(…)`:
/// then a path that needs more than ten million steps counts as not matching.
#[derive(Clone)]
pub struct Glob {
    text: String,
    regex: Arc<fancy_regex::Regex>,
    literal_prefix: String,
    depth: Option<usize>,
}

/// Why a text is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a glob: {why}, at byte {offset}", .text.escape_debug())]
pub struct GlobError {
    /// The text.
    pub text: String,
    /// The position of the problem, in bytes from 0.
    pub offset: usize,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl Glob {
    /// Parses a glob.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let refuse = |(offset, why)| GlobError { text: text.to_owned(), offset, why };
        let pattern = Pattern::parse(text).map_err(refuse)?;
        let regex = Arc::new(regex::compile(&pattern).map_err(|why| refuse((0, why)))?);
        let (literal_prefix, depth) = (pattern.literal_prefix(), pattern.depth());
        Ok(Self { text: text.to_owned(), regex, literal_prefix, depth })
    }

    /// The glob as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Number of groups that [`Glob::captures`] returns.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// Whether the whole of `path`, a file or directory, matches. Only the glob `/` matches `/`.
    pub fn matches(&self, path: &str) -> bool {
        if path == "/" { self.is_root() } else { self.regex.is_match(path).unwrap_or(false) }
    }

    /// What the groups in parentheses matched, in the order in which they open; empty for a group that did not take part. `None` if `path`
    /// does not match.
    pub fn captures(&self, path: &str) -> Option<Vec<String>> {
        if path == "/" {
            return self.is_root().then(Vec::new);
        }
        let captures = self.regex.captures(path).ok()??;
        Some(
            captures
                .iter()
                .skip(1)
                .map(|group| group.map_or_else(String::new, |text| text.as_str().to_owned()))
                .collect(),
        )
    }

    /// The text with which every matching path begins: up to and including the last `/` before the first special character; the whole path
    /// if there is none.
    pub fn literal_prefix(&self) -> &str {
        &self.literal_prefix
    }

    /// Number of parts in every matching path: 0 for `/`, 1 for `/*`. `None` if paths of different depths can match.
    pub fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// Whether this is `/`, the whole commit.
    pub fn is_root(&self) -> bool {
        self.depth == Some(0)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Glob {}
impl std::hash::Hash for Glob {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
impl FromStr for Glob {
    type Err = GlobError;
    fn from_str(text: &str) -> Result<Self, GlobError> {
        Self::parse(text)
    }
}
serde_as_text!(Glob, { "format": "pv-glob", "minLength": 1, "maxLength": 4096 });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap()
    }

    fn fits(text: &str, yes: &[&str], no: &[&str]) {
        let glob = glob(text);
        for path in yes {
            assert!(glob.matches(path), "`{text}` should match `{path}`");
        }
        for path in no {
            assert!(!glob.matches(path), "`{text}` should not match `{path}`");
        }
    }

    #[test]
    fn the_documentation_is_what_people_are_told() {
        let syntax = syntax();
        assert_eq!(syntax.len(), 8, "{syntax:?}");
        assert_eq!(syntax[4], ("(a|b) @(a|b)".to_owned(), "one of the alternatives, captured".to_owned()));
        assert!(
            syntax.iter().all(|(written, _)| written.split(' ').all(|one| one == "\\" || Glob::parse(one).is_ok()))
        );
        assert!(
            notes().starts_with("A leading `/` may be left out") && notes().ends_with("nothing special."),
            "{}",
            notes()
        );
    }

    #[test]
    fn each_form_matches_what_it_says() {
        fits("/", &["/"], &["/a", "/a/b"]);
        fits("/*", &["/a", "/.a", "/a.b"], &["/", "/a/b"]);
        fits("/*/*", &["/a/b"], &["/a", "/a/b/c"]);
        fits("**", &["/a", "/a/b"], &["/"]);
        fits("/**.csv", &["/a.csv", "/a/b.csv"], &["/a.csvx", "/a"]);
        fits("/a?c", &["/abc", "/aéc"], &["/ac", "/a/c"]);
        fits("/[abc]x[a-c]", &["/axc"], &["/dxc", "/axd"]);
        fits("/[!a-c]", &["/d", "/é"], &["/a", "//"]);
        fits("/[+-9]", &["/+", "/5"], &["//", "/a"]);
        fits("/[]a-]", &["/]", "/a", "/-"], &["/b"]);
        fits("/[[:digit:]_]*", &["/7", "/_a"], &["/a"]);
        fits("/{a,b*,c/d}", &["/a", "/bx", "/c/d"], &["/c", "/{a}"]);
        fits("/@(a|b)", &["/a", "/b"], &["/ab", "/"]);
        fits("/x?(a|b)", &["/x", "/xa"], &["/xab"]);
        fits("/*(a|b)", &["/a", "/abba"], &["/abc"]);
        fits("/+(ab)c", &["/abc", "/ababc"], &["/c"]);
        fits("/!(*.txt)", &["/a.png", "/txt"], &["/a.txt", "/.txt", "/a/b"]);
        fits("/!(a|b).txt", &["/c.txt", "/ab.txt"], &["/a.txt", "/b.txt"]);
        fits("/!(a)/!(b)", &["/b/a", "/c/c"], &["/a/c", "/c/b"]);
        fits(r"/a\*\[b", &["/a*[b"], &["/ax[b"]);
        fits("/a+b@c!d,e|f.g^h$", &["/a+b@c!d,e|f.g^h$"], &["/aab@c!d,e|f.g^h$"]);
    }

    #[test]
    fn slashes_at_the_ends_make_no_difference() {
        for text in ["*.jpg", "/*.jpg", "/*.jpg/"] {
            fits(text, &["/a.jpg"], &["/a", "/b/a.jpg"]);
        }
        assert!(!glob("/*").is_root() && glob("/").is_root());
        assert_eq!(glob("*.jpg/").to_string(), "*.jpg/");
    }

    #[test]
    fn groups_are_captured_in_the_order_in_which_they_open() {
        let captured = |text: &str, path: &str| glob(text).captures(path).map(|groups| groups.join(" "));
        assert_eq!(captured("/STOREID(*).txt", "/STOREID7.txt").as_deref(), Some("7"));
        assert_eq!(captured("/(*)/((?)*)", "/a/bcd").as_deref(), Some("a bcd b"));
        assert_eq!(captured("/*(ab|c)-!(x)", "/abcab-y").as_deref(), Some("abcab y"));
        assert_eq!(captured("/{(a),b}(c)", "/bc").as_deref(), Some(" c"));
        assert_eq!(captured("/(*).txt", "/a.png"), None);
    }

    #[test]
    fn literal_prefix_and_depth_bound_a_scan() {
        let facts = |text: &str| (glob(text).literal_prefix().to_owned(), glob(text).depth());
        assert_eq!(facts("/"), ("/".to_owned(), Some(0)));
        assert_eq!(facts("/cam7/*.jpg"), ("/cam7/".to_owned(), Some(2)));
        assert_eq!(facts("cam7/a\\*b/"), ("/cam7/a*b".to_owned(), Some(2)));
        assert_eq!(facts("/cam7/1*"), ("/cam7/".to_owned(), Some(2)));
        assert_eq!(facts("/a/**"), ("/a/".to_owned(), None));
        assert_eq!(facts("/{a,b}/(c)"), ("/".to_owned(), Some(2)));
        assert_eq!(facts("/a/@(b/c|d)"), ("/a/".to_owned(), None));
    }

    #[test]
    fn a_broken_glob_is_refused_with_its_place() {
        let deep = "(".repeat(100);
        let negations = "!(a)".repeat(9);
        let refusals: Vec<String> = [
            "",
            "/a[b",
            "/[b-a]",
            "/[/]",
            "/{a,b",
            "/@(a|b",
            "/a)",
            "/a}",
            "/a]",
            "/a\\",
            "/a//b",
            "./a",
            "/[[:foo:]]",
            "/é[",
            &deep,
            &negations,
        ]
        .iter()
        .map(|text| Glob::parse(text).map_err(|error| format!("{} @{}", error.why, error.offset)).unwrap_err())
        .collect();
        insta::assert_snapshot!(refusals.join("\n"), @r##"
        it is empty; `/` is the whole repository @0
        `[` is not closed; write `\[` for the character @2
        this range is empty @2
        `[…]` never matches `/` @2
        `{` is not closed; write `\{` for the character @1
        `(` is not closed; write `\(` for the character @1
        `)` has no `(`; write `\)` for the character @2
        `}` has no `{`; write `\}` for the character @2
        `]` has no `[`; write `\]` for the character @2
        expected a character after `\` @2
        it has an empty part @3
        it has a `.` or `..` part, which no path can have @0
        the known sets are `[:alpha:] [:digit:] [:alnum:] [:upper:] [:lower:] [:xdigit:] [:space:] [:punct:]` @2
        `[` is not closed; write `\[` for the character @3
        it nests more than 16 groups @16
        it has more than 6 `!(…)` @24
        "##);
    }

    /// Matches `* ? **` and plain characters by trying everything.
    fn brute_force(pattern: &[char], path: &[char]) -> bool {
        let any = |rest: &[char], slash: bool| {
            (0..=path.len()).take_while(|n| slash || !path[..*n].contains(&'/')).any(|n| brute_force(rest, &path[n..]))
        };
        match pattern {
            [] => path.is_empty(),
            ['*', '*', rest @ ..] => any(rest, true),
            ['*', rest @ ..] => any(rest, false),
            ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && brute_force(rest, &path[1..]),
            [c, rest @ ..] => path.first() == Some(c) && brute_force(rest, &path[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn stars_agree_with_brute_force(parts in proptest::collection::vec("[ab*?]{1,4}", 1..4), path in "(/[ab]{1,3}){1,4}") {
            let text = format!("/{}", parts.join("/"));
            let expected = brute_force(&text.chars().collect::<Vec<_>>(), &path.chars().collect::<Vec<_>>());
            let glob = glob(&text);
            prop_assert_eq!(glob.matches(&path), expected, "`{}` and `{}`", text, path);
            if expected {
                prop_assert!(path.starts_with(glob.literal_prefix()));
                prop_assert!(glob.depth().is_none_or(|depth| depth == path.matches('/').count()));
            }
        }

        #[test]
        fn an_escaped_path_matches_itself_alone(path in "(/[^/\\p{Cc}.]{1,6}){1,3}") {
            let escaped: String = path.chars().flat_map(|c| (c != '/').then_some('\\').into_iter().chain([c])).collect();
            let glob = glob(&escaped);
            prop_assert!(glob.matches(&path));
            prop_assert_eq!(glob.literal_prefix(), &path);
            let longer = format!("{path}x");
            prop_assert!(!glob.matches(&longer));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-c/*?(){}\\[\\]!@+|,^\\\\.:-]{0,20}", path in "(/[a-c]{1,3}){1,3}") {
            if let Ok(glob) = Glob::parse(&text) {
                let matched = glob.matches(&path);
                prop_assert_eq!(glob.captures(&path).is_some(), matched);
                if matched {
                    prop_assert!(path.starts_with(glob.literal_prefix()));
                    prop_assert!(glob.depth().is_none_or(|depth| depth == path.matches('/').count()), "{:?}", glob.depth());
                }
            }
        }
    }
}
