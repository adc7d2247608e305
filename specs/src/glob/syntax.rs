//! Parses a glob's text to its pattern.

/// A glob as a sequence of pieces; every path it matches begins with `/`.
pub(super) struct Pattern(pub(super) Vec<Piece>);

/// One piece of a pattern.
pub(super) enum Piece {
    /// This character.
    Literal(char),
    /// `?`
    AnyCharacter,
    /// `*`
    AnyText,
    /// `**`
    AnyPath,
    /// `[…]`: one character in (or, if `negated`, outside) these ranges; never `/`.
    Set { negated: bool, ranges: Vec<(char, char)> },
    /// `{…}` and everything in parentheses.
    Group { kind: GroupKind, alternatives: Vec<Vec<Piece>> },
}

/// The kind of a group, from the character before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupKind {
    /// `{a,b}`: the only kind that is not captured.
    Choice,
    /// `(a|b)`, `@(a|b)`
    One,
    /// `?(a|b)`
    Optional,
    /// `*(a|b)`
    Any,
    /// `+(a|b)`
    Some,
    /// `!(a|b)`
    Not,
}

/// Byte offset in the text, and the rule that is broken there.
pub(super) type Refusal = (usize, &'static str);

/// Maximum length of a glob in bytes, the same as for a path.
const MAX_BYTES: usize = crate::path::MAX_PATH_BYTES;
/// Maximum depth of nested groups.
const MAX_NESTING: usize = 16;
/// Maximum number of `!(…)`: each doubles the compiled expression.
const MAX_NEGATIONS: usize = 6;

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err((0, "it is empty; `/` is the whole repository"));
        }
        if text.len() > MAX_BYTES {
            return Err((MAX_BYTES, "it is longer than 4,096 bytes"));
        }
        ensure_possible_parts(text)?;
        let mut pieces = vec![Piece::Literal('/')];
        let start = text.len() - text.trim_start_matches('/').len();
        let end = text.trim_end_matches('/').len().max(start);
        let mut parser = Parser { text: &text[..end], offset: start, nesting: 0, repeating: 0, negations: 0 };
        pieces.extend(parser.sequence(&[])?);
        Ok(Self(pieces))
    }

    pub(super) fn literal_prefix(&self) -> String {
        let literal: String =
            self.0.iter().map_while(|piece| if let Piece::Literal(c) = piece { Some(*c) } else { None }).collect();
        if literal.chars().count() == self.0.len() {
            return literal;
        }
        let end = literal.rfind('/').map_or(0, |slash| slash + 1);
        literal[..end].to_owned()
    }

    pub(super) fn depth(&self) -> Option<usize> {
        if self.0.len() == 1 {
            return Some(0);
        }
        let slashes = self.0.iter().filter(|piece| matches!(piece, Piece::Literal('/'))).count();
        let one_part = |piece: &Piece| matches!(piece, Piece::Literal('/')) || !piece.may_match_slash();
        self.0.iter().all(one_part).then_some(slashes)
    }
}

impl Piece {
    fn may_match_slash(&self) -> bool {
        match self {
            Self::Literal(c) => *c == '/',
            Self::AnyCharacter | Self::AnyText | Self::Set { .. } | Self::Group { kind: GroupKind::Not, .. } => false,
            Self::AnyPath => true,
            Self::Group { alternatives, .. } => alternatives.iter().flatten().any(Self::may_match_slash),
        }
    }
}

/// A path has no empty, `.` or `..` part, so a glob with one could never match; probably a typo such as `./*.png`.
fn ensure_possible_parts(text: &str) -> Result<(), Refusal> {
    let inner = text.trim_matches('/');
    let mut offset = text.len() - text.trim_start_matches('/').len();
    if offset > 1 && !inner.is_empty() {
        return Err((1, "it has an empty part"));
    }
    for part in inner.split('/') {
        match part {
            "" if !inner.is_empty() => return Err((offset, "it has an empty part")),
            "." | ".." => return Err((offset, "it has a `.` or `..` part, which no path can have")),
            _ => offset += part.len() + 1,
        }
    }
    Ok(())
}

struct Parser<'a> {
    text: &'a str,
    /// Number of bytes read.
    offset: usize,
    nesting: usize,
    /// Number of open groups that repeat.
    repeating: usize,
    negations: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.offset..]
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.offset += c.len_utf8();
        Some(c)
    }

    /// Reads `expected` if it comes next.
    fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.offset += expected.len();
        }
        found
    }

    /// Reads pieces up to the end of the text, or to one of `ends`, which is not consumed.
    fn sequence(&mut self, ends: &[char]) -> Result<Vec<Piece>, Refusal> {
        let mut pieces = Vec::new();
        while !self.rest().is_empty() && !self.rest().starts_with(ends) {
            pieces.push(self.piece()?);
        }
        Ok(pieces)
    }

    fn piece(&mut self) -> Result<Piece, Refusal> {
        let start = self.offset;
        if let Some(kind) = self.group_start() {
            return self.group(kind, start);
        }
        Ok(match self.next().unwrap_or_default() {
            '*' if self.rest().starts_with('*') => {
                while self.take("*") {}
                Piece::AnyPath
            }
            '*' => Piece::AnyText,
            '?' => Piece::AnyCharacter,
            '[' => self.set(start)?,
            '\\' => Piece::Literal(self.next().ok_or((start, "expected a character after `\\`"))?),
            ')' => return Err((start, "`)` has no `(`; write `\\)` for the character")),
            '}' => return Err((start, "`}` has no `{`; write `\\}` for the character")),
            ']' => return Err((start, "`]` has no `[`; write `\\]` for the character")),
            c => Piece::Literal(c),
        })
    }

    fn group_start(&mut self) -> Option<GroupKind> {
        const STARTS: [(&str, GroupKind); 7] = [
            ("{", GroupKind::Choice),
            ("(", GroupKind::One),
            ("@(", GroupKind::One),
            ("?(", GroupKind::Optional),
            ("*(", GroupKind::Any),
            ("+(", GroupKind::Some),
            ("!(", GroupKind::Not),
        ];
        STARTS.into_iter().find_map(|(start, kind)| self.take(start).then_some(kind))
    }

    fn group(&mut self, kind: GroupKind, start: usize) -> Result<Piece, Refusal> {
        self.nesting += 1;
        self.negations += usize::from(kind == GroupKind::Not);
        let repeats = usize::from(matches!(kind, GroupKind::Any | GroupKind::Some));
        self.repeating += repeats;
        if self.nesting > MAX_NESTING {
            return Err((start, "it nests more than 16 groups"));
        }
        if self.negations > MAX_NEGATIONS {
            return Err((start, "it has more than 6 `!(…)`"));
        }
        if kind == GroupKind::Not && self.repeating > 0 {
            return Err((start, "`!(…)` is not allowed inside `*(…)` or `+(…)`")); // what follows it would have no end
        }
        let (between, end, unclosed) = match kind {
            GroupKind::Choice => (",", "}", "`{` is not closed; write `\\{` for the character"),
            _ => ("|", ")", "`(` is not closed; write `\\(` for the character"),
        };
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence(if kind == GroupKind::Choice { &[',', '}'] } else { &['|', ')'] })?);
            if self.take(end) {
                self.nesting -= 1;
                self.repeating -= repeats;
                return Ok(Piece::Group { kind, alternatives });
            }
            if !self.take(between) {
                return Err((start, unclosed));
            }
        }
    }

    /// Reads a set after its `[`.
    fn set(&mut self, start: usize) -> Result<Piece, Refusal> {
        let negated = self.take("!") || self.take("^");
        let mut ranges = Vec::new();
        loop {
            if !ranges.is_empty() && self.take("]") {
                return Ok(Piece::Set { negated, ranges });
            }
            let at = self.offset;
            if self.take("[:") {
                ranges.extend_from_slice(self.named_set(at)?);
                continue;
            }
            let first = self.set_character(start)?;
            let is_range = self.rest().starts_with('-') && !self.rest().starts_with("-]");
            let last = if is_range && self.take("-") { self.set_character(start)? } else { first };
            if last < first {
                return Err((at, "this range is empty"));
            }
            if first == '/' || last == '/' {
                return Err((at, "`[…]` never matches `/`"));
            }
            ranges.push((first, last));
        }
    }

    fn set_character(&mut self, start: usize) -> Result<char, Refusal> {
        self.take("\\");
        self.next().ok_or((start, "`[` is not closed; write `\\[` for the character"))
    }

    /// Reads the name of a set after its `[:`.
    fn named_set(&mut self, at: usize) -> Result<&'static [(char, char)], Refusal> {
        const SETS: [(&str, &[(char, char)]); 8] = [
            ("alpha:]", &[('A', 'Z'), ('a', 'z')]),
            ("digit:]", &[('0', '9')]),
            ("alnum:]", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
            ("upper:]", &[('A', 'Z')]),
            ("lower:]", &[('a', 'z')]),
            ("xdigit:]", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
            ("space:]", &[(' ', ' ')]),
            ("punct:]", &[('!', '.'), (':', '@'), ('[', '`'), ('{', '~')]),
        ];
        let found = SETS.into_iter().find_map(|(name, ranges)| self.take(name).then_some(ranges));
        found.ok_or((
            at,
            "the known sets are `[:alpha:] [:digit:] [:alnum:] [:upper:] [:lower:] [:xdigit:] [:space:] [:punct:]`",
        ))
    }
}
