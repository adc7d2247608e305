//! Both executors keep the contract, with the real binary as the agent.

use std::path::{Path, PathBuf};

use engine::executor::contract::{Subject, executor_contract};
use engine::executor::{Owner, ProcessExecutor, ProcessSettings};

/// A variable of this process that no command may see.
const CANARY: &str = "CARGO_MANIFEST_DIR";

fn owner() -> Owner {
    Owner { store: "contract".to_owned(), instance: format!("test-{}", std::process::id()) }
}

fn settings(scratch: &Path) -> ProcessSettings {
    ProcessSettings {
        pv: PathBuf::from(env!("CARGO_BIN_EXE_pv")),
        scratch: scratch.join("scratch"),
        hidden: vec![],
        owner: owner(),
    }
}

#[tokio::test]
async fn the_process_executor_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let executor = ProcessExecutor::new(settings(scratch.path()));
    let mean = executor_contract(&Subject { executor: &executor, image: None, canary: CANARY }).await;
    eprintln!("process: {mean:?} a datum");
    assert_eq!(std::fs::read_dir(scratch.path().join("scratch")).unwrap().count(), 0, "nothing is left behind");
}
