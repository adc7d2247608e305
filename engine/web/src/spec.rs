//! Specs of pipelines as text: shown, typed, with what is wrong at its line.

use std::collections::BTreeMap;

use imara_diff::{Algorithm, Diff, InternedInput, Token};
use maud::{Markup, html};

use crate::address::{self, Address};

/// What is wrong in a spec, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// Whether it is an error, not a warning.
    pub is_error: bool,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: Option<String>,
}

/// Specs that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The text.
    pub text: String,
    /// The address to go to when they are applied, without the base path.
    pub next: String,
}

/// A text with numbered lines. Its keys stand out.
pub(crate) fn shown(text: &str) -> Markup {
    html! { pre .spec { @for line in text.lines() { (line_of(line)) } } }
}

fn line_of(line: &str) -> Markup {
    let start = line.len() - line.trim_start_matches([' ', '-']).len();
    let key = line[start..].find(": ").or_else(|| line.ends_with(':').then(|| line.len() - 1 - start));
    html! {
        span .line {
            @match key {
                Some(end) => { (line[..start]) b { (line[start..start + end]) } (line[start + end..]) }
                None => (line)
            }
            "\n"
        }
    }
}

/// What differs between two texts: all lines, with those that are only in one marked by sign and word.
pub(crate) fn difference(was: &str, is: &str) -> Markup {
    html! {
        pre .spec {
            @for (sign, line) in changes(was, is) {
                @match sign {
                    '-' => del .line { "- " (line) "\n" },
                    '+' => ins .line { "+ " (line) "\n" },
                    _ => span .line { "  " (line) "\n" },
                }
            }
        }
    }
}

/// The lines of two texts, each with `-` if it is only in the first, `+` if only in the second.
fn changes<'t>(was: &'t str, is: &'t str) -> Vec<(char, &'t str)> {
    let mut input = InternedInput::default();
    input.update_before(was.lines());
    input.update_after(is.lines());
    let difference = Diff::compute(Algorithm::Myers, &input);
    let of = |sign, tokens: &[Token]| tokens.iter().map(|token| (sign, input.interner[*token])).collect::<Vec<_>>();
    let (mut lines, mut at) = (Vec::new(), 0);
    for hunk in difference.hunks() {
        let [from, to, new_from, new_to] =
            [hunk.before.start, hunk.before.end, hunk.after.start, hunk.after.end].map(|at| at as usize);
        lines.extend(of(' ', &input.before[at..from]));
        lines.extend(of('-', &input.before[from..to]));
        lines.extend(of('+', &input.after[new_from..new_to]));
        at = to;
    }
    lines.extend(of(' ', &input.before[at..]));
    lines
}

/// A form in which specs are typed, checked and applied. `next`: where to go then, without the base path.
pub(crate) fn editor(base: &str, next: &str, text: &str) -> Markup {
    let operation = |path: &[&str]| address::api(["pipelines"].iter().chain(path)).under("");
    html! {
        form .editor method="post" action=(address::act().under(base)) {
            input type="hidden" name="-method" value="POST";
            input type="hidden" name="-next" value=(next);
            input type="hidden" name="-shows" value="yes";
            label { "Spec, as YAML or JSON"
                textarea .mono name="specs:spec" rows=(text.lines().count().clamp(12, 40)) spellcheck="false"
                    autocapitalize="off" required { "\n" (text) } }
            p {
                button name="-operation" value=(operation(&["check"])) { "Check" } " "
                button name="-operation" value=(operation(&[])) { "Apply" }
            }
        }
    }
}

/// What was typed, with what is wrong at each line, and again as a form below a heading.
pub(crate) fn mended(base: &str, typed: &Typed, problems: &[SpecProblem], heading: &str) -> Markup {
    let mut at: BTreeMap<u32, Vec<&SpecProblem>> = BTreeMap::new();
    for problem in problems {
        at.entry(problem.line).or_default().push(problem);
    }
    let last = typed.text.lines().count();
    let lines = typed.text.lines().zip(1_u32..);
    let beyond = at.iter().filter(|(line, _)| **line as usize > last || **line == 0);
    html! {
        @if !problems.is_empty() {
            ul .problems {
                @for problem in problems {
                    li { a href={ "#L" (problem.line) } { "line " (problem.line) ", column " (problem.column) } ": "
                        @if !problem.is_error { "warning: " } (problem.message)
                        @if let Some(hint) = &problem.hint { " " span .hint { (hint) } } }
                }
            }
            pre .spec {
                @for (line, number) in lines {
                    @let wrong = at.get(&number);
                    span .line .wrong[wrong.is_some()] id=[wrong.map(|_| format!("L{number}"))] { (line) "\n" }
                    @for problem in wrong.into_iter().flatten() { (note(problem)) }
                }
                @for problem in beyond.flat_map(|(_, problems)| problems) { (note(problem)) }
            }
        }
        h2 { (heading) }
        (editor(base, &typed.next, &typed.text))
    }
}

fn note(problem: &SpecProblem) -> Markup {
    let space = " ".repeat(problem.column.saturating_sub(1).min(120) as usize);
    html! { span .note { (space) "▲ " (problem.message) "\n" } }
}

/// Where a new pipeline is typed.
pub(crate) fn new_one() -> Address {
    address::pipelines().with("apply", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_at_its_line() {
        let problem = |line, message: &str| SpecProblem {
            line,
            column: 3,
            is_error: true,
            message: message.to_owned(),
            hint: Some("did you mean <b>?".to_owned()),
        };
        let typed = Typed { text: "pipeline:\n  nane: <script>\n".to_owned(), next: "/pipelines".to_owned() };
        let problems = [problem(2, "unknown field `nane`"), problem(9, "the end")];
        let html = mended("/pv", &typed, &problems, "Mend it").into_string();
        let line = html.find("id=\"L2\"").unwrap();
        let note = html.find("  ▲ unknown field `nane`").unwrap();
        assert!(line < note && html.contains("▲ the end"));
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>") && !html.contains("<b>?"));
        assert!(html.contains("action=\"/pv/act\"") && html.contains("value=\"/api/v1/pipelines/check\""));
        // A browser drops the first line end of a textarea.
        assert!(html.contains("required>\npipeline:\n"));
    }

    #[test]
    fn two_texts_are_shown_as_one() {
        let text = |was, is| {
            changes(was, is).into_iter().map(|(sign, line)| format!("{sign}{line}")).collect::<Vec<_>>().join("|")
        };
        assert_eq!(text("a\nb\nc", "a\nx\nc\nd"), " a|-b|+x| c|+d");
        assert_eq!(text("", "a"), "+a");
        assert_eq!(text("a", ""), "-a");
        assert_eq!(text("a\nb", "a\nb"), " a| b");
    }

    #[test]
    fn keys_stand_out() {
        let html = shown("a: 1\n- b:\n  \"x: <\"\n").into_string();
        assert!(html.contains("<b>a</b>: 1") && html.contains("- <b>b</b>:"), "{html}");
        assert!(html.contains("&lt;"));
    }
}
