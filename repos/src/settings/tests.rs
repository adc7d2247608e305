//! The table is consistent.

use super::*;

/// The parsed default of a setting.
fn default<T: Value>(setting: &Setting<T>) -> T {
    setting.read(setting.default).unwrap()
}

#[test]
fn the_table_is_in_the_order_of_names_and_each_is_found_by_its_name() {
    assert!(ALL.is_sorted_by(|one, next| one.name < next.name));
    for setting in ALL {
        assert!(std::ptr::eq(named(setting.name).unwrap(), *setting));
    }
    assert_eq!(named("job").unwrap_err().to_string(), "unknown setting `job`; did you mean `jobs`?");
    assert_eq!(named("a\u{1b}").unwrap_err().to_string(), "unknown setting `a\\u{1b}`");
}

#[test]
fn every_default_is_a_value_of_its_type() {
    for setting in ALL {
        assert!((setting.is_value)(setting.default), "{}: {:?}", setting.name, setting.default);
    }
    assert_eq!(default(&GC_GRACE).get(), std::time::Duration::from_hours(14 * 24));
    assert_eq!((default(&LOG_MAX), default(&MIN_FREE)), (16 << 20, 2 << 30));
    assert_eq!((default(&OUTPUT_BYTES_MAX).get(), default(&OUTPUT_FILES_MAX).get()), (1 << 40, 1_000_000));
    assert_eq!((default(&JOBS), default(&RETENTION), default(&DEFAULT_IMAGE)), (None, None, None));
    assert_eq!((default(&MAIL_FROM), default(&MAIL_PASSWORD), default(&MAIL_SERVER)), (None, None, None));
    assert_eq!((default(&EXECUTOR), default(&NETWORK)), (None, Network::Default));
    assert_eq!(default(&SERVER_URL), None);
    assert_eq!((default(&FAIL_FAST), default(&MISSED_TICKS)), (true, MissedTicks::One));
    assert_eq!((default(&PROCESS_PATHS), default(&DEFAULT_BRANCH)), (HostPaths::default(), BranchName::main()));
}

#[test]
fn what_is_checked_before_it_is_written_is_what_readers_take() {
    let values = [
        ("default_branch", &["main", "x-1"][..], &["-x", "a b"][..]),
        ("default_image", &["debian:13"], &["a b", "a\n"]),
        ("executor", &["auto", "docker", "process", "workers", "kubernetes"], &["podman", "Docker"]),
        ("fail_fast", &["true", "false"], &["yes", "True"]),
        ("gc_grace", &["14d", "0s"], &["soon", "14"]),
        ("jobs", &["1", "400"], &["0", "+1", "-1", "1.5"]),
        ("kubernetes.advertise", &["https://pv:7070"], &["pv:7070"]),
        ("kubernetes.idle", &["60s", "0s"], &["60"]),
        ("kubernetes.image", &["pv:1"], &["a b"]),
        ("kubernetes.max_pods", &["1"], &["0"]),
        ("kubernetes.namespace", &["a", "team-1"], &["A", "-a", "a-", "a.b"]),
        ("kubernetes.pod_security", &["baseline", "restricted"], &["privileged"]),
        ("log_max", &["0", "1"], &["+1", "1 MiB", "99999999999999999999"]),
        ("mail_from", &["pv@example.org", "root@localhost"], &["pv", "a b@c.org", "a@b.org\nX: y"]),
        ("mail_password", &["mail"], &["a b", "../x"]),
        ("mail_server", &["smtps://m.org", "smtp://u@m.org:25"], &["m.org", "smtps://u:secret@m.org", "http://m.org"]),
        ("min_free", &["0", "1"], &["2 GiB"]),
        ("missed_ticks", &["one", "all", "none"], &["some"]),
        ("network", &["default", "none"], &["host"]),
        ("output_bytes_max", &["1"], &["0"]),
        ("output_files_max", &["1"], &["0"]),
        ("process.paths", &["/a", "/a:/b c"], &["relative", "/a:", "/a\n"]),
        ("retention", &["365d"], &["never"]),
        (
            "server_url",
            &["https://pv.example.com", "http://10.0.0.7:7070/pv/", "https://[::1]:7070"],
            &["pv.example.com", "https://", "https:///x", "ftp://a", "https://a@b", "https://a?b", "https://a b"],
        ),
    ];
    assert_eq!(values.map(|(name, ..)| name).as_slice(), ALL.iter().map(|one| one.name).collect::<Vec<_>>());
    for (name, good, bad) in values {
        let setting = named(name).unwrap();
        for text in good {
            setting.check(text).unwrap();
        }
        for text in bad.iter().chain(&[""]) {
            let error = setting.check(text).unwrap_err();
            assert_eq!(error.kind(), specs::ErrorKind::Usage);
            assert_eq!(error.hint().unwrap(), format!("allowed: {}", setting.what), "{name} {text:?}");
        }
    }
    let url = SERVER_URL.read("https://pv.example.com/pv/").unwrap();
    assert_eq!(url, Some(ServerUrl("https://pv.example.com/pv".to_owned())));
    let paths = PROCESS_PATHS.read("/a:/b").unwrap();
    assert_eq!(paths, HostPaths(vec!["/a".into(), "/b".into()]));
}

#[test]
fn a_text_that_is_not_a_value_is_an_error_for_readers_and_not_the_default() {
    let error = JOBS.read("many").unwrap_err();
    assert_eq!(error.to_string(), "the setting `jobs` cannot be used: its value `many` is not valid");
    assert!(error.hint().unwrap().starts_with("pv config set jobs VALUE   allowed: a number from 1"));
}
