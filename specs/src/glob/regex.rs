//! Compiles a glob's pattern to a regular expression for whole paths.

use std::fmt::Write as _;

use fancy_regex::{Regex, RegexBuilder};

use super::syntax::{GroupKind, Pattern, Piece};

/// Maximum number of steps of a search with `!(…)`.
const BACKTRACK_LIMIT: usize = 10_000_000;

pub(super) fn compile(pattern: &Pattern) -> Result<Regex, &'static str> {
    let expression = format!(r"(?s)\A{}\z", sequence(&pattern.0, r"\z", true));
    RegexBuilder::new(&expression).backtrack_limit(BACKTRACK_LIMIT).build().map_err(|_| "it is too large")
}

/// The expression for `pieces`, where `rest` is the expression for everything that follows. Groups capture if `captures`.
///
/// Only `!(…)` looks ahead, so the text ahead is assembled only from the first one on; without captures, because the lookahead must not add
/// groups.
fn sequence(pieces: &[Piece], rest: &str, captures: bool) -> String {
    let first_negation = pieces.iter().position(has_negation).unwrap_or(pieces.len());
    let mut ahead = rest.to_owned();
    let mut expressions = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate().rev() {
        expressions.push(expression(piece, &ahead, captures));
        if index > first_negation {
            ahead = expression(piece, &ahead, false) + &ahead;
        }
    }
    expressions.reverse();
    expressions.concat()
}

fn has_negation(piece: &Piece) -> bool {
    match piece {
        Piece::Group { kind: GroupKind::Not, .. } => true,
        Piece::Group { alternatives, .. } => alternatives.iter().flatten().any(has_negation),
        _ => false,
    }
}

fn expression(piece: &Piece, rest: &str, captures: bool) -> String {
    match piece {
        Piece::Literal(c) => fancy_regex::escape(c.encode_utf8(&mut [0; 4])).into_owned(),
        Piece::AnyCharacter => "[^/]".to_owned(),
        Piece::AnyText => "[^/]*".to_owned(),
        Piece::AnyPath => ".*".to_owned(),
        Piece::Set { negated, ranges } => set(*negated, ranges),
        Piece::Group { kind, alternatives } => group(*kind, alternatives, rest, captures),
    }
}

fn set(negated: bool, ranges: &[(char, char)]) -> String {
    let mut expression = String::from(if negated { "[^/" } else { "[" });
    let mut push = |first: char, last: char| {
        write!(expression, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(first), u32::from(last))
            .expect("a string takes all text");
    };
    for &(first, last) in ranges {
        if !negated && (first..=last).contains(&'/') {
            push(first, '.'); // `/` is never at an end of a range
            push('0', last);
        } else {
            push(first, last);
        }
    }
    expression.push(']');
    expression
}

fn group(kind: GroupKind, alternatives: &[Vec<Piece>], rest: &str, captures: bool) -> String {
    let inner_captures = captures && kind != GroupKind::Not;
    let choice = alternatives.iter().map(|pieces| sequence(pieces, rest, inner_captures)).collect::<Vec<_>>().join("|");
    let expression = match kind {
        GroupKind::Choice => return format!("(?:{choice})"),
        GroupKind::One => choice,
        GroupKind::Optional => format!("(?:{choice})?"),
        GroupKind::Any => format!("(?:{choice})*"),
        GroupKind::Some => format!("(?:{choice})+"),
        GroupKind::Not => format!("(?!(?:{choice}){rest})[^/]*"),
    };
    format!("({}{expression})", if captures { "" } else { "?:" })
}
