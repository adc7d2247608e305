//! Size limits of specs: what is too large is refused with a message, and everything else takes time proportional to its length.
//!
//! The texts here are as long as a file may be. If a step compared each item with all earlier ones, each of these tests would take minutes.

use proptest::prelude::*;

use super::super::limits::{MAX_INPUTS, MAX_PIPELINES, MAX_PROBLEMS};
use super::super::read_input::{meet_one_by_one, met};
use super::*;

/// The message for a text with exactly one problem.
fn only_problem(text: &str) -> String {
    let set = parse(text);
    let errors: Vec<_> = set.diagnostics.iter().filter(|problem| problem.is_error()).collect();
    assert_eq!(errors.len(), 1, "{}", report(&set));
    errors[0].to_string()
}

fn spec_of(transform: &str, input: &str) -> String {
    format!("{{pipeline: {{name: p}}, transform: {{image: 'd:1', cmd: [sh]{transform}}}, input: {input}}}")
}

fn arms(kind: &str, count: usize, arm: impl Fn(usize) -> String) -> String {
    format!("{{{kind}: [{}]}}", (0..count).map(arm).collect::<Vec<_>>().join(", "))
}

fn leaf(name: &str) -> String {
    format!("{{pfs: {{repo: r, name: {name}, glob: /}}}}")
}

fn env(count: usize) -> String {
    let variables: Vec<_> = (0..count).map(|number| format!("V{number}: x")).collect();
    format!(", env: {{{}}}", variables.join(", "))
}

#[test]
fn a_thousand_inputs_are_read_and_one_more_is_refused_with_its_place() {
    for (kind, name) in [("union", "same".to_owned()), ("cross", String::new())] {
        let arm = |number: usize| leaf(&if name.is_empty() { format!("i{number}") } else { name.clone() });
        assert_eq!(only(&spec_of("", &arms(kind, MAX_INPUTS, arm))).input.leaves().len(), MAX_INPUTS);
        for count in [MAX_INPUTS + 1, 10_000] {
            let problem = only_problem(&spec_of("", &arms(kind, count, arm)));
            assert!(
                problem.starts_with("p.yml:1:")
                    && problem.ends_with("this is input 1,001; a pipeline has at most 1,000"),
                "{problem}"
            );
        }
    }
    let one_name = |number: usize| leaf(if number == 0 { "first" } else { "same" });
    let set = parse(&spec_of("", &arms("cross", MAX_INPUTS, one_name)));
    assert_eq!(set.diagnostics.len(), MAX_INPUTS - 2, "each repeated name is told");
}

#[test]
fn a_thousand_variables_are_read_and_one_more_is_refused() {
    let input = leaf("i");
    assert_eq!(only(&spec_of(&env(1_000), &input)).transform.env.len(), 1_000);
    for count in [1_001, 30_000] {
        let problem = only_problem(&spec_of(&env(count), &input));
        assert!(problem.ends_with("entries; at most 1,000 are allowed") && problem.contains("`env` has"), "{problem}");
    }
    let secrets = format!(", secrets: [{}]", vec!["{name: s, mount_path: /s}"; 1_001].join(", "));
    assert!(only_problem(&spec_of(&secrets, &input)).contains("`secrets` has 1,001 entries"));
}

#[test]
fn what_no_program_can_be_given_is_refused() {
    let input = leaf("i");
    let cmd = |arguments: &[usize]| {
        let arguments: Vec<_> = arguments.iter().map(|bytes| "x".repeat(*bytes)).collect();
        format!(
            "{{pipeline: {{name: p}}, transform: {{image: 'd:1', cmd: [{}]}}, input: {input}}}",
            arguments.join(", ")
        )
    };
    assert_eq!(only(&cmd(&[2, 131_071])).transform.cmd.len(), 2);
    assert!(
        only_problem(&cmd(&[2, 131_072]))
            .ends_with("`cmd`: an argument: 131,072 bytes; a program can be given at most 131,071")
    );
    assert!(only_problem(&cmd(&[131_000; 9])).contains("`cmd` and `env` together"));
    let long = format!(", env: {{V: {}}}", "x".repeat(131_070));
    assert!(only_problem(&spec_of(&long, &input)).contains("`env`: a variable: 131,072 bytes"));
}

#[test]
fn a_file_that_is_too_long_is_refused_unread() {
    let text = format!("{} # {}", spec_of("", &leaf("i")), "x".repeat(MAX_FILE_BYTES));
    assert!(only_problem(&text).contains("bytes; a spec file may have at most 4 MiB"));
    assert_eq!(only(&text[..MAX_FILE_BYTES]).input.leaves().len(), 1);
}

#[test]
fn ten_thousand_pipelines_are_read_and_one_more_is_refused() {
    let last = "more than 10,000 pipelines at a time";
    for text in ["{}".repeat(100_000), format!("[{}]", vec!["{}"; 10_001].join(",")), "a\n---\n".repeat(10_001)] {
        let mut notes = Notes::default();
        let (roots, _) = node::parse(&text);
        assert!(roots.len() <= MAX_PIPELINES + 1, "no more is kept than can be told");
        notes.push(too_many("p.yml", Place::START));
        assert!(notes.diagnostics[0].to_string().ends_with(last));
        let many = roots.iter().flat_map(specs_in).count();
        assert_eq!(many, MAX_PIPELINES + 1);
    }
    let few = "{}".repeat(100);
    assert!(!report(&parse(&few)).contains(last));
    // Each has three problems, so the thousand that are listed do not reach the end; the refusal does not depend on that.
    assert!(parse(&"{}".repeat(10_001)).has_errors());
}

#[test]
fn a_ring_of_pipelines_and_very_many_rings_are_found_in_time() {
    let ring = |size: usize, rings: usize| {
        let spec = |number: usize| {
            let (ring, at) = (number / size, number % size);
            let read = ring * size + (at + size - 1) % size;
            format!(
                "{{pipeline: {{name: p{number}}}, transform: {{image: 'd:1', cmd: [s]}}, input: {{pfs: {{repo: p{read}, glob: /}}}}}}"
            )
        };
        (0..size * rings).map(spec).collect::<Vec<_>>().join("\n---\n")
    };
    assert_eq!(parse(&ring(1_000, 1)).diagnostics.len(), 1);
    assert_eq!(parse(&ring(2, 400)).diagnostics.len(), 100, "so many are named");
}

#[test]
fn very_many_problems_are_listed_up_to_a_bound_and_counted_beyond() {
    let fields: Vec<_> = (0..30_000).map(|number| format!("f{number}: 1")).collect();
    let set = parse(&format!("{{pipeline: {{name: p}}, {}}}", fields.join(", ")));
    assert_eq!(set.diagnostics.len(), MAX_PROBLEMS + 1);
    let last = set.diagnostics.last().map(ToString::to_string).unwrap_or_default();
    assert!(set.has_errors() && last.ends_with("only the first 1,000 problems are listed"), "{last}");
    let twice: String = (0..30_000).map(|_| "a: 1\n").collect();
    assert_eq!(parse(&twice).diagnostics.len(), MAX_PROBLEMS + 1);
}

#[test]
fn neither_long_texts_nor_deep_ones_cost_more_than_their_length() {
    let long = "x".repeat(1_000_000);
    let message = only_problem(&format!("{}\n", spec_of(&format!(", {long}: 1"), &leaf("i"))));
    assert!(message.len() < 5_000 && message.contains(" … "), "{}", message.len());
    assert!(only_problem(&spec_of("", &format!("{{pfs: {{repo: r, glob: '{long}'}}}}"))).contains("is not a glob"));
    for deep in ["[".repeat(1_000_000), "{a: ".repeat(300_000), "- ".repeat(500_000), "? ".repeat(500_000)] {
        assert!(report(&parse(&deep)).contains("lists and mappings are nested more than 64 deep"), "{}", &deep[..10]);
    }
    assert!(parse(&"---\n}\n".repeat(10_000)).has_errors());
    assert!(parse(&"&a *a : ".repeat(10_000)).has_errors());
}

#[test]
fn aliases_and_anchors_stand_for_no_more_than_a_file_could_hold() {
    let text = "x".repeat(100_000);
    let aliases = vec!["*a"; 1_000].join(", ");
    let message = report(&parse(&format!("[&a {text}, {aliases}]")));
    assert!(message.contains("aliases expand to more than 100,000 nodes"), "{message}");
    let nested = (0..60).map(|number| format!("&a{number} [")).collect::<Vec<_>>().concat();
    let message = report(&parse(&format!("{nested}{}", "x, ".repeat(100_000))));
    let closed = format!("{nested}{}{}", "x, ".repeat(100_000), "]".repeat(60));
    assert!(!message.is_empty() && report(&parse(&closed)).contains("anchors expand to more than 1,000,000 nodes"));
    let merged = format!(
        "a: &a {{{}}}\nb: {{<<: [{}]}}",
        (0..3_000).map(|n| format!("k{n}: 1")).collect::<Vec<_>>().join(", "),
        vec!["*a"; 15].join(", ")
    );
    assert!(parse(&merged).has_errors());
}

prop_compose! {
    /// A tree of inputs, represented by the inputs above each leaf.
    fn trees()(kinds in proptest::collection::vec(0_usize..4, 12), parents in proptest::collection::vec(any::<proptest::sample::Index>(), 12),
               leaves in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..3), 1..14)) -> Vec<(String, Vec<(usize, &'static str)>)> {
        let kind = |number: usize| ["union", "union", "cross", "group"][kinds[number]];
        let mut above: Vec<Vec<(usize, &'static str)>> = vec![vec![(0, kind(0))]];
        for number in 1..12 {
            let mut path = above[parents[number].index(number)].clone();
            path.push((number, kind(number)));
            above.push(path);
        }
        leaves.iter().map(|(at, name)| (["a", "b", "c"][*name].to_owned(), above[at.index(12)].clone())).collect()
    }
}

proptest! {
    #[test]
    fn leaves_of_one_name_that_meet_are_found_as_if_each_pair_were_looked_at(leaves in trees()) {
        prop_assert_eq!(met(&leaves), meet_one_by_one(&leaves));
    }

    #[test]
    fn circles_are_found_as_if_each_spec_were_a_start(edges in proptest::collection::vec((0_usize..9, 0_usize..9), 0..20)) {
        let graph = super::super::graph::tests::graph(9, &edges);
        prop_assert_eq!(graph.circles_by_knots(), graph.circles_from_each());
    }
}
