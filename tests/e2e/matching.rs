//! `--match` in `ls get cat rm cp log diff`, and literal paths.

use tests::{TestEnv, test_env};

fn env() -> TestEnv {
    let env = test_env!();
    for path in ["d/cam7/a.jpg", "d/cam7/b.txt", "d/cam8/a.jpg", "d/x.jpg", "d/a[1].jpg"] {
        env.write(path, path);
    }
    env.ok(["put", "images", "d"]);
    env
}

fn paths(env: &TestEnv, args: &[&str]) -> Vec<String> {
    env.json(args).iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_glob_chooses_files_and_directories() {
    let env = env();
    assert_eq!(paths(&env, &["ls", "images", "--match", "*.jpg"]), ["/a[1].jpg", "/x.jpg"]);
    assert_eq!(paths(&env, &["ls", "images", "--match", "/cam*"]), ["/cam7", "/cam8"]);
    assert_eq!(paths(&env, &["ls", "images", "-r", "--match", "/cam*"]), ["/cam7/a.jpg", "/cam7/b.txt", "/cam8/a.jpg"]);
    assert_eq!(paths(&env, &["ls", "images:/cam7", "--match", "**.jpg"]), ["/cam7/a.jpg"]);
    assert_eq!(paths(&env, &["ls", "images", "--match", "/a\\[1\\].jpg"]), ["/a[1].jpg"]);
    assert_eq!(env.ok(["cat", "images", "--match", "/cam*/a.jpg"]), "d/cam7/a.jpgd/cam8/a.jpg");
    env.ok(["get", "images", "out", "--match", "/cam*/a.jpg"]);
    assert_eq!(env.read("out/cam7/a.jpg"), "d/cam7/a.jpg");
    assert!(!env.work().join("out/x.jpg").exists() && !env.work().join("out/cam7/b.txt").exists());
    env.ok(["repo", "create", "copies"]);
    env.ok(["cp", "images", "copies:/from", "--match", "/cam7"]);
    assert_eq!(paths(&env, &["ls", "-r", "copies"]), ["/from/cam7/a.jpg", "/from/cam7/b.txt"]);
    assert_eq!(env.exit_code(["rm", "images", "--match", "/cam*"]), 2, "directories need -r");
    env.ok(["rm", "images", "--match", "/cam*/a.jpg"]);
    assert_eq!(paths(&env, &["ls", "-r", "images"]), ["/a[1].jpg", "/cam7/b.txt", "/x.jpg"]);
    let names = env.ok(["diff", "images", "--name-only", "--match", "/cam8"]);
    assert_eq!(names, "/cam8/a.jpg\n");
    assert_eq!(env.json(["log", "images", "--match", "*.jpg"]).len(), 1);
    assert_eq!(env.json(["log", "images", "--match", "/cam*/*"]).len(), 2);
}

#[test]
fn what_matches_nothing_is_not_found() {
    let env = env();
    for words in
        [&["ls", "images"][..], &["cat", "images"], &["get", "images", "out"], &["rm", "images"], &["log", "images"]]
    {
        let args = words.iter().copied().chain(["--match", "/none*"]);
        let shown = env.pv(args);
        assert!(shown.contains("matches `/none*`") && shown.ends_with("--- exit 3"), "{shown}");
    }
    assert!(!env.work().join("out").exists());
    for words in [&["ls", "images", "--match", "/a[1].jpg"][..], &["find", "a[1].jpg"]] {
        let shown = env.pv(words);
        assert!(shown.contains("for a literal `[` write `") && shown.contains("a\\[1].jpg"), "{shown}");
    }
}

#[test]
fn a_path_with_the_signs_of_a_glob_is_taken_as_it_is_and_said_to_be() {
    let env = env();
    assert_eq!(env.ok(["cat", "images:/a[1].jpg"]), "d/a[1].jpg");
    let commands: [&[&str]; 6] = [
        &["ls", "images:/cam*"],
        &["cat", "images:/cam*"],
        &["get", "images:/cam*", "out"],
        &["rm", "images:/cam*"],
        &["cp", "images:/cam*", "images:/z"],
        &["log", "images:/cam*"],
    ];
    for words in commands {
        let shown = env.pv(words);
        assert!(shown.contains("--match '/cam*'") && shown.ends_with("--- exit 3"), "{shown}");
    }
}
