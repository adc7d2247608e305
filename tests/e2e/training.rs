//! The complete example of model training: its script checks its claims.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::TestEnv;

use crate::support::{has_docker, skip};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/model-training").canonicalize().unwrap()
}

#[test]
fn the_model_training_example_keeps_its_promises() {
    let env = TestEnv::without_store(env!("CARGO_BIN_EXE_pv"));
    let host = Command::new(example().join("image/host.sh")).output().unwrap();
    if !host.status.success() {
        skip(&format!("scikit-learn cannot be had: {}", String::from_utf8_lossy(&host.stderr)));
        return;
    }
    let executor = if has_docker() { "docker" } else { "process" };
    let mut command = Command::new(example().join("demo.sh"));
    command.env("PV", env!("CARGO_BIN_EXE_pv")).env("DEMO_DIR", env.dir().join("demo")).env("DEMO_EXECUTOR", executor);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for claim in ["labels put right", "models trained again: the try's are taken: 0", "checked without a store"] {
        assert!(said.contains(claim), "{claim}\n{said}");
    }
}
