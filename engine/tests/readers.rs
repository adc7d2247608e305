//! Branches that specs read and that have no commit yet.

use repos::settings;
use specs::RepoName;

use super::setting::Setting;
use engine::EngineError;
use engine::apply::Applied;
use engine::changes;

fn spec(name: &str, input: &str, more: &str) -> String {
    format!(
        "pipeline: {{name: {name}}}\ntransform: {{cmd: [{name}]}}\ninput: {{pfs: {{{input}, glob: '/*'}}}}\n{more}\n---\n"
    )
}

/// The errors if it was refused, else the warnings.
fn said(applied: &engine::Result<Applied>) -> Vec<(String, String)> {
    let all = match applied {
        Ok(applied) => &applied.warnings,
        Err(EngineError::Specs { diagnostics, .. }) => diagnostics,
        Err(error) => panic!("{error}"),
    };
    all.iter().map(|one| (one.to_string(), one.hint.clone().unwrap_or_default())).collect()
}

fn name(text: &str) -> RepoName {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_processing_is_applied_in_one_go_and_released_by_a_branch() {
    let s = Setting::new();
    s.repo("images").put("images", [("/a", Some("1"))]);
    let specs = spec("detect", "repo: images", "output_branch: staging")
        + &spec("report", "repo: detect, branch: release", "")
        + &spec("count", "repo: detect, branch: release", "")
        + &spec("batch", "repo: images, branch: later", "");
    let applied = s.apply(&specs).await;
    assert_eq!(
        said(&applied),
        [
            (
                "p.yml:8:37: input `detect`: pipeline `detect` writes `staging`; branch `release` is created empty"
                    .to_owned(),
                "pv branch move detect@release detect@staging  moves it to that commit".to_owned()
            ),
            (
                "p.yml:18:37: input `images`: repository `images` has no branch `later` yet; it is created empty"
                    .to_owned(),
                "pv put images@later FILE  commits to it".to_owned()
            ),
        ]
    );
    assert_eq!(applied.unwrap().branches, ["detect@release", "images@later"]);
    assert_eq!((s.head("detect", "release"), s.head("images", "later")), (None, None));
    s.run().await;
    assert!(s.jobs("report").is_empty() && s.jobs("batch").is_empty());

    let head = s.head("detect", "staging").unwrap();
    changes::move_branch(&s.store, &name("detect"), &"release".parse().unwrap(), head, &s.by).unwrap();
    s.put_on("images", "later", [("/b", Some("2"))]);
    s.run().await;
    assert_eq!(s.files("report"), [("/a".to_owned(), "1|detect|report".to_owned())].into());
    assert_eq!(s.files("batch"), [("/b".to_owned(), "2|batch".to_owned())].into());
    let again = s.apply(&specs).await.unwrap();
    assert!(again.branches.is_empty() && again.warnings.is_empty(), "what is there is not made twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_branch_that_a_trigger_watches_is_made_too() {
    let s = Setting::new();
    s.repo("images");
    let spec = spec("detect", "repo: images, trigger: {branch: staging, commits: 1}", "");
    assert_eq!(s.apply(&spec).await.unwrap().branches, ["images@staging"]);
    s.put_on("images", "staging", [("/a", Some("1"))]);
    s.run().await;
    assert_eq!(s.files("detect"), [("/a".to_owned(), "1|detect".to_owned())].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_that_say_master_in_a_store_of_main_get_one_hint() {
    let s = Setting::new();
    s.repo("images").repo("rules").put("images", [("/a", Some("1"))]);
    let specs = spec("edges", "repo: images, branch: master", "")
        + &spec("montage", "repo: edges, branch: master", "")
        + &spec("threat", "repo: rules, branch: master", "");
    let applied = s.apply(&specs).await;
    assert_eq!(
        said(&applied),
        [(
            "p.yml:3:37: input `images`: the specs use `master`, but the default branch of this store is `main`; \
             also at p.yml:8:36, p.yml:13:36"
                .to_owned(),
            "pv config set default_branch master && pv branch create images@master images@main".to_owned()
        )]
    );
    // The hint is right: after its commands the specs apply unchanged.
    s.store.set_setting(&settings::DEFAULT_BRANCH, Some("master")).unwrap();
    changes::create_branch(&s.store, &name("images"), &"master".parse().unwrap(), s.head("images", "main"), &s.by)
        .unwrap();
    let applied = s.apply(&specs).await;
    assert_eq!(said(&applied), []);
    s.run().await;
    let head = s.head("montage", "master").unwrap();
    assert_eq!(s.files_in(head), [("/a".to_owned(), "1|edges|montage".to_owned())].into());

    // The reverse: the specs name another branch for outputs.
    let s = Setting::new();
    s.repo("images");
    let specs = spec("edges", "repo: images", "output_branch: master") + &spec("montage", "repo: edges", "");
    let applied = s.apply(&specs).await;
    let said = said(&applied);
    assert!(applied.is_err() && said.len() == 1 && said[0].1 == "pv config set default_branch master", "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_people_can_still_be_written_so_that_is_a_warning() {
    let s = Setting::new();
    s.repo("images");
    let applied = s.apply(&spec("edges", "repo: images, branch: master", "")).await;
    assert!(applied.is_ok());
    let said = said(&applied);
    assert!(said.len() == 1 && said[0].1 == "pv config set default_branch master", "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_no_branch_and_a_misspelt_one_gets_its_hint() {
    let s = Setting::new();
    let commit = s.repo("images").put("images", [("/a", Some("1"))]);
    changes::create_tag(&s.store, &name("images"), &"v1".parse().unwrap(), commit, &s.by, "").unwrap();
    let applied = s.apply(&spec("edges", "repo: images, branch: v1", "")).await;
    let of_tag = said(&applied);
    assert!(applied.is_err() && of_tag[0].0.contains("`v1` is a tag of repository `images`"), "{of_tag:?}");
    let applied = s.apply(&spec("edges", "repo: images, branch: mian", "")).await;
    let of_typo = said(&applied);
    assert!(applied.is_ok() && of_typo[0].1 == "did you mean `main`?", "{of_typo:?}");
}
