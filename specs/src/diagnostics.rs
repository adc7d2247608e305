//! Problems in text that a user wrote, each with its position and, if possible, the likely intent.

use std::fmt;

/// A position in a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The files cannot be applied.
    Error,
    /// Worth knowing; it blocks nothing.
    Warning,
}

/// One problem of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The position of the problem.
    pub place: Place,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, values in backticks, no full stop.
    pub message: String,
    /// What to write instead, if that is known.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Whether this prevents the files from being applied.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.place, self.message)
    }
}

/// The candidate most likely meant by `word`: at most a third of the letters differ (swapped neighbours count once).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    let allowed = letters.div_ceil(3);
    candidates
        .into_iter()
        // Comparing takes time proportional to both lengths; the number of letters alone rules out most candidates.
        .filter(|candidate| *candidate != word && letters.abs_diff(candidate.chars().count()) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_close_or_none() {
        let names = ["main", "master", "candidate"];
        assert_eq!(nearest("mian", names), Some("main"));
        assert_eq!(nearest("candidat", names), Some("candidate"));
        assert_eq!(nearest("zebra", names), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("main", ["main"]), None);
    }

    #[test]
    fn a_diagnostic_prints_its_place_as_compilers_do() {
        let diagnostic = Diagnostic {
            file: "detect.yml".to_owned(),
            place: Place { line: 14, column: 3 },
            severity: Severity::Error,
            message: "unknown field `x`".to_owned(),
            hint: None,
        };
        assert_eq!(diagnostic.to_string(), "detect.yml:14:3: unknown field `x`");
    }
}
