//! The formats are frozen: these bytes and ids never change. A newer format gets another number, and old objects keep their ids.
//!
//! The values were computed a second time by a program that knows only the formats' descriptions.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{name, path};
use repos::Timestamp;
use repos::documents::{
    Certificate, CertifiedStage, CodeStamp, Commit, CommitKind, ExecutorKind, ExecutorStamp, GitCheck, GitDifference,
    GitHow, ImageStamp, JobDocument, JournalEnd, PipelineStamp, Provenance, Recipe, RecipeInput, Repetition,
    ResultDocument, ResultState, SignatureDocument, Source, TagDocument, Transform, Try, canonical,
};
use repos::hash::digest_of;
use repos::journal::{
    Cause, CauseKind, Entry, JobSeed, Journal, Move, Position, PruneWhy, Record, RecordSignature, RepoKind,
    SIGNED_FORMAT, SealedState, signed_bytes,
};
use repos::keys::{PublicKey, Signature, replacement};
use repos::manifest::Manifest;
use repos::object::{Kind, PackClass};
use repos::packs::writer::PackWriter;
use repos::packs::{LocalPacks, PackStore};
use repos::tree::{FileEntry, MemoryNodes, Tree};
use specs::{BranchName, CommitId, DatumId, Digest, Network, RunId};

/// 2026-07-01T12:14:43.000123Z.
const AT: i64 = 1_782_908_083_000_123;

fn at() -> Timestamp {
    Timestamp::from_micros(AT)
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn commit_id(byte: u8) -> CommitId {
    CommitId::new(digest(byte))
}

fn run() -> RunId {
    RunId::from_bytes([0xab; 16])
}

/// Text that is broken into indented lines here and is one line there.
fn joined(text: &str) -> String {
    text.lines().map(str::trim_start).collect()
}

fn is<T: serde::Serialize>(document: &T, json: &str, id: &str) {
    let bytes = canonical(document);
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), joined(json));
    assert_eq!(digest_of(&bytes).to_string(), id);
}

fn user_commit() -> Commit {
    Commit {
        repo: name("images"),
        branch: BranchName::main(),
        parents: Vec::new(),
        tree: Tree::empty().root(),
        lineage: None,
        datums: None,
        run: run(),
        kind: CommitKind::User,
        author: String::new(),
        committer: "uid:1000@edge".to_owned(),
        message: String::new(),
        created_at: at(),
        provenance: Vec::new(),
        sources: Vec::new(),
        origins: Vec::new(),
        pipeline: None,
        job: None,
        error: None,
        journal: None,
    }
}

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
    let attempt = Try { exit_code: Some(0), reason: None, log: None, started_at: at(), finished_at: at() };
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
        tries: vec![attempt],
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
fn a_manifest() {
    let manifest = Manifest { chunks: vec![(digest_of(b"a"), 1), (digest_of(b"bc"), 2)] };
    assert_eq!(
        digest_of(&manifest.encode()).to_string(),
        "eff723708c3ca27ffa4faaa861ec4ec539a8ab19a416b2a494082b97930e72b0"
    );
}

#[test]
fn a_tree() {
    let nodes = MemoryNodes::default();
    let files = (0..1000_u64).map(|number| {
        let bytes = number.to_string();
        let file = FileEntry { digest: digest_of(bytes.as_bytes()), size: number * 1000, executable: number % 7 == 0 };
        (format!("/{number:03}/file"), file)
    });
    assert_eq!(
        Tree::build(files, &mut &nodes).unwrap().root().to_string(),
        "f0e94080417f1fd3e97df848fa2f80e7143bab38d2c02fa4a2a296a5ceca42c8"
    );
}

#[test]
fn a_pack_is_named_by_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let packs = LocalPacks::new(folder.path().to_owned());
    let mut writer = PackWriter::new(PackClass::Data, u64::MAX);
    for bytes in [&b"first"[..], b"", b"third"] {
        writer.append(&packs, Kind::Chunk, digest_of(bytes), bytes).unwrap();
    }
    writer.append(&packs, Kind::Log, digest_of(b"said"), b"said").unwrap();
    let pack = writer.finish().unwrap().remove(0);
    assert_eq!(pack.name.to_string(), "ef8912fc5b63115ee11b62c3675727c8c2a17384df0588b22289bea3c77a5cd0.data.pack");
    assert_eq!(
        digest_of(&packs.read(&pack.name, 0..pack.length).unwrap()).to_string(),
        "427bb6ba2485b43f3428d58127b0cd223d14c4afe2fdccc3d336884135f2a390"
    );
}

#[test]
fn an_entry_of_a_zstd_frame_is_read() {
    let raw = b"some words, and some words, and some words again".repeat(20);
    let hex = "0101000000000030000003c02b49f603d0f0d6fdcd8bfdf4c407ca91b6f855c59c980b63c02f0b5ec6e7f68e\
        28b52ffd60c002150100b0736f6d6520776f7264732c20616e642020616761696e030083a7aa006cc5d87309c3f184b1";
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let (header, frame) = bytes.split_at(44);
    let row = repos::packs::format::Row::from_entry_header(header, 16).unwrap();
    assert_eq!((row.codec, row.raw_bytes as usize), (repos::packs::codec::ZSTD, raw.len()));
    assert_eq!(row.stored_range(), 60..60 + frame.len() as u64);
    assert_eq!(repos::packs::codec::unpack(&row, frame.to_vec().into()).unwrap(), raw);
}

#[test]
fn the_entries_that_stop_and_start_a_pipeline() {
    let pipeline = || "detect".parse().unwrap();
    let text = |entry: &Entry| String::from_utf8(canonical(entry)).unwrap();
    assert_eq!(text(&Entry::PipelineStop { pipeline: pipeline() }), r#"{"kind":"pipeline_stop","pipeline":"detect"}"#);
    assert_eq!(
        text(&Entry::PipelineStart { pipeline: pipeline() }),
        r#"{"kind":"pipeline_start","pipeline":"detect"}"#
    );
}

#[test]
fn a_version_that_was_tried_and_a_cause_in_words() {
    let text = |entry: &Entry| String::from_utf8(canonical(entry)).unwrap();
    let document = digest(3);
    assert_eq!(
        text(&Entry::PipelineTry { pipeline: "detect".parse().unwrap(), version: 4, document }),
        format!(r#"{{"document":"{document}","kind":"pipeline_try","pipeline":"detect","version":4}}"#)
    );
    let Entry::Run { run, cause, moves, jobs } = common::run_entry(run(), Vec::new(), at()) else { unreachable!() };
    let cause = Cause { message: Some("empty file".to_owned()), kind: CauseKind::Retry, ..cause };
    assert_eq!(
        text(&Entry::Run { run, cause, moves, jobs }),
        joined(
            r#"
            {"cause":{"at":"2026-07-01T12:14:43.000123Z","cause":"retry","committer":"uid:1@edge","message":"empty file"},
            "kind":"run","run":"abababababababababababababababab"}"#
        )
    );
}

#[test]
fn the_lines_of_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal");
    let journal = Journal::create(&file).unwrap();
    let moved = Move { repo: name("images"), branch: BranchName::main(), from: None, to: Some(commit_id(1)) };
    let Entry::Run { cause, .. } = common::run_entry(run(), Vec::new(), at()) else { unreachable!() };
    let jobs = vec![JobSeed { pipeline: "detect".parse().unwrap(), version: 7 }];
    let job = Entry::Job {
        pipeline: "detect".parse().unwrap(),
        run: run(),
        state: SealedState::Failure,
        commit: Some(commit_id(2)),
        document: None,
        moved: None,
    };
    let mut position = Position::default();
    for entries in [
        vec![
            Entry::Init { store: "0".repeat(32), default_branch: BranchName::main() },
            Entry::RepoCreate { repo: name("images"), repo_kind: RepoKind::User },
        ],
        vec![Entry::Run { run: run(), cause, moves: vec![moved], jobs }],
        vec![job, Entry::Setting { key: "jobs".to_owned(), value: None }],
    ] {
        let record = Record::new(position.last, at(), entries);
        position = journal.append(position, &record).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let expected = r#"
        815c6baadba9f6c1ae003b27a8035320e6fea29cdb82cc642217378c5791cb95 {"at":"2026-07-01T12:14:43.000123Z",
        "entries":[{"default_branch":"main","kind":"init","store":"00000000000000000000000000000000"},
        {"kind":"repo_create","repo":"images","repo_kind":"user"}],"format":1}

        00a0a631b9d9b3d80fbf0a29e23793af4e58e15fcb824a733f6f917829d3de18 {"at":"2026-07-01T12:14:43.000123Z",
        "entries":[{"cause":{"at":"2026-07-01T12:14:43.000123Z","cause":"commit","committer":"uid:1@edge"},
        "jobs":[{"pipeline":"detect","version":7}],"kind":"run","moves":[{"branch":"main","repo":"images",
        "to":"0101010101010101010101010101010101010101010101010101010101010101"}],
        "run":"abababababababababababababababab"}],"format":1,
        "previous":"815c6baadba9f6c1ae003b27a8035320e6fea29cdb82cc642217378c5791cb95"}

        c5d2cac2453b095a12c2150d0e9a89cd5bd093af9bc56afbc896e16d5b07da36 {"at":"2026-07-01T12:14:43.000123Z",
        "entries":[{"commit":"0202020202020202020202020202020202020202020202020202020202020202",
        "kind":"job","pipeline":"detect","run":"abababababababababababababababab","state":"failure"},
        {"key":"jobs","kind":"setting"}],"format":1,
        "previous":"00a0a631b9d9b3d80fbf0a29e23793af4e58e15fcb824a733f6f917829d3de18"}
"#;
    let expected: String = expected.trim_end().split("\n\n").map(|line| joined(line) + "\n").collect();
    assert_eq!(text, expected);
}

#[test]
fn the_line_of_collected_garbage() {
    let pack = "ab".repeat(32) + ".data.pack";
    let removed = vec![pack.clone().try_into().unwrap()];
    let record = Record::new(None, at(), vec![Entry::Gc { removed }]);
    let expected = format!(
        r#"{{"at":"2026-07-01T12:14:43.000123Z","entries":[{{"kind":"gc","removed":["{pack}"]}}],"format":1}}"#
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal");
    Journal::create(&file).unwrap().append(Position::default(), &record).unwrap();
    let digest = repos::hash::digest_of(expected.as_bytes());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{digest} {expected}\n"));
}

#[test]
fn entries_of_commits_that_are_given_up() {
    let prune = |why| Entry::CommitPrune { commits: vec![commit_id(1)], why, committer: "uid:1@edge".to_owned() };
    for (why, word) in [(PruneWhy::Asked, "asked"), (PruneWhy::Retention, "retention"), (PruneWhy::Expired, "expired")]
    {
        let text = String::from_utf8(canonical(&prune(why))).unwrap();
        let id = "01".repeat(32);
        assert_eq!(
            text,
            format!(r#"{{"commits":["{id}"],"committer":"uid:1@edge","kind":"commit_prune","why":"{word}"}}"#)
        );
    }
    is(
        &Entry::CommitDelete { commit: commit_id(2), committer: "uid:1@edge".to_owned() },
        r#"{"commit":"0202020202020202020202020202020202020202020202020202020202020202",
        "committer":"uid:1@edge","kind":"commit_delete"}"#,
        "8e109c60ec88952ad3ea185d1052c4bd484f11115ebe8bc8ba15929fa81ff38a",
    );
}

#[test]
fn entries_of_keys_and_signatures() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let public_key = PublicKey::from_pem(pem).unwrap();
    let signature = Signature::from_bytes(&[5; 64]).unwrap();
    is(
        &Entry::Key { public_key: public_key.clone(), previous: None, signature: None },
        r#"
        {"kind":"key","public_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}"#,
        "2923dfd3788306c9cd90b9ca964154a3f968866812d5361ded71ee2663c7dd17",
    );
    is(
        &Entry::Key { public_key: public_key.clone(), previous: Some(digest(1)), signature: Some(signature) },
        r#"
        {"kind":"key","previous":"0101010101010101010101010101010101010101010101010101010101010101",
        "public_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
        "signature":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="}"#,
        "6ae3240e1011e5ec763ade7ec403112108c2e04ec8ec89a8592b8a08f2839e7f",
    );
    is(
        &SignatureDocument { commit: commit_id(1), key: digest(2), signature },
        r#"
        {"commit":"0101010101010101010101010101010101010101010101010101010101010101",
        "key":"0202020202020202020202020202020202020202020202020202020202020202",
        "signature":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="}"#,
        "ffdd372169a0e47fd4b4fbfaccdf66a0d11556f365d2a9815e678e87266225ba",
    );
    // What a key signs that takes another one's place.
    let signed = format!("pv key replaced\nstore 0a\nfrom {}\nto {}\n", digest(1), public_key.fingerprint());
    assert_eq!(replacement("0a", &digest(1), &public_key), signed.as_bytes());
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
fn a_signed_record_and_a_key_that_is_vouched_for() {
    let key = digest(2);
    is(
        &Entry::KeyTrust { key },
        r#"{"key":"0202020202020202020202020202020202020202020202020202020202020202","kind":"key_trust"}"#,
        "821591965898b82b253cc29d1f70f2d9ecf31726b3a27f340882ed0b44391919",
    );
    let entries = vec![Entry::Setting { key: "jobs".to_owned(), value: None }];
    let signature = Signature::from_bytes(&[5; 64]).unwrap();
    let record = Record {
        format: SIGNED_FORMAT,
        signature: Some(RecordSignature { key, signature }),
        ..Record::new(Some(digest(1)), at(), entries)
    };
    is(
        &record,
        r#"
        {"at":"2026-07-01T12:14:43.000123Z","entries":[{"key":"jobs","kind":"setting"}],"format":2,
        "previous":"0101010101010101010101010101010101010101010101010101010101010101",
        "signature":{"key":"0202020202020202020202020202020202020202020202020202020202020202",
        "signature":"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ=="}}"#,
        "a09c199381a803c4d4619ab34026d067b459b8a8f0dfe09917bdc648f1a16ebe",
    );
    // What is signed, also of fields that a later version adds.
    let mut value = serde_json::to_value(&record).unwrap();
    value["more"] = true.into();
    let signed = r#"
        {"at":"2026-07-01T12:14:43.000123Z","entries":[{"key":"jobs","kind":"setting"}],"format":2,"more":true,
        "previous":"0101010101010101010101010101010101010101010101010101010101010101"}"#;
    let signed = format!("pv journal record\n{}", joined(signed));
    assert_eq!(String::from_utf8(signed_bytes(&value)).unwrap(), signed);
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
