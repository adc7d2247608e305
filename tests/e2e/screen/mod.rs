//! The screen of a real terminal, at four widths: nothing is wider, nothing important is lost, nothing is left behind.
//!
//! - `seen` what a terminal shows after a program wrote to it
//! - `60.txt` … the output of several commands; `PV_SCREENS=write` writes them again

mod seen;

use std::path::Path;

use nix::sys::signal::Signal;
use tests::TestEnv;
use tests::pty::has_script;

use crate::flow;
use crate::support::*;
use seen::{masked, on_screen, seen, text_of};

const WIDTHS: [u16; 4] = [60, 80, 100, 200];
/// High enough that nothing scrolls out.
const HIGH: u16 = 200;
/// A fixed time, so that the output does not depend on when commands run.
const NOW: &str = "2026-07-01T12:14:43Z";

/// Commands whose output does not depend on this machine.
const SNAPSHOTS: [&str; 8] = [
    "pv log",
    "pv log images",
    "pv job list",
    "pv pipeline list",
    "pv branch list images",
    "pv diff images",
    "pv plan",
    "pv help exit-codes",
];

/// Long names, messages and reasons, a failed job, a waiting job.
fn busy() -> TestEnv {
    let env = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    env.set("PV_NOW", NOW);
    env.ok(["config", "set", "executor", "process"]);
    env.write("a", "one\n");
    env.write("b", "two\n");
    env.ok(["put", "images", "a", "b", "-m", "the first batch of images, from all four cameras of the northern gate"]);
    flow::apply(&env);
    env.ok(["run"]);
    env.write("c-with-a-name-that-says-which-camera-saw-it-and-when-1782820929.txt", "bad\n");
    env.ok(["put", "images", "c-with-a-name-that-says-which-camera-saw-it-and-when-1782820929.txt", "-m", "third"]);
    assert_eq!(env.exit_code(["run"]), 1);
    apply(&env, &spec("a-name-as-long-as-people-like-them", "upper", &copy_of("upper")));
    env
}

#[test]
fn tables_and_reports_are_as_they_were_at_four_widths() {
    if !has_script() {
        return skip("`script` is not there");
    }
    let env = busy();
    for width in WIDTHS {
        let shown =
            SNAPSHOTS.map(|command| format!("$ {command}\n{}\n", on_screen(&env, command, (width, HIGH)).join("\n")));
        let shown = masked(&env, &shown.join("\n"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/e2e/screen/{width}.txt"));
        if std::env::var_os("PV_SCREENS").is_some_and(|wish| wish == "write") {
            std::fs::write(&file, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(shown == expected, "{width} columns:\n{shown}\nbut expected was\n{expected}");
    }
}

#[test]
fn nothing_is_wider_than_the_terminal_and_no_reason_is_lost() {
    if !has_script() {
        return skip("`script` is not there");
    }
    let env = busy();
    let others = [
        "pv",
        "pv trace count:/count",
        "pv trace images:/a --forward --all-runs",
        "pv datum list upper",
        "pv job show upper",
        "pv explain upper",
        "pv explain count",
        "pv find a",
        "pv help specs",
        "pv help settings",
        "pv help references",
        "pv help globs",
        "pv help put",
        "pv config list",
    ];
    for command in SNAPSHOTS.iter().chain(&others) {
        for width in WIDTHS {
            let text = text_of(&env.terminal_bytes(command, (width, HIGH)));
            for line in text.lines() {
                assert!(line.chars().count() <= usize::from(width), "{command} at {width}: {line:?}\n{text}");
            }
        }
    }
    // Its lines are meant to be copied, and so are not wrapped.
    let text = text_of(&env.terminal_bytes("pv help txn", (80, HIGH)));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for command in ["pv", "pv job list"] {
        for width in WIDTHS {
            let words: String = text_of(&env.terminal_bytes(command, (width, HIGH))).split_whitespace().collect();
            assert!(words.contains("1of3datumsfailed"), "{command} at {width}: {words}");
        }
    }
}

#[test]
fn a_tree_keeps_its_branches_where_lines_are_broken_and_loses_no_word() {
    if !has_script() {
        return skip("`script` is not there");
    }
    let env = busy();
    let tree =
        |text: &str| text.lines().filter(|line| !line.starts_with("logs:")).map(str::to_owned).collect::<Vec<_>>();
    let words = |lines: &[String]| {
        lines.concat().chars().filter(|c| !c.is_whitespace() && !"│├└─●".contains(*c)).collect::<String>()
    };
    let whole = tree(&env.ok(["trace", "count:/count"]));
    let widest = whole.iter().map(|line| line.chars().count()).max().unwrap();
    assert!(widest > 100, "lines have to be broken at all: {whole:?}");
    for width in WIDTHS {
        let lines = tree(&text_of(&env.terminal_bytes("pv trace count:/count", (width, HIGH))));
        assert_eq!(words(&lines), words(&whole), "at {width}");
        // Between the first datum and the verdict every line is after a branch, or in its indentation.
        let below =
            lines.iter().skip_while(|line| !line.starts_with('●')).take_while(|line| !line.starts_with("complete"));
        for line in below.skip(1) {
            assert!(line.starts_with(['│', '├', '└', ' ']), "at {width}: {line:?}\n{}", lines.join("\n"));
        }
        // A branch that continues is visible in every line until its end.
        let ends = lines.iter().rposition(|line| line.starts_with(['├', '└'])).unwrap();
        let begins = lines.iter().position(|line| line.starts_with('●')).unwrap();
        for line in &lines[begins + 1..ends] {
            assert!(line.starts_with(['│', '├', '└']), "at {width}: {line:?}\n{}", lines.join("\n"));
        }
    }
}

/// Images, each of which is a datum.
fn many(datums: usize, script: &str) -> TestEnv {
    let env = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["config", "set", "executor", "process"]);
    for number in 0..datums {
        env.write(format!("in/{number:03}"), number.to_string());
    }
    env.ok(["put", "images", "in", "-m", "batch"]);
    let long = "a-pipeline-with-a-name-that-is-longer-than-a-column";
    env.write(
        "specs.yml",
        format!(
            "{}---\n{}",
            spec("copy", "images", script),
            spec_with(long, &pfs("copy", "/"), "cp -r /pfs/copy /pfs/out/", "")
        ),
    );
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    env
}

#[test]
fn a_job_of_200_datums_leaves_no_line_behind() {
    if !has_script() {
        return skip("`script` is not there");
    }
    for (columns, rows) in [(80, 24), (60, 10), (100, 24), (200, 50)] {
        let datums = if rows == 24 && columns == 80 { 200 } else { 50 };
        let env = many(datums, &format!("sleep 0.01; {}", copy_of("images")));
        let bytes = env.terminal_bytes("pv run -j 2", (columns, rows));
        let drawn = String::from_utf8_lossy(&bytes).matches("\u{1b}[J").count();
        assert!(drawn > 3, "it was drawn anew: {}", String::from_utf8_lossy(&bytes));
        let lines = seen(&bytes, (columns, rows));
        let text = lines.join("\n");
        for word in ["running", "waiting", "━", "left", "finishing"] {
            assert!(!text.contains(word), "`{word}` is left behind at {columns} × {rows}:\n{text}");
        }
        assert!(lines.len() <= 8, "at {columns} × {rows}:\n{text}");
        assert!(
            text.contains(&format!("{datums} run"))
                && lines.iter().filter(|line| line.contains("success")).count() == 2,
            "{text}"
        );
    }
}

#[test]
fn more_jobs_than_the_terminal_has_rows_leave_no_line_behind() {
    if !has_script() {
        return skip("`script` is not there");
    }
    let env = TestEnv::with_store(env!("CARGO_BIN_EXE_pv"));
    env.ok(["config", "set", "executor", "process"]);
    env.write("a", "1");
    env.ok(["put", "images", "a"]);
    let specs: Vec<String> = (0..12)
        .map(|number| spec(&format!("stage-{number:02}"), "images", &format!("sleep 0.1; {}", copy_of("images"))))
        .collect();
    env.write("specs.yml", specs.join("---\n"));
    env.ok(["pipeline", "apply", "-f", "specs.yml"]);
    let bytes = env.terminal_bytes("pv run -j 1", (80, 6));
    assert!(String::from_utf8_lossy(&bytes).contains(" more"), "there was more than could be drawn");
    let lines = seen(&bytes, (80, 6));
    let text = lines.join("\n");
    assert!(!text.contains("running") && !text.contains("waiting") && !text.contains(" more"), "{text}");
    assert_eq!(lines.iter().filter(|line| line.contains("success")).count(), 12, "{text}");
}

#[test]
fn a_put_and_its_run_leave_no_line_behind() {
    if !has_script() {
        return skip("`script` is not there");
    }
    let env = many(20, &copy_of("images"));
    env.ok(["run"]);
    for number in 0..16 {
        env.write(format!("large/{number}"), noise(3 << 20, number));
    }
    let bytes = env.terminal_bytes("pv put images large --wait -m large", (80, 24));
    assert!(String::from_utf8_lossy(&bytes).contains("MB of"), "there was a bar: {}", String::from_utf8_lossy(&bytes));
    let text = seen(&bytes, (80, 24)).join("\n");
    assert!(!text.contains("━") && !text.contains(" left"), "{text}");
    assert!(text.contains("16 run") && text.contains("undo: pv revert images"), "{text}");
    assert!(!text.contains("next: pv run"), "it has run already: {text}");
}

#[test]
fn diff_trace_and_status_are_read_page_by_page() {
    if !has_script() {
        return skip("`script` is not there");
    }
    let env = flow::run();
    env.set("PV_NOW", NOW);
    env.write("many", (0..500).map(|number| format!("{number}\n")).collect::<Vec<_>>().concat());
    env.ok(["put", "images", "many"]);
    for (command, expected) in [
        ("pv diff images", "/many"),
        ("pv trace count:/count", "complete"),
        ("pv status", "REPOSITORY"),
        ("pv", "REPOSITORY"),
    ] {
        let shown = |pager: &str, end: &str| {
            text_of(&env.terminal_bytes(&format!("PV_PAGER='{pager}' {command}{end}"), (80, 24)))
        };
        // The pager gets the same as a terminal: its width, its colours, and the hints in order.
        let paged = shown("cat > paged; echo LESS=$LESS", "");
        let there = env.read("paged");
        assert!(paged.contains("LESS=FRX") && !paged.contains(expected), "{command}: {paged}");
        let plain = shown("cat", "");
        // Except for the free space on disk.
        let steady =
            |text: &str| text.lines().filter(|line| !line.contains(" free")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(steady(&text_of(there.as_bytes())), steady(&plain), "{command}");
        assert!(plain.contains(expected), "{command}: {plain}");
        // Off when piped, when disabled, and for programs.
        for (pager, end) in [("echo PAGED", " | cat"), ("", ""), ("echo PAGED", " --json")] {
            let shown = shown(pager, end);
            assert!(!shown.contains("PAGED"), "{command}{end}: {shown}");
        }
        // A missing pager, or one that reads nothing, is not an error.
        let status = env.on_a_terminal(&format!("PV_PAGER=true {command}"), (80, 24)).output().unwrap().status;
        assert_eq!(status.code(), Some(0), "{command}");
    }
    let code = |line: &str| env.on_a_terminal(line, (80, 24)).output().unwrap().status.code();
    assert_eq!(
        [code("PV_PAGER='cat >/dev/null' pv diff images --exit-code"), code("PV_PAGER=not-there pv diff nothing")],
        [Some(1), Some(3)]
    );
}

#[test]
fn less_ends_by_itself_when_all_fits_and_an_owner_prints_to_it_too() {
    let has_less = std::process::Command::new("less").arg("--version").output().is_ok();
    if !has_script() || !has_less {
        return skip("`script` or `less` is not there");
    }
    let env = flow::run();
    let served = serve(&env);
    let shown = on_screen(&env, "unset PV_PAGER; pv status", (80, 40)).join("\n");
    assert!(shown.contains("REPOSITORY") && shown.contains("pv serve runs jobs"), "{shown}");
    served.send(Signal::SIGINT);
    served.end().assert_code(130);
}
