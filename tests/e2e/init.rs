//! `pv init`, and how a store is found.

use tests::TestEnv;

fn empty() -> TestEnv {
    TestEnv::without_store(env!("CARGO_BIN_EXE_pv"))
}

#[test]
fn a_store_is_made_once() {
    let env = empty();
    insta::assert_snapshot!(env.pv(["init", "store"]), @r"
    --- stdout
    [dir]/work/store
    --- stderr
    next: pv repo create NAME  then  pv put NAME FILES
    ");
    insta::assert_snapshot!(env.pv(["init", "store"]), @r"
    --- stderr
    error: a store already exists at `[dir]/work/store`
    --- exit 4
    ");
    insta::assert_snapshot!(env.pv(["init", "other", "--objects", "bucket://x"]), @r"
    --- stderr
    error: `bucket://x` is not the URL of an object store
    hint: s3://BUCKET/PREFIX with the usual AWS variables, or file:///FOLDER
    --- exit 2
    ");
}

#[test]
fn the_default_branch_can_be_chosen() {
    let env = empty();
    env.ok(["init", "--default-branch", "master"]);
    env.ok(["repo", "create", "images"]);
    env.write("a", "1");
    let put = env.json(["put", "images", "a"]).remove(0);
    assert_eq!(put["branch"], "master");
    assert_eq!(env.ok(["config", "get", "default_branch"]), "master\n");
}

#[test]
fn a_store_is_found_upwards_by_flag_and_by_variable() {
    let env = empty();
    env.ok(["--store", "one", "init"]);
    env.ok(["init", "two"]);
    env.ok(["--store", "one", "repo", "create", "in-one"]);
    env.ok(["repo", "create", "in-two", "--store", "two"]);
    assert_eq!(env.json(["repo", "list", "--store", "one"])[0]["name"], "in-one");
    let listed = env.command(["repo", "list", "--json"]).env("PV_STORE", "two").output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains("in-two"));
    let both = env.command(["repo", "list", "--json", "--store", "one"]).env("PV_STORE", "two").output().unwrap();
    assert!(String::from_utf8(both.stdout).unwrap().contains("in-one"));
    std::fs::create_dir_all(env.work().join("one/deep/er")).unwrap();
    let upwards = env.command(["repo", "list", "--json"]).current_dir(env.work().join("one/deep/er")).output().unwrap();
    assert!(String::from_utf8(upwards.stdout).unwrap().contains("in-one"));
    insta::assert_snapshot!(env.pv(["repo", "list"]), @r"
    --- stderr
    error: no store at `[dir]/work` or above
    hint: pv init creates one here; --store DIR or PV_STORE uses one elsewhere
    --- exit 3
    ");
    insta::assert_snapshot!(env.pv(["repo", "list", "--store", "nowhere"]), @r"
    --- stderr
    error: no store at `[dir]/work/nowhere`
    hint: pv init creates one here; --store DIR or PV_STORE uses one elsewhere
    --- exit 3
    ");
}

#[test]
fn pv_alone_says_how_to_begin() {
    let env = empty();
    insta::assert_snapshot!(env.pv::<&str>([]), @r"
    --- stdout
    pv 0.1.0: versions data, runs pipelines on what changed, and traces where each file came from.
    There is no store in this folder or its parents.
      pv init  create one here
      pv init --example  create one with example data and pipelines
      --store, PV_STORE  use a store in another folder
      pv help  list all commands
    ");
}

#[test]
fn a_server_that_is_named_counts_more_than_the_store_around() {
    let env = empty();
    env.ok(["init"]);
    assert_eq!(env.exit_code(["repo", "list", "--server", "http://127.0.0.1:9"]), 6);
    assert_eq!(env.exit_code(["repo", "list", "--server", "http://pv.example"]), 2);
    assert_eq!(env.exit_code(["init", "x", "--server", "http://127.0.0.1:9"]), 2);
}

#[test]
fn a_store_that_is_there_is_left_as_it_is_if_that_is_wanted() {
    let env = empty();
    env.ok(["init", "--if-missing"]);
    env.ok(["repo", "create", "notes"]);
    assert_eq!(env.exit_code(["init"]), 4);
    env.ok(["init", "--if-missing"]);
    assert_eq!(env.json(["repo", "list"]).len(), 1);
}
