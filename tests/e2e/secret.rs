//! `pv secret`: values that only stages see.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tests::{TestEnv, test_env};

use crate::support::*;

const TOKEN: &str = "hunter2-of-the-test";
const USES: &str = r#""secrets": [{"name": "mail", "key": "token", "env_var": "TOKEN"}, {"name": "mail", "mount_path": "/secrets/mail"}],"#;

fn create(env: &TestEnv, token: &str) {
    env.write("token", format!("{token}\n"));
    env.write("key.pem", "first line of key\nsecond line of key\n");
    env.ok(["secret", "create", "mail", "token=token", "tls.key=key.pem", "--force"]);
}

#[test]
fn secrets_are_kept_listed_and_deleted_without_a_value_in_sight() {
    let env = test_env!();
    let kept = env.with_stdin(["secret", "create", "mail", "token=-"], TOKEN.as_bytes());
    assert!(kept.status.success());
    insta::assert_snapshot!(env.pv(["secret", "list"]), @r"
    --- stdout
    SECRET  KEYS
    mail  token
    ");
    assert_eq!(env.json(["secret", "list"]), [json!({"name": "mail", "keys": ["token"]})]);
    let file = env.dir().join(".pv/secrets/mail");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    env.write("short", "abc");
    insta::assert_snapshot!(env.pv(["secret", "create", "mail", "pin=short"]), @r#"
    --- stderr
    error: secret `mail` exists; nothing was changed
    hint: --force replaces it
    --- exit 4
    "#);
    insta::assert_snapshot!(env.pv(["secret", "create", "mail", "pin=short", "--force"]), @r#"
    --- stderr
    `pin` has no line of at least 4 bytes: it will not be masked in logs
    secret `mail` is changed
    "#);
    insta::assert_snapshot!(env.pv(["secret", "create", "mail", "hunter2", "--force"]), @r#"
    --- stderr
    error: a value must be given as KEY=FILE; nothing was stored
    hint: KEY=FILE, or KEY=- for stdin
    --- exit 2
    "#);
    insta::assert_snapshot!(env.pv(["secret", "delete", "mail"]), @r#"
    --- stderr
    This deletes secret `mail`; no pipeline uses it.
    error: secret `mail` was not deleted
    hint: --yes answers yes to the prompt
    --- exit 7
    "#);
    env.ok(["secret", "delete", "mail", "--yes"]);
    assert_eq!(env.exit_code(["secret", "delete", "mail"]), 3);
    assert!(!file.exists());
}

#[test]
fn a_spec_whose_secret_is_missing_is_refused() {
    let env = env_with_notes();
    env.write("spec.json", spec_with("sees", &pfs("notes", "/*"), "true", USES));
    insta::assert_snapshot!(env.pv(["pipeline", "apply", "-f", "spec.json"]), @r#"
    --- stderr
    error: spec.json:2:28: secret `mail` not found; also used at spec.json:2:82
    hint: pv secret create mail token=FILE
    1 error in 1 of 1 file; nothing was applied
    --- exit 2
    "#);
    env.write("other", "x");
    env.ok(["secret", "create", "mail", "other=other"]);
    let (error, code) = env.json_error(["pipeline", "apply", "-f", "spec.json"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.to_string().contains("has no key `token`; its keys are other"), "{error}");
}

#[test]
fn secrets_below_tmp_stay_where_they_are_and_all_else_there_goes() {
    let uses = r#""secrets": [{"name": "mail", "mount_path": "/tmp/mail/deep"}, {"name": "mail", "key": "token", "mount_path": "/tmp/other/"}],"#;
    for executor in executors() {
        let env = env_with_notes_on(executor);
        create(&env, TOKEN);
        // Each datum finds `/tmp` empty except for the secrets, which cannot be moved away.
        let script = "[ \"$(echo $(ls /tmp))\" = 'mail other' ] || exit 7; mv /tmp/mail /tmp/moved 2>/dev/null && exit 8
            [ $(wc -c < /tmp/mail/deep/token) = 20 ] && [ $(wc -c < /tmp/other/token) = 20 ] && [ -e /tmp/mail/deep/tls.key ] || exit 9
            mkdir -p /tmp/left/deep && echo x > /tmp/left/deep/file && cp $notes /pfs/out/";
        apply(&env, &spec_with("sees", &pfs("notes", "/*"), script, uses));
        let run = env.output(["run", "-j", "1"]);
        assert_eq!(outcome(&env, "sees"), success(3, 0), "{executor}: {}", env.shown(&run));
    }
}

#[test]
fn stages_see_secrets_and_nothing_else_does() {
    for executor in executors() {
        let env = env_with_notes_on(executor);
        create(&env, TOKEN);
        let script = "echo env $TOKEN; echo file $(cat /secrets/mail/token); cat /secrets/mail/tls.key
            printf %s ${TOKEN%%-*}-; sleep 0.05; echo ${TOKEN#*-}; ls -l /secrets/mail/token | cut -c1-10
            [ ${#TOKEN} = 19 ] && [ $(wc -c < /secrets/mail/token) = 20 ] && cat /proc/1/environ /proc/1/cmdline 2>/dev/null
            [ $(ls -A /secrets/mail | wc -l) = 2 ] && echo x > /secrets/mail/left 2>/dev/null; cp $notes /pfs/out/";
        apply(&env, &spec_with("sees", &pfs("notes", "/*"), script, USES));
        env.ok(["run", "-j", "1"]);
        assert_eq!(outcome(&env, "sees"), success(3, 0), "{executor}");
        let logs = env.ok(["logs", "sees"]);
        let expected = "env ***\nfile ***\n***\n***\n***\n-r--------\n";
        assert_eq!(logs.matches(expected).count(), 3, "{executor}: {logs}");
        create(&env, "another-value-of-it");
        put_note(&env, "d", "d\n");
        env.ok(["run"]);
        assert_eq!(outcome(&env, "sees"), success(1, 3), "{executor}: a changed value runs nothing again");

        let held = std::process::Command::new("grep")
            .args(["-r", "-l", "-a", "-e", TOKEN, "-e", "line of key", "-e", "another-value"])
            .arg(env.dir().join(".pv"))
            .output()
            .unwrap();
        let held = String::from_utf8(held.stdout).unwrap();
        assert_eq!(held.trim(), env.dir().join(".pv/secrets/mail").to_str().unwrap(), "{executor}");
        env.ok(["mirror", "--to", "copy"]);
        assert!(!env.dir().join("copy/secrets").exists());

        env.ok(["secret", "delete", "mail", "--yes"]);
        put_note(&env, "e", "e\n");
        assert_eq!(env.exit_code(["run"]), 1);
        let job = newest_job(&env, "sees");
        let reason = job["reason"].as_str().unwrap();
        assert!(reason.contains("secret `mail` not found (pv secret create mail token=FILE)"), "{reason}");
        create(&env, TOKEN);
        put_note(&env, "f", "f\n");
        env.ok(["run"]);
        assert_eq!(outcome(&env, "sees"), success(2, 4), "{executor}");
    }
}
