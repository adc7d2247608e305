//! Documents: commits, recipes, results, certificates.

use repos::documents::{
    Certificate, CertifiedStage, CodeStamp, Commit, CommitKind, ExecutorKind, ExecutorStamp, GitCheck, GitDifference,
    GitHow, ImageStamp, JobDocument, JournalEnd, PipelineStamp, Provenance, Recipe, RecipeInput, Repetition,
    ResultDocument, ResultState, Source, TagDocument, Transform, Try, canonical,
};
use repos::hash::digest_of;
use specs::{BranchName, DatumId, Network};

use super::{at, commit_id, digest, is, run, user_commit};
use crate::common::{name, path};

#[test]
fn a_commit_leaves_out_what_is_at_its_default() {
    is(
        &user_commit(),
        r#"
        {"branch":"main","committer":"uid:1000@edge","created_at":"2026-07-01T12:14:43.000123Z",
        "kind":"user","repo":"images","run":"abababababababababababababababab",
        "tree":"47dc540c94ceb704a23875c11273e16bb0b8a87aed84de911f2133568115f254"}"#,
        "a6a907961a866a4bceb4a2dd7cbe3d26577552df90343266696c1e5ad9ce10c4",
    );
}

#[test]
fn an_output_commit_has_all_fields() {
    let commit = Commit {
        parents: vec![commit_id(1)],
        lineage: Some(digest(2)),
        datums: Some(digest(3)),
        kind: CommitKind::Output,
        author: "anna".to_owned(),
        message: "größer \"now\"".to_owned(),
        provenance: vec![Provenance { repo: name("images"), branch: BranchName::main(), commit: commit_id(4) }],
        sources: vec![Source { repo: name("rules"), commit: commit_id(5), path: path("/a") }],
        origins: Vec::new(),
        pipeline: Some(PipelineStamp {
            name: "detect".parse().unwrap(),
            version: 7,
            spec: digest(6),
            transform: digest(7),
            image: Some(ImageStamp {
                reference: "detect:1".to_owned(),
                digest: digest(8),
                id: "sha256:9".to_owned(),
                registry_digest: None,
            }),
            code: Some(CodeStamp { tree: Some(digest(9)), git_clean: Some(true), ..CodeStamp::default() }),
        }),
        job: Some(format!("detect@{}", run())),
        ..user_commit()
    };
    is(
        &commit,
        r#"
        {"author":"anna","branch":"main","committer":"uid:1000@edge",
        "created_at":"2026-07-01T12:14:43.000123Z",
        "datums":"0303030303030303030303030303030303030303030303030303030303030303",
        "job":"detect@abababababababababababababababab","kind":"output",
        "lineage":"0202020202020202020202020202020202020202020202020202020202020202",
        "message":"größer \"now\"",
        "parents":["0101010101010101010101010101010101010101010101010101010101010101"],
        "pipeline":{"code":{"git_clean":true,
        "tree":"0909090909090909090909090909090909090909090909090909090909090909"},
        "image":{"digest":"0808080808080808080808080808080808080808080808080808080808080808",
        "id":"sha256:9","reference":"detect:1"},"name":"detect",
        "spec":"0606060606060606060606060606060606060606060606060606060606060606",
        "transform":"0707070707070707070707070707070707070707070707070707070707070707","version":7},
        "provenance":[{"branch":"main",
        "commit":"0404040404040404040404040404040404040404040404040404040404040404","repo":"images"}],
        "repo":"images","run":"abababababababababababababababab",
        "sources":[{"commit":"0505050505050505050505050505050505050505050505050505050505050505","path":"/a",
        "repo":"rules"}],"tree":"47dc540c94ceb704a23875c11273e16bb0b8a87aed84de911f2133568115f254"}"#,
        "e41964a47d46f86937b2c4b75ee7dd291b72dfc9edf3f7fd2c6c790ce0ee354e",
    );
}

#[test]
fn a_transform_and_a_recipe() {
    let transform = Transform {
        image: Some(digest(1)),
        host: None,
        cmd: vec!["python3".to_owned(), "/code/detect.py".to_owned()],
        stdin: Vec::new(),
        env: [("THRESHOLD".to_owned(), "0.5".to_owned())].into(),
        user: None,
        working_dir: None,
        code: None,
        code_path: None,
        network: Network::None,
        secrets: Vec::new(),
        salt: None,
        host_files: std::collections::BTreeMap::new(),
    };
    is(
        &transform,
        r#"
        {"cmd":["python3","/code/detect.py"],"env":{"THRESHOLD":"0.5"},
        "image":"0101010101010101010101010101010101010101010101010101010101010101","network":"none"}"#,
        "e8e76ddf30e880e3c0c85a0ff2cc8cbb630ad713c97ca3809a59c027069afa0e",
    );
    let input = RecipeInput {
        name: "images".to_owned(),
        path: path("/cam7.jpg"),
        digest: Some(digest(2)),
        executable: false,
        tree: None,
        empty_files: false,
        key: None,
    };
    let directory = RecipeInput { path: path("/"), digest: None, tree: Some(digest(3)), ..input.clone() };
    is(
        &Recipe { transform: digest_of(&canonical(&transform)), inputs: vec![input, directory] },
        r#"
        {"inputs":[{"digest":"0202020202020202020202020202020202020202020202020202020202020202",
        "name":"images","path":"/cam7.jpg"},{"name":"images","path":"/",
        "tree":"0303030303030303030303030303030303030303030303030303030303030303"}],
        "transform":"e8e76ddf30e880e3c0c85a0ff2cc8cbb630ad713c97ca3809a59c027069afa0e"}"#,
        "4b179b41c7deb1d1696ec279e2318400ce6fa8c3433d07bbefe099ea671158f7",
    );
}

#[test]
fn a_result_a_job_and_a_tag() {
    let executor = ExecutorStamp { kind: ExecutorKind::Docker, version: "28.2".to_owned(), host: "edge".to_owned() };
    let attempt = Try {
        exit_code: Some(0),
        reason: None,
        log: None,
        started_at: at(),
        finished_at: at(),
        pull_ms: None,
        take_in_ms: None,
        memory_bytes: None,
        worker: None,
    };
    let result = ResultDocument {
        mac: None,
        recipe: DatumId::new(digest(1)),
        state: ResultState::Success,
        outputs: Some(digest(2)),
        outputs_count: 3,
        references: Vec::new(),
        pipeline: "detect".parse().unwrap(),
        version: 7,
        run: run(),
        executor: executor.clone(),
        network: Network::Default,
        tries: vec![attempt.clone()],
    };
    is(
        &result,
        r#"
        {"executor":{"host":"edge","kind":"docker","version":"28.2"},
        "outputs":"0202020202020202020202020202020202020202020202020202020202020202","outputs_count":3,
        "pipeline":"detect","recipe":"0101010101010101010101010101010101010101010101010101010101010101",
        "run":"abababababababababababababababab","state":"success","tries":[{"exit_code":0,
        "finished_at":"2026-07-01T12:14:43.000123Z","started_at":"2026-07-01T12:14:43.000123Z"}],
        "version":7}"#,
        "b32f5621fe96f4a01cd6cd9cd98a56b57c688c055e62bcbf2db8f9c021954550",
    );
    // Its parts were not measured by older versions; with them it is another document.
    let measured = Try { pull_ms: Some(12), take_in_ms: Some(3), ..attempt.clone() };
    assert_eq!(
        digest_of(&canonical(&ResultDocument { tries: vec![measured], ..result.clone() })).to_string(),
        "a93d1b036be1df0ebcadf67a2e9a9b9fdeb011d097cec99b454b5010092714d9"
    );
    let limited = Try { memory_bytes: Some(4 << 30), ..attempt.clone() };
    assert_eq!(
        digest_of(&canonical(&ResultDocument { tries: vec![limited], ..result.clone() })).to_string(),
        "be926b47c240de0c387657156771747fee56095c308bd2f6747c67a32cd4c871"
    );
    // A machine that had joined ran it.
    let elsewhere = Try { worker: Some("gpu-1".to_owned()), ..attempt.clone() };
    assert_eq!(
        digest_of(&canonical(&ResultDocument { tries: vec![elsewhere], ..result.clone() })).to_string(),
        "be929c008711082baadb648fc399b9ea30400fdafbb7e8d1046c1518adfd3826"
    );
    assert_eq!(serde_json::from_slice::<ResultDocument>(&canonical(&result)).unwrap().tries, [attempt]);
    let job = JobDocument {
        pipeline: "detect".parse().unwrap(),
        run: run(),
        version: 7,
        executor,
        reason: None,
        created_at: at(),
        started_at: None,
        finished_at: at(),
        datums_total: 1 << 53,
        datums_processed: (1 << 53) - 1,
        datums_cached: 1,
        datums_failed: 0,
        datums_recovered: 0,
    };
    is(
        &job,
        r#"
        {"created_at":"2026-07-01T12:14:43.000123Z","datums_cached":1,"datums_processed":9007199254740991,
        "datums_total":"9007199254740992","executor":{"host":"edge","kind":"docker","version":"28.2"},
        "finished_at":"2026-07-01T12:14:43.000123Z","pipeline":"detect",
        "run":"abababababababababababababababab","version":7}"#,
        "266a1a4f5ee5b54cb79fc364a789e8497249d4c4210bcdd98e6922b77575f216",
    );
    is(
        &TagDocument { author: "anna".to_owned(), message: String::new() },
        r#"
        {"author":"anna"}"#,
        "716cc9a306b776ecfcf3ce6d857a55c77f32d0f8a4b7e65c9d2fd76d2ba7ed8a",
    );
}

#[test]
fn a_commit_says_how_far_the_journal_went_and_a_result_carries_a_code() {
    let journal = Some(JournalEnd { records: 12, last: digest(1) });
    let text = |document: &Commit| String::from_utf8(canonical(document)).unwrap();
    let end = r#""journal":{"last":"0101010101010101010101010101010101010101010101010101010101010101","records":12},"#;
    let with = text(&Commit { journal, ..user_commit() });
    assert_eq!(with.replace(end, ""), text(&user_commit()));
}

#[test]
fn code_that_was_compared_with_git() {
    let commit = Some("4e1d2f0a".to_owned());
    let files = vec![GitDifference { path: "/a".to_owned(), how: GitHow::NotInCommit }];
    let code = CodeStamp {
        tree: Some(digest(9)),
        git_commit: commit.clone(),
        git_code: Some(GitCheck { differ: 12, ..GitCheck::of(commit, "train".to_owned(), files) }),
        git_spec: Some(GitCheck::in_no_commit("its git repository has no commit yet")),
        ..CodeStamp::default()
    };
    is(
        &code,
        r#"
        {"git_code":{"commit":"4e1d2f0a","differ":12,"files":[{"how":"not_in_commit","path":"/a"}],"path":"train",
        "state":"differs"},"git_commit":"4e1d2f0a",
        "git_spec":{"state":"in_no_commit","why":"its git repository has no commit yet"},
        "tree":"0909090909090909090909090909090909090909090909090909090909090909"}"#,
        "186558f0887238dae2e56dbfabfffb1403729b4328cf879714eacaab45e4d0e3",
    );
}

#[test]
fn certificates() {
    let stage = |commit, datums, outcome, pipeline: &str| CertifiedStage {
        left_out: 0,
        not_run: 0,
        commit,
        pipeline: pipeline.parse().unwrap(),
        datums,
        outcome,
        paths: Vec::new(),
        paths_more: 0,
        why: None,
    };
    let good = Certificate {
        commit: commit_id(1),
        path: None,
        at: at(),
        committer: "uid:1000@edge".to_owned(),
        made_by: "pv 0.1.0".to_owned(),
        executor: ExecutorStamp { kind: ExecutorKind::Process, version: String::new(), host: String::new() },
        outcome: Repetition::Identical,
        stages: vec![stage(commit_id(1), 2, Repetition::Identical, "detect")],
    };
    is(
        &good,
        r#"
        {"at":"2026-07-01T12:14:43.000123Z",
        "commit":"0101010101010101010101010101010101010101010101010101010101010101",
        "committer":"uid:1000@edge","executor":{"kind":"process"},"made_by":"pv 0.1.0",
        "outcome":"identical",
        "stages":[{"commit":"0101010101010101010101010101010101010101010101010101010101010101","datums":2,
        "outcome":"identical","pipeline":"detect"}]}"#,
        "343e757257faf96918d92808e6239182d0ffe396609887e41113da6d303d987e",
    );
    let bad = Certificate {
        path: Some(path("/a")),
        executor: ExecutorStamp { kind: ExecutorKind::Docker, version: "28.2".to_owned(), host: "edge".to_owned() },
        outcome: Repetition::Differs,
        stages: vec![
            CertifiedStage { why: Some("no image".to_owned()), ..stage(commit_id(2), 1, Repetition::NotRun, "detect") },
            CertifiedStage {
                paths: vec![path("/a")],
                paths_more: 3,
                ..stage(commit_id(1), 1, Repetition::Differs, "threat")
            },
        ],
        ..good
    };
    is(
        &bad,
        r#"
        {"at":"2026-07-01T12:14:43.000123Z",
        "commit":"0101010101010101010101010101010101010101010101010101010101010101",
        "committer":"uid:1000@edge","executor":{"host":"edge","kind":"docker","version":"28.2"},
        "made_by":"pv 0.1.0","outcome":"differs","path":"/a",
        "stages":[{"commit":"0202020202020202020202020202020202020202020202020202020202020202","datums":1,
        "outcome":"not_run","pipeline":"detect","why":"no image"},
        {"commit":"0101010101010101010101010101010101010101010101010101010101010101","datums":1,
        "outcome":"differs","paths":["/a"],"paths_more":3,"pipeline":"threat"}]}"#,
        "7a86201f28f00c32db166d4f5f7da71114d82ea20f113a55605d39ea12c49201",
    );
}

#[test]
fn what_was_left_out_of_an_execution() {
    let stage = CertifiedStage {
        commit: commit_id(1),
        pipeline: "detect".parse().unwrap(),
        datums: 1,
        left_out: 2,
        not_run: 3,
        outcome: Repetition::NotRun,
        paths: Vec::new(),
        paths_more: 0,
        why: Some("it reaches the network".to_owned()),
    };
    is(
        &stage,
        r#"
        {"commit":"0101010101010101010101010101010101010101010101010101010101010101","datums":1,"left_out":2,"not_run":3,
        "outcome":"not_run","pipeline":"detect","why":"it reaches the network"}"#,
        "eea94bec00088685cae24eff47ae27e7c326b18f858b9e886b56999f2f72d450",
    );
}
