//! Everything that commands do, programs can do through the API: each command names its operations, or says why it has none.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::Cli;

/// A command, and what does the same in the API.
enum Row {
    /// These operations.
    By(&'static str, &'static [&'static str]),
    /// None, for this reason.
    None(&'static str, &'static str),
}

const OF_THE_CALLER: &str = "it concerns the machine where it is called";
const ABOUT_ITSELF: &str = "it is about the program itself, and needs no store";

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row::None("init", "it creates the store that a server needs"),
    Row::By("config get", &["showSetting"]),
    Row::By("config list", &["listSettings"]),
    Row::By("config set", &["setSetting"]),
    Row::By("config unset", &["unsetSetting"]),
    Row::By("repo create", &["createRepo"]),
    Row::By("repo list", &["listRepos"]),
    Row::By("repo show", &["showRepo"]),
    Row::By("repo delete", &["deleteRepo"]),
    Row::By("branch create", &["moveBranch"]),
    Row::By("branch list", &["listBranches", "showBranch"]),
    Row::By("branch move", &["moveBranch"]),
    Row::By("branch delete", &["deleteBranch"]),
    Row::By("branch log", &["listBranchMoves"]),
    Row::By("tag create", &["createTag"]),
    Row::By("tag list", &["listTags", "showTag"]),
    Row::By("tag delete", &["deleteTag"]),
    Row::By("pipeline apply", &["applyPipelines"]),
    Row::By("pipeline check", &["checkPipelines"]),
    Row::None("pipeline new", "it prints an example of a spec; `showSpecSchema` describes all specs"),
    Row::By("pipeline list", &["listPipelines"]),
    Row::By("pipeline show", &["showPipeline", "showVersion"]),
    Row::By("pipeline log", &["listVersions"]),
    Row::By("pipeline rollback", &["rollBackPipeline"]),
    Row::By("pipeline delete", &["deletePipeline"]),
    Row::By("pipeline stop", &["stopPipeline"]),
    Row::By("pipeline start", &["startPipeline"]),
    Row::By("pipeline rerun", &["rerunPipeline"]),
    Row::By("pipeline tick", &["tickPipeline"]),
    Row::By("secret create", &["keepSecret"]),
    Row::By("secret list", &["listSecrets"]),
    Row::By("secret delete", &["deleteSecret"]),
    Row::By("token create", &["createToken"]),
    Row::By("token list", &["listTokens"]),
    Row::By("token revoke", &["revokeToken"]),
    Row::By("notify create", &["createNotification"]),
    Row::By("notify list", &["listNotifications"]),
    Row::By("notify show", &["showNotification"]),
    Row::By("notify test", &["testNotification"]),
    Row::By("notify pause", &["pauseNotification"]),
    Row::By("notify resume", &["resumeNotification"]),
    Row::By("notify delete", &["deleteNotification"]),
    Row::By("notify deliveries", &["listDeliveries"]),
    Row::By("notify redeliver", &["redeliver"]),
    Row::By("notify rotate-secret", &["rotateNotificationSecret"]),
    Row::By("watch add", &["addWatch"]),
    Row::By("watch list", &["listWatches", "showWatch"]),
    Row::By("watch pause", &["pauseWatch"]),
    Row::By("watch resume", &["resumeWatch"]),
    Row::By("watch delete", &["deleteWatch"]),
    Row::By("image list", &["listImages"]),
    Row::By("image save", &["saveImages"]),
    Row::By("image load", &["loadImages"]),
    Row::By("key show", &["listKeys"]),
    Row::By("key rotate", &["rotateKey"]),
    Row::By("key trust", &["trustKey"]),
    Row::By("commit delete", &["deleteCommit"]),
    Row::By("commit prune", &["pruneCommits"]),
    Row::By("put", &["putFile", "commit", "findMissingObjects", "sendObjects", "composeFile", "listChunks"]),
    Row::By("rm", &["removeFile", "removeFiles"]),
    Row::By("mv", &["moveFile"]),
    Row::By("cp", &["copyFile"]),
    Row::By("revert", &["revertCommit"]),
    Row::By("txn", &["commitTransaction"]),
    Row::By("get", &["readFile", "listFiles"]),
    Row::By("cat", &["readFile"]),
    Row::By("ls", &["listFiles"]),
    Row::By("log", &["listCommits", "listChanges"]),
    Row::By("show", &["showCommit", "showRun", "showVersion", "showJob", "showDatum", "find", "readDocument", "listRuns"]),
    Row::By("status", &["showStatus"]),
    Row::By("job list", &["listJobs"]),
    Row::By("job show", &["showJob"]),
    Row::By("job retry", &["retryJob"]),
    Row::By("job stop", &["stopJob", "stopRun"]),
    Row::By("datum list", &["listDatums"]),
    Row::By("datum show", &["showDatum"]),
    Row::By("trace", &["traceFile", "traceForward"]),
    Row::By("explain", &["explainJob", "explainPipeline", "explainDatum", "compareJobs", "compareDatums"]),
    Row::By("find", &["find"]),
    Row::By("verify", &["verify", "verifyByRerun"]),
    Row::By("bundle", &["readBundle"]),
    Row::By("checkpoint", &["signCheckpoint"]),
    Row::By("audit", &["readAudit"]),
    Row::By("diff", &["diff", "diffWhy"]),
    Row::By("metrics", &["showMetrics"]),
    Row::By("fsck", &["check"]),
    Row::By("mirror", &["mirror"]),
    Row::By("gc", &["collectGarbage"]),
    Row::By("schema", &["showSpecSchema"]),
    Row::By("plan", &["plan", "planPipelines"]),
    Row::By("run", &["runJobs"]),
    Row::By("try", &["tryPipelines"]),
    Row::None("serve", "it is the server"),
    Row::By("wait", &["waitForJobs"]),
    Row::By("logs", &["readLogs", "readLog", "listenToEvents"]),
    Row::By("login", &["createLoginLink"]),
    Row::None("logout", OF_THE_CALLER),
    Row::By("whoami", &["whoami"]),
    Row::None("worker join", "it is the worker"),
    Row::By("worker list", &["listWorkers"]),
    Row::None("completions", ABOUT_ITSELF),
    Row::None("version", ABOUT_ITSELF),
    Row::None("help", ABOUT_ITSELF),
];

/// Operations that are no command of their own, each with its reason.
const WITHOUT_A_COMMAND: [(&str, &str); 12] = [
    ("openapi", "the API about itself"),
    ("showDocs", "the API about itself"),
    ("listOperations", "commands wait for long work, and show its progress"),
    ("showOperation", "commands wait for long work, and show its progress"),
    ("stopOperation", "a signal stops a command"),
    ("beginUpload", "commands send objects: they know what is missing"),
    ("listUploads", "commands send objects: they know what is missing"),
    ("showUpload", "commands send objects: they know what is missing"),
    ("sendPart", "commands send objects: they know what is missing"),
    ("commitUpload", "commands send objects: they know what is missing"),
    ("abortUpload", "commands send objects: they know what is missing"),
    ("logOut", "it ends the session of a browser"),
];

/// Commands without subcommands, as they are typed.
fn leaves(command: &clap::Command, before: &str) -> Vec<String> {
    let subcommands: Vec<_> = command.get_subcommands().filter(|of| !of.is_hide_set()).collect();
    if subcommands.is_empty() {
        return vec![before.trim().to_owned()];
    }
    subcommands.into_iter().flat_map(|of| leaves(of, &format!("{before} {}", of.get_name()))).collect()
}

#[test]
fn every_command_has_its_operations_or_a_reason() {
    let listed: Vec<&str> = TABLE.iter().map(|(Row::By(command, _) | Row::None(command, _))| *command).collect();
    let commands: BTreeSet<String> = leaves(&Cli::command(), "").into_iter().collect();
    let known: BTreeSet<String> = listed.iter().map(|command| (*command).to_owned()).collect();
    assert_eq!(commands, known, "left: commands; right: the table");
    assert_eq!(listed.len(), known.len(), "a command is there twice");
    for row in TABLE {
        match row {
            Row::By(command, operations) => assert!(!operations.is_empty(), "{command}"),
            Row::None(command, why) => assert!(why.len() > 10, "{command}"),
        }
    }
}

#[test]
fn every_operation_is_that_of_a_command_or_has_a_reason() {
    let operations: BTreeSet<&str> = server::operations().iter().map(|operation| operation.id).collect();
    let of_commands = TABLE.iter().flat_map(|row| match row {
        Row::By(_, operations) => *operations,
        Row::None(..) => &[],
    });
    let others = WITHOUT_A_COMMAND.iter().map(|(operation, _)| operation);
    let named: BTreeSet<&str> = of_commands.chain(others).copied().collect();
    assert_eq!(operations, named, "left: the API; right: the tables");
}
