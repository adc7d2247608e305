//! The code of a source file, and the paths in it.

use std::collections::BTreeMap;

/// A path that code names, from the crate's root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// From 1.
    pub(super) line: usize,
    pub(super) path: Vec<String>,
}

/// A word, `::`, or another single character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

/// A path as written, with groups expanded, and the name that it gets.
#[derive(Debug)]
struct Written<'a> {
    line: usize,
    path: Vec<&'a str>,
    renamed: Option<&'a str>,
}

/// The paths in the file of the module `own` that begin with `crate` or `super`.
pub(super) fn paths_in(text: &str, own: &[String]) -> Vec<Named> {
    let tokens = tokens(text);
    let mut named = Vec::new();
    // Modules within the file, each with the depth of braces at which it ends.
    let (mut inside, mut depth): (Vec<(String, usize)>, usize) = (Vec::new(), 0);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inside.pop_if(|(_, until)| *until == depth);
            }
            "mod" if tokens.get(at + 1).is_some_and(|open| open.text == "{") => {
                inside.push((tokens[at].text.to_owned(), depth));
            }
            "crate" | "super" if tokens.get(at).is_some_and(|next| next.text == "::") => {
                let module: Vec<String> = own.iter().chain(inside.iter().map(|(name, _)| name)).cloned().collect();
                let mut found = Vec::new();
                at = expand(&tokens, at - 1, &[], &mut found);
                let absolute = found.iter().map(|one| (one.line, absolute(&one.path, &module)));
                named.extend(absolute.filter_map(|(line, path)| path.map(|path| Named { line, path })));
            }
            _ => {}
        }
    }
    named
}

/// The paths in a file that begin with the name of another crate, each with its line; groups are expanded.
pub(crate) fn paths_of<'a>(text: &'a str, other: &str) -> Vec<(usize, String)> {
    let tokens: Vec<Token<'a>> = tokens(text);
    let is_path = |at: usize| {
        let before = at.checked_sub(1).map(|before| tokens[before].text);
        tokens[at].text == other && tokens.get(at + 1).is_some_and(|next| next.text == "::") && before != Some("::")
    };
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|at| is_path(*at)) {
        expand(&tokens, at, &[], &mut found);
    }
    found.into_iter().map(|one| (one.line, one.path.join("::"))).collect()
}

/// Each name that a root file re-exports, and the module that it comes from.
pub(super) fn re_exports(text: &str) -> BTreeMap<String, String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| token.text == "use") {
        expand(&tokens, at + 1, &[], &mut found);
    }
    let name_and_module = |Written { path, renamed, .. }: Written<'_>| {
        let path: Vec<&str> = path.into_iter().filter(|name| !["self", "crate"].contains(name)).collect();
        let ([module, .., name] | [module @ name]) = path.as_slice() else { return None };
        Some((renamed.unwrap_or(name).to_owned(), (*module).to_owned()))
    };
    found.into_iter().filter_map(name_and_module).collect()
}

/// The words of a file's code.
pub(crate) fn words_of(text: &str) -> impl Iterator<Item = String> {
    tokens(text).into_iter().map(|token| token.text.to_owned())
}

/// The types that get methods by `impl Type {`, each with its line.
pub(super) fn inherent_impls(text: &str) -> Vec<(usize, &str)> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "impl") {
        // As an item it is the first word of a line or follows the end of another item; else it is a type: `-> impl Trait`.
        if at.checked_sub(1).is_some_and(|before| !["}", ";", "]", "{"].contains(&tokens[before].text)) {
            continue;
        }
        let head: Vec<&str> = tokens[at + 1..].iter().map(|token| token.text).take_while(|text| *text != "{").collect();
        let head = &head[generics(&head)..];
        let name = head.iter().take_while(|text| !["<", "where"].contains(text)).last();
        found.extend(name.filter(|_| !head.contains(&"for")).map(|name| (token.line, *name)));
    }
    found
}

/// The number of tokens of the `<…>` at the start.
fn generics(tokens: &[&str]) -> usize {
    let mut depth = 0;
    for (at, text) in tokens.iter().enumerate() {
        match *text {
            "<" => depth += 1,
            // The `>` of an arrow closes nothing.
            ">" if at == 0 || tokens[at - 1] != "-" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if at == 0 { 0 } else { at + 1 };
        }
    }
    tokens.len()
}

/// Adds the paths that the one at `at`, after `before`, expands to; returns its end.
fn expand<'a>(tokens: &[Token<'a>], mut at: usize, before: &[&'a str], found: &mut Vec<Written<'a>>) -> usize {
    let mut path = before.to_vec();
    let word = |at: usize| tokens.get(at).map(|token| token.text);
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            return expand_group(tokens, at + 1, &path, found);
        }
        path.push(token.text);
        at += 1;
        if word(at) != Some("::") {
            let renamed = word(at).filter(|word| *word == "as").and_then(|_| word(at + 1));
            found.push(Written { line: token.line, path, renamed });
            return at;
        }
        at += 1;
    }
    at
}

fn expand_group<'a>(tokens: &[Token<'a>], mut at: usize, before: &[&'a str], found: &mut Vec<Written<'a>>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            "," => at += 1,
            "as" => at += 2,
            _ => at = expand(tokens, at, before, found),
        }
    }
    at
}

/// The path from the crate's root of a path in the code of `module`; `None` above the root.
fn absolute(path: &[&str], module: &[String]) -> Option<Vec<String>> {
    let mut absolute = if path.first() == Some(&"crate") { Vec::new() } else { module.to_vec() };
    for name in path {
        match *name {
            "crate" | "self" => {}
            "super" => {
                absolute.pop()?;
            }
            name => absolute.push(name.to_owned()),
        }
    }
    Some(absolute)
}

/// The code of a file, without comments and quoted text.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let rest = &text[at..];
        let length = skipped(rest).unwrap_or_else(|| {
            let length = token_length(rest);
            if !rest.starts_with(char::is_whitespace) {
                tokens.push(Token { line, text: &rest[..length] });
            }
            length
        });
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

/// The length in bytes of the word, `::` or character at the start.
fn token_length(rest: &str) -> usize {
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if word > 0 {
        word
    } else if rest.starts_with("::") {
        2
    } else {
        first
    }
}

/// The length in bytes of the comment or literal at the start, if there is one.
fn skipped(rest: &str) -> Option<usize> {
    let until = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until(2, "*/"));
    }
    if let Some(raw) = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let from = rest.len() - raw.len() + hashes + 1;
            return Some(until(from, &format!("\"{}", "#".repeat(hashes))));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // A lifetime has no second quote after one character.
    let mut chars = rest.strip_prefix('\'')?.chars();
    let is_character = chars.next()? == '\\' || chars.next() == Some('\'');
    is_character.then(|| quoted(rest, '\''))
}

/// The length in bytes up to the closing quote.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}
