//! How failures of commands are printed.

use std::fmt::Write as _;

use specs::Diagnostic;

use super::paint;
use crate::error::{Done, Failure};

/// A failure as text for users; coloured if `color`.
pub(crate) fn failure_text(failure: &Failure, color: bool) -> String {
    let paint = |numbers: &str, word: &str| if color { paint(numbers, word) } else { word.to_owned() };
    let mut text: String = failure.diagnostics.iter().map(|problem| diagnostic_text(problem, color) + "\n").collect();
    let head = if failure.diagnostics.is_empty() { paint("1;31", "error:") + " " } else { String::new() };
    let _ = write!(text, "{head}{}", failure.message.replace('\n', "\n       "));
    if failure.done != Done::Nothing {
        let between = if failure.message.contains('\n') { "\n       " } else { "; " };
        let _ = write!(text, "{between}{}", failure.done.words());
    }
    for cause in failure.causes.iter().filter(|_| failure.diagnostics.is_empty()) {
        let _ = write!(text, "\n  because: {cause}");
    }
    if let Some(hint) = &failure.hint {
        let _ = write!(text, "\n{} {}", paint("36", "hint:"), hint.replace('\n', "\n      "));
    }
    text.push('\n');
    text
}

/// One problem of a file, formatted as compilers do: place, message and hint.
pub(crate) fn diagnostic_text(problem: &Diagnostic, color: bool) -> String {
    let paint = |numbers: &str, word: &str| if color { paint(numbers, word) } else { word.to_owned() };
    let Diagnostic { file, place, message, .. } = problem;
    let mut text = if problem.is_error() {
        format!("{} {problem}", paint("1;31", "error:"))
    } else {
        format!("{file}:{place}: {} {message}", paint("33", "warning:"))
    };
    if let Some(hint) = &problem.hint {
        let _ = write!(text, "\n{} {hint}", paint("36", "hint:"));
    }
    text
}

#[cfg(test)]
mod tests {
    use engine::EngineError;
    use repos::RepoError;

    use super::*;
    use crate::error::CliError;

    fn failure(error: CliError) -> Failure {
        let CliError::Failure(failure) = error else { panic!("a failure") };
        *failure
    }

    #[test]
    fn what_may_have_happened_is_never_called_nothing() {
        let unsure = || RepoError::Unsure { why: "no answer came".to_owned(), source: None };
        for error in [CliError::from(unsure()), EngineError::Store(unsure()).into()] {
            let failure = failure(error.nothing_committed().done("nothing was applied"));
            let text = failure_text(&failure, false);
            assert_eq!((failure.kind.exit_code(), failure.done.clone()), (6, Done::NotKnown), "{text}");
            assert!(text.contains("may have happened") && text.contains("hint: pv log shows"), "{text}");
            assert!(!text.contains("nothing"), "{text}");
        }
    }

    #[test]
    fn that_nothing_was_committed_is_said_once() {
        let branch = EngineError::NoBranchToPut {
            repo: "images".parse().expect("a name"),
            branch: "mian".parse().expect("a name"),
            similar: None,
        };
        let text = failure_text(&failure(CliError::from(branch).nothing_committed()), false);
        assert_eq!(text.matches("nothing was committed").count(), 1, "{text}");
        let told = CliError::from(RepoError::GraphMoved).nothing_committed();
        assert_eq!(failure(told).done, Done::NothingCommitted);
    }
}
