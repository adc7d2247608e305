//! The example as a whole, with few frames: its script checks what it claims.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::TestEnv;

use crate::support::{has_docker, skip};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/threat-detection").canonicalize().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a script of the example; what it said is the error.
fn script(name: &str, args: &[&Path]) -> Result<(), String> {
    let output = Command::new(example().join(name)).args(args).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(said(&output)) }
}

/// Python with `OpenCV`, and the video that the frames are from.
fn prepare(env: &TestEnv) -> Result<(), String> {
    script("image/host.sh", &[])?;
    script("data/prepare.sh", &[&env.dir().join("data"), Path::new("--frames"), Path::new("12")])
}

#[expect(clippy::print_stderr, reason = "the summary is for whoever runs the tests")]
#[test]
fn the_threat_detection_example_keeps_its_promises() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    if let Err(why) = prepare(&env) {
        skip(&format!("Python, OpenCV or the video cannot be had: {why}"));
        return;
    }
    let executor = if has_docker() { "docker" } else { "process" };
    let mut command = Command::new(example().join("demo.sh"));
    command.env("PV", env!("CARGO_BIN_EXE_pv")).env("DEMO_DIR", env.dir().join("demo"));
    let output = command.env("DEMO_FRAMES", "12").env("DEMO_EXECUTOR", executor).output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for claim in ["exactly the frames of batch 2", "datums that detect ran: 0", "and has no gaps: complete"] {
        assert!(said.contains(claim), "{claim}\n{said}");
    }
    let summary = said.lines().skip_while(|line| !line.contains("Summary")).take(7);
    summary.for_each(|line| eprintln!("{line}"));
}
