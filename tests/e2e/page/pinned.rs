//! What was looked at stays as it was: pages of a point in time, and lists that are read page by page while commits arrive.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::policy::{Tag, tags};
use super::site::{Site, Way};
use super::stores::varied;
use crate::support::*;

/// A page without what the time of day changes: how long ago something was, and up to which record it has been heard.
fn lasting(html: &str) -> String {
    let (mut kept, mut rest) = (String::new(), html);
    while let Some((before, after)) = rest.split_once("<time") {
        kept.push_str(before);
        rest = after.split_once("</time>").map_or("", |(_, rest)| rest);
    }
    kept.push_str(rest);
    let parts: Vec<&str> = kept.split(" data-at=\"").collect();
    let cut = |part: &&str| part.split_once('"').map_or("", |(_, rest)| rest).to_owned();
    parts[0].to_owned() + &parts[1..].iter().map(cut).collect::<String>()
}

#[test]
fn a_page_of_a_point_in_time_never_changes() {
    let site = Site::of(varied(), Way::Direct).unwrap();
    let run = newest_job(&site.env, "copy")["run"].as_str().unwrap().to_owned();
    let commit = site.env.json(["log", "copy", "-n", "1"])[0]["id"].as_str().unwrap().to_owned();
    let of_run = ["/graph", "/repos/copy", "/pipelines/copy"].map(|path| format!("{path}?at=@{run}"));
    let of_commit = [
        format!("/repos/copy/commits/{commit}"),
        format!("/repos/copy/commits/{commit}/files"),
        format!("/trace?file=copy@{commit}:/b.csv"),
    ];
    let pages: Vec<String> = of_run.into_iter().chain(of_commit).collect();
    let all = || pages.iter().map(|path| site.get(path, &site.admin)).collect::<Vec<_>>();
    let before = all();
    for (path, answer) in pages.iter().zip(&before) {
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    site.env.write("notes/b.csv", "camera,score,flag\n9,0.9,yes\n");
    site.env.ok(["put", "notes", "notes/b.csv", "-m", "later"]);
    site.env.ok(["wait", "copy"]);
    site.env.ok(["repo", "create", "later"]);
    for ((path, before), after) in pages.iter().zip(&before).zip(all()) {
        assert_eq!(lasting(&before.body), lasting(&after.body), "{path}");
    }
}

#[test]
fn a_page_of_a_point_in_time_has_what_was_deleted_later() {
    let site = Site::of(varied(), Way::Direct).unwrap();
    let run = site.env.json(["log", "notes", "-n", "1"])[0]["run"].as_str().unwrap().to_owned();
    let newest = newest_job(&site.env, "copy")["run"].as_str().unwrap().to_owned();
    site.env.ok(["repo", "create", "spare"]);
    site.env.write("more.txt", "one\n");
    site.env.ok(["put", "spare", "more.txt", "-m", "more"]);
    site.env.ok(["branch", "create", "spare@draft"]);
    site.env.write("more.txt", "two\n");
    site.env.ok(["put", "spare@draft", "more.txt", "-m", "more"]);
    let then = site.env.json(["log", "spare@draft", "-n", "1"])[0]["run"].as_str().unwrap().to_owned();
    let pages = [
        format!("/repos/notes?at=@{then}"),
        format!("/repos/notes?at=@{then}&branch=draft"),
        format!("/repos/spare?at=@{then}&branch=draft"),
        format!("/pipelines/sizes?at=@{newest}"),
        format!("/graph?at=@{then}"),
        format!("/trace?file=notes@draft:/b.csv&at=@{then}"),
    ];
    let all = || pages.iter().map(|path| site.get(path, &site.admin)).collect::<Vec<_>>();
    let before = all();
    for (path, answer) in pages.iter().zip(&before) {
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert!(
        before[0].body.contains("draft") && before[2].body.contains("more.txt") && before[4].body.contains("spare")
    );
    site.env.ok(["branch", "delete", "notes@draft", "--yes"]);
    site.env.ok(["pipeline", "delete", "sizes", "--yes"]);
    site.env.ok(["repo", "delete", "spare", "--yes"]);
    for ((path, before), after) in pages.iter().zip(&before).zip(all()) {
        assert_eq!(after.status, 200, "{path}: {}", after.body);
        assert_eq!(lasting(&before.body), lasting(&after.body), "{path}");
    }
    for link in links(&before[2].body).iter().filter(|link| link.starts_with("/repos/spare/commits/")) {
        assert_eq!(site.get(link, &site.admin).status, 200, "{link}");
    }
    assert_eq!(site.get("/repos/spare", &site.admin).status, 404);
    assert_eq!(site.get(&format!("/repos/nobody?at=@{run}"), &site.admin).status, 404);
}

/// The addresses that a page links to.
fn links(html: &str) -> Vec<String> {
    let is_link = |tag: &Tag| tag.name == "a";
    let links = tags(html).into_iter().filter(is_link);
    let address = |tag: Tag| tag.attributes.into_iter().find(|(name, _)| name == "href");
    links.filter_map(address).map(|(_, to)| to.replace("&amp;", "&")).collect()
}

#[test]
fn reading_page_by_page_while_commits_arrive_shows_each_file_once() {
    const FILES: usize = 350;
    let site = Site::empty();
    for number in 0..FILES {
        site.env.write(format!("many/f{number:04}.txt"), format!("{number}\n"));
    }
    site.env.ok(["put", "images", "many", "-m", "many"]);
    let commit = site.env.json(["log", "images", "-n", "1"])[0]["id"].as_str().unwrap().to_owned();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let commits = threads.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                site.env.write("many/f0100.txt", format!("again {count}\n"));
                site.env.write("extra.txt", format!("{count}\n"));
                site.env.ok(["put", "images", "many/f0100.txt"]);
                let name = format!("images:/f{:04}x.txt", count % FILES);
                site.env.ok(["put", &name, "extra.txt"]);
                count += 1;
            }
            count
        });
        let prefix = format!("/repos/images/commits/{commit}/files");
        let (mut next, mut seen, mut pages) = (Some(prefix.clone()), Vec::new(), BTreeSet::new());
        while let Some(path) = next {
            assert!(pages.insert(path.clone()), "{path} twice");
            let answer = site.get(&path, &site.admin);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let mut of_page: Vec<String> = links(&answer.body);
            next = of_page.iter().find(|link| link.contains("after=") && !pages.contains(*link)).cloned();
            of_page.retain(|link| {
                link.strip_prefix(&prefix).is_some_and(|name| name.starts_with("/f") && !name.contains('?'))
            });
            of_page.dedup();
            seen.extend(of_page.into_iter().collect::<BTreeSet<_>>());
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(commits.join().unwrap() > 0);
        let expected: Vec<String> = (0..FILES).map(|number| format!("{prefix}/f{number:04}.txt")).collect();
        assert_eq!(seen, expected);
        assert!(pages.len() > 1, "it was all on one page");
    });
}
