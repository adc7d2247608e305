//! Inputs and outputs: content, permission bits, links, and what is refused.

use std::time::{Duration, Instant};

use super::super::{DatumTask, Exit, OutputLimits};
use super::{Bench, Subject, shell};

pub(super) async fn suite(subject: &Subject<'_>) {
    let mut bench = subject.bench().await;
    inputs_come_back_byte_by_byte(&mut bench).await;
    many_files_pass(&mut bench).await;
    links_to_inputs_move_no_byte(&mut bench).await;
    other_links_are_followed(&mut bench).await;
    what_no_commit_can_hold_is_refused(&mut bench).await;
    limits_hold(&mut bench).await;
    time_covers_taking_in(&mut bench).await;
    a_hostile_tree_does_no_harm(&mut bench).await;
    inputs_cannot_be_changed_unseen(&mut bench).await;
    bench.close().await;
}

async fn inputs_come_back_byte_by_byte(bench: &mut Bench<'_>) {
    let large: Vec<u8> = (0..5_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut tool = bench.files.add("in/bin/tool", "#!/bin/sh\necho made > /pfs/out/made\n");
    tool.executable = true;
    let inputs = vec![
        bench.files.add("in/a b/\u{e4}*?[]'\".bin", large.clone()),
        tool,
        bench.files.add("in/empty", ""),
        bench.files.add("other/-x", "dash"),
    ];
    let script = "cd /pfs && /pfs/in/bin/tool && cp -r in other out/ && ls -l in/empty | cut -c1-10";
    let record = bench.good(script, inputs).await;
    assert_eq!(record.log(), "-r--r--r--\n");
    let expected = ["/in/a b/\u{e4}*?[]'\".bin", "/in/bin/tool", "/in/empty", "/made", "/other/-x"];
    assert_eq!(record.files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(record.files[expected[0]].0 == large, "5 MiB come back as they went");
    assert!(record.files["/in/bin/tool"].1, "the executable bit is kept");
    assert!(!record.files["/made"].1);
    assert_eq!(record.text("/other/-x"), "dash");
}

async fn many_files_pass(bench: &mut Bench<'_>) {
    let inputs: Vec<_> = (0..3000)
        .map(|number| bench.files.add(&format!("in/{}/{number:04}", number / 100), number.to_string()))
        .collect();
    let record =
        bench.good("cd /pfs/out; for f in /pfs/in/*/*; do read -r n < $f; echo $n > ${f##*/}; done", inputs).await;
    assert_eq!(record.files.len(), 3000);
    assert_eq!(record.text("/2999"), "2999\n");
}

async fn links_to_inputs_move_no_byte(bench: &mut Bench<'_>) {
    let inputs = vec![
        bench.files.add("images/cam1/a.jpg", "a"),
        bench.files.add("images/cam1/b.jpg", "b"),
        bench.files.add("images/cam10/c.jpg", "c"),
    ];
    let script = "mkdir /pfs/out/valid; ln -s /pfs/images/cam1/a.jpg /pfs/out/valid/a.jpg; ln -s ../images/cam1 /pfs/out/all; \
                  ln -s valid/a.jpg /pfs/out/twice; cd /pfs/images; ln -s \"$PWD/cam10/c.jpg\" /pfs/out/c";
    let record = bench.good(script, inputs).await;
    assert!(record.files.is_empty(), "{:?}", record.files);
    let links: Vec<_> = record.links.iter().map(|(path, input)| (path.as_str(), input.as_str())).collect();
    let expected = [
        ("/all/a.jpg", "images/cam1/a.jpg"),
        ("/all/b.jpg", "images/cam1/b.jpg"),
        ("/c", "images/cam10/c.jpg"),
        ("/twice", "images/cam1/a.jpg"),
        ("/valid/a.jpg", "images/cam1/a.jpg"),
    ];
    assert_eq!(links, expected);
}

async fn other_links_are_followed(bench: &mut Bench<'_>) {
    let script = "mkdir /tmp/d; echo t > /tmp/d/t; echo o > /pfs/out/o; ln -s /tmp/d /pfs/out/d; ln -s o /pfs/out/p; ln /pfs/out/o /pfs/out/q";
    let record = bench.good(script, vec![]).await;
    let files: Vec<_> = record.files.keys().map(|path| (path.as_str(), record.text(path))).collect();
    let expected =
        [("/d/t", "t\n"), ("/o", "o\n"), ("/p", "o\n"), ("/q", "o\n")].map(|(path, text)| (path, text.to_owned()));
    assert_eq!(files, expected);
}

async fn what_no_commit_can_hold_is_refused(bench: &mut Bench<'_>) {
    for (script, expected) in [
        ("ln -s nowhere /pfs/out/link", "/link"),
        ("mkdir /pfs/out/d; mkfifo /pfs/out/d/pipe", "/d/pipe"),
        ("ln -s . /pfs/out/loop", "/loop"),
        ("ln -s /pfs /pfs/out/up", "/up"),
        ("ln -s /dev/zero /pfs/out/zero", "/zero"),
        ("ln -s /proc/1/environ /pfs/out/agent", "/agent"),
        ("ln -s /proc/self/root/etc/passwd /pfs/out/root", "/root"),
        ("ln -s /proc/self/fd/0 /pfs/out/open", "/open"),
        ("ln -s /proc/self/cwd /pfs/out/cwd", "/cwd"),
        ("ln -s b /pfs/out/a; ln -s a /pfs/out/b", "/a"),
        ("ln -s /etc/passwd/x /pfs/out/below", "/below"),
        ("ln -s /usr/../proc/1/cwd /pfs/out/d", "/d"),
        ("touch \"$(printf '/pfs/out/a\\001b')\"", "/a\u{1}b"),
        ("touch \"$(printf '/pfs/out/\\377')\"", "/\u{fffd}"),
    ] {
        let (exit, _) = bench.sh(script, vec![]).await;
        assert!(matches!(&exit, Exit::BadOutput { path, .. } if path == expected), "{script}: {exit:?}");
    }
}

async fn limits_hold(bench: &mut Bench<'_>) {
    for (limits, script) in [
        (OutputLimits { files_max: 2, bytes_max: 100 }, "cd /pfs/out; touch a b c"),
        (OutputLimits { files_max: 9, bytes_max: 100 }, "cd /pfs/out; printf %0200d 1 > a"),
    ] {
        let (outcome, _) = bench.run(&DatumTask { limits, ..shell(script) }).await;
        assert!(matches!(outcome.exit, Exit::BadOutput { .. }), "{outcome:?}");
    }
}

async fn time_covers_taking_in(bench: &mut Bench<'_>) {
    let task = DatumTask { timeout: Some(Duration::from_millis(400)), ..shell("truncate -s 700G /pfs/out/sparse") };
    let begun = Instant::now();
    let (outcome, record) = bench.run(&task).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert!(begun.elapsed() < Duration::from_mins(1), "nobody waited for all of it");
    drop(record);
    let record = bench.good("ls -A /pfs/out; echo x > /pfs/out/x", vec![]).await;
    assert_eq!((record.log().as_str(), record.text("/x").as_str()), ("", "x\n"));
    let limits = OutputLimits { files_max: 9, bytes_max: 600 << 30 };
    let (outcome, record) = bench.run(&DatumTask { limits, ..shell("truncate -s 700G /pfs/out/sparse") }).await;
    assert!(matches!(outcome.exit, Exit::BadOutput { .. }), "{outcome:?}");
    assert!(record.files.is_empty(), "refused by its length");
}

async fn a_hostile_tree_does_no_harm(bench: &mut Bench<'_>) {
    let script = "cd /pfs/out; name=$(printf %0200d 1); i=0; \
                  while [ $i -lt 40 ]; do mkdir $name && cd -P $name || exit 1; i=$((i+1)); done; touch bottom";
    let (exit, _) = bench.sh(script, vec![]).await;
    assert!(matches!(&exit, Exit::BadOutput { why, .. } if why.contains("4,096")), "{exit:?}");
    let record = bench.good("ls -A /pfs/out; printf x > '/pfs/out/-rf $(x)'; printf y > /pfs/out/\\\\", vec![]).await;
    assert_eq!(record.log(), "");
    assert_eq!((record.text("/-rf $(x)").as_str(), record.text("/\\").as_str()), ("x", "y"));
}

async fn inputs_cannot_be_changed_unseen(bench: &mut Bench<'_>) {
    for script in [
        "echo x >> /pfs/in/a",
        "chmod u+w /pfs/in/a; echo x > /pfs/in/a",
        "chmod u+w /pfs/in; rm -f /pfs/in/a",
        "mv /pfs/in /pfs/moved",
    ] {
        let inputs = vec![bench.files.add("in/a", "a")];
        let script = format!("{{ {script}; }} 2>/dev/null; cat /pfs/in/a; true");
        match bench.sh(&script, inputs).await {
            (Exit::TouchedInput { path }, _) => assert_eq!(path, "/pfs/in/a"),
            (Exit::Code(0), record) => assert_eq!(record.log(), "a", "{script}: changed and not noticed"),
            (exit, _) => panic!("{script}: {exit:?}"),
        }
    }
    let record = bench.good("ls -A /pfs; ls -A /pfs/out", vec![]).await;
    assert_eq!(record.log(), "out\n", "nothing of a changed input is left");
}
