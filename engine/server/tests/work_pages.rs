//! The pages of pipelines, runs, jobs, datums and logs, over a store whose commands print what must not reach a browser as it is.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod support;

use repos::access::Role;
use repos::tokens::{Audit, AuditFilter};
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::{Running, without_what_forms_send};

const FORM: &str = "application/x-www-form-urlencoded";

async fn page(server: &Running, token: &str, path: &str) -> String {
    let (status, text) = any_page(server, token, path).await;
    assert_eq!(status, 200, "{path}: {text}");
    text
}

async fn any_page(server: &Running, token: &str, path: &str) -> (u16, String) {
    let answer = server.client().get(format!("{}{path}", server.url)).bearer_auth(token).send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    let shown = without_what_forms_send(&text);
    for wrong in ["<script>", " style=\"", "<img src=x", "\u{202e}", "\u{1b}"] {
        assert!(!shown.contains(wrong), "{path} has {wrong:?}");
    }
    (status, text)
}

/// Sends a form of a page.
async fn act(server: &Running, token: &str, fields: &[(&str, &str)]) -> (StatusCode, String, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client
        .post(format!("{}/act", server.url))
        .bearer_auth(token)
        .header("content-type", FORM)
        .body(serde_urlencoded::to_string(fields).unwrap())
        .send()
        .await
        .unwrap();
    let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status(), location, answer.text().await.unwrap())
}

/// A store with a pipeline whose newest job has one datum that failed, one that printed much, and many others.
async fn setting() -> (Running, String) {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    server.pipeline("detect", "images", &["one"]).await;
    server.pipeline("count", "detect", &["two"]).await;
    server.pipeline_of("deep", ("images", "/*/*"), &["three"]).await;
    let mut form = String::new();
    let mut add = |name: &str, content: &str| {
        form +=
            &format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n");
    };
    (0..120).for_each(|number| add(&format!("cam7/{number:04}.txt"), &number.to_string()));
    add("x/zz <b>&\u{202e}gnp.exe", "bad");
    add("x/long.txt", "long");
    let request = server.ask(&admin, Method::POST, "/repos/images/branches/main/commits");
    let request = request.header("content-type", "multipart/form-data; boundary=x").body(form + "--x--\r\n");
    assert_eq!(request.send().await.unwrap().status(), 200);
    server.run_jobs();
    ended(&server, &admin).await;
    (server, admin)
}

async fn ended(server: &Running, admin: &str) {
    for pipeline in ["detect", "count", "deep"] {
        let (status, ended) = server.get(admin, &format!("/wait?of={pipeline}")).await;
        let (_, jobs) = server.get(admin, "/jobs").await;
        assert_eq!(status, 200, "{pipeline}: {ended}: {jobs}");
    }
}

async fn newest(server: &Running, token: &str, pipeline: &str) -> String {
    let (_, job) = server.get(token, &format!("/jobs/{pipeline}")).await;
    job["id"].as_str().unwrap().to_owned()
}

/// The ids of datums in the order of a page.
fn datums(html: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for part in html.split("/datums/").skip(1) {
        let id = part.split(['"', '/', '?']).next().unwrap().to_owned();
        if ids.last() != Some(&id) && id.len() == 64 {
            ids.push(id);
        }
    }
    ids.dedup();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_shows_failed_datums_first_with_their_cause_and_the_rest_in_pages() {
    let (server, admin) = setting().await;
    let job = newest(&server, &admin, "deep").await;
    let first = page(&server, &admin, &format!("/jobs/{job}")).await;
    let rows = datums(&first);
    assert_eq!(rows.len(), 100);
    assert!(first.contains("exit 3") && first.contains("alert(1)"), "{first}");
    for part in
        ["class=\"pull\"", "class=\"ran\"", "class=\"take-in\"", ": its command runs. ", ">Pull<", ", take-in 3 ms"]
    {
        assert!(first.contains(part), "{part} in {first}");
    }
    let failed = page(&server, &admin, &format!("/jobs/{job}?state=failed")).await;
    assert_eq!(datums(&failed), rows[..1]);
    assert!(first.contains(&format!("/jobs/{}?after=100", job.replace('@', "%40"))));
    let second = page(&server, &admin, &format!("/jobs/{job}?after=100")).await;
    let rest = datums(&second);
    assert_eq!(rest.len(), 22);
    assert!(rest.iter().all(|id| !rows.contains(id)));
    // By what it read: the file, and a directory above several.
    let found = page(&server, &admin, &format!("/jobs/{job}?input=/cam7/0042.txt")).await;
    assert_eq!(datums(&found).len(), 1);
    let found = page(&server, &admin, &format!("/jobs/{job}?input=cam7/")).await;
    assert!(datums(&found).len() == 100 && found.contains("The first 100 that have inputs below"));
    let found = page(&server, &admin, &format!("/jobs/{job}?input=/nothing")).await;
    assert!(datums(&found).is_empty());
    assert_eq!(any_page(&server, &admin, &format!("/jobs/{job}?state=odd")).await.0, 400);
    let why = page(&server, &admin, &format!("/jobs/{job}?why")).await;
    assert!(why.contains("Why it ran") && why.contains("images@main"));
    let datum = page(&server, &admin, &format!("/jobs/{job}/datums/{}", rows[0])).await;
    for part in
        ["exit 3", ">Pull<", ">Take-in<", "zz &lt;b&gt;&amp;⟨U+202E⟩gnp.exe", "Its last lines", "executed: it is new"]
    {
        assert!(datum.contains(part), "{part} in {datum}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datum_tells_how_its_memory_grew() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    let spec = json!({
        "pipeline": { "name": "detect" },
        "input": { "pfs": { "repo": "images", "glob": "/*" } },
        "transform": { "image": "img", "cmd": ["detect"] },
        "resource_limits": { "memory": { "start": "1Mi", "factor": 2, "max": "8Mi" } },
    });
    server.apply(&spec).await;
    assert_eq!(server.put(&admin, "/repos/images/branches/main/files/a", "large").await.0, 200);
    server.run_jobs();
    assert_eq!(server.get(&admin, "/wait?of=detect").await.0, 200);
    let job = newest(&server, &admin, "detect").await;
    let rows = datums(&page(&server, &admin, &format!("/jobs/{job}")).await);
    let shown = page(&server, &admin, &format!("/jobs/{job}/datums/{}", rows[0])).await;
    let growth = "killed at 1 MiB, again with 2 MiB; killed at 2 MiB, again with 4 MiB";
    assert!(shown.contains(growth), "{shown}");
    let (_, datum) = server.get(&admin, &format!("/datums/{}", rows[0])).await;
    let limits = datum["try_details"].as_array().unwrap().iter().map(|one| one["memory_bytes"].as_u64().unwrap() >> 20);
    assert_eq!(limits.collect::<Vec<_>>(), [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_shown_by_windows_and_searched() {
    let (server, admin) = setting().await;
    let job = newest(&server, &admin, "deep").await;
    let found = page(&server, &admin, &format!("/jobs/{job}?input=/x/long.txt")).await;
    let log = format!("/jobs/{job}/datums/{}/log", datums(&found)[0]);
    let first = page(&server, &admin, &log).await;
    assert!(first.contains("id=\"L1\"") && first.contains("id=\"L1000\"") && !first.contains("id=\"L1001\""));
    assert!(first.contains("Lines 1 to 1,000 of 2,500") && first.contains("?line=1001\" rel=\"next\""));
    let middle = page(&server, &admin, &format!("{log}?line=1234")).await;
    assert!(
        middle.contains("id=\"L1234\"")
            && middle.contains("<code>line 1234</code>")
            && !middle.contains("id=\"L1233\"")
    );
    let last = page(&server, &admin, &format!("{log}?line=end")).await;
    assert!(last.contains("id=\"L2500\"") && last.contains("id=\"L1501\"") && !last.contains("rel=\"next\""));
    assert!(page(&server, &admin, &format!("{log}?line=9999")).await.contains("There is no such line."));
    // Also of an ended log: what was followed stays where it is.
    assert!(page(&server, &admin, &format!("{log}?follow")).await.contains("id=\"L2500\""));
    let found = page(&server, &admin, &format!("{log}?q=LINE%2012")).await;
    assert!(found.contains("111 with"), "{found}");
    assert!(found.contains("<mark>line 12</mark>00") && found.contains("?line=1001#L1200"));
    let many = page(&server, &admin, &format!("{log}?q=line")).await;
    assert!(many.contains("line=201") && many.contains("Continue searching"));
    // Of the whole job: what each datum printed follows that of the one before.
    let all = page(&server, &admin, &format!("/jobs/{job}/log")).await;
    assert!(all.contains("id=\"L1\"") && all.contains(" of 2,7"), "{all}");
    let failed = page(&server, &admin, &format!("/jobs/{job}/log?failed")).await;
    assert!(
        failed.contains("&lt;script&gt;alert(1)") && failed.contains("ansi-red") && failed.contains("⟨U+202E⟩"),
        "{failed}"
    );
    let rows = datums(&page(&server, &admin, &format!("/jobs/{job}?state=failed")).await);
    let of_failed = page(&server, &admin, &format!("/jobs/{job}/datums/{}/log", rows[0])).await;
    assert!(of_failed.contains("First error, line 8"), "{of_failed}");
    let text = server.ask(&admin, Method::GET, &format!("/jobs/{job}/datums/{}/log", rows[0])).send().await.unwrap();
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(text.text().await.unwrap().contains("<script>alert(1)</script>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_and_runs_are_listed_and_shown_as_they_were() {
    let (server, admin) = setting().await;
    let list = page(&server, &admin, "/pipelines").await;
    assert!(list.contains("/pipelines/deep") && list.contains("data-state=\"failed\""));
    assert!(page(&server, &admin, "/pipelines?name=oun&state=").await.contains("/pipelines/count"));
    assert!(page(&server, &admin, "/pipelines?state=stopped").await.contains("There is no such pipeline."));
    let job = newest(&server, &admin, "deep").await;
    let run = job.split_once('@').unwrap().1;
    let of_run = format!("/runs/{run}");
    for (path, part) in [
        ("/pipelines/deep", "Jobs over time"),
        ("/pipelines/deep?why", "Why it is failed"),
        ("/pipelines/deep?plan", "What would run now"),
        ("/pipelines/deep?versions", "Versions"),
        ("/pipelines/deep?apply", "name: deep"),
        ("/pipelines/deep?delete", "Delete its output too"),
        ("/pipelines/detect?delete", "It cannot be deleted"),
        ("/pipelines?apply", "name=\"specs:spec\""),
        (of_run.as_str(), "<svg"),
        ("/runs?pipeline=deep", run),
        ("/runs?repo=images&state=failure", run),
        ("/runs?pipeline=nothing", "There is no such run."),
    ] {
        let html = page(&server, &admin, path).await;
        assert!(html.contains(part), "{part} at {path}: {html}");
    }
    let then = format!("/pipelines/deep?at=@{run}");
    let before = page(&server, &admin, &then).await;
    server.pipeline_of("deep", ("images", "/*/*"), &["four"]).await;
    server.engine.look_again();
    ended(&server, &admin).await;
    assert_eq!(page(&server, &admin, &then).await, before);
    assert!(before.contains("three") && !before.contains("four"));
    let difference = page(&server, &admin, "/pipelines/deep?versions=1..2").await;
    assert!(difference.contains("<del") && difference.contains("four"), "{difference}");
    let first = page(&server, &admin, "/pipelines/deep?version=1").await;
    assert!(first.contains("This is version 1, not the current one.") && first.contains("three"), "{first}");
    assert!(!first.contains("four") && first.contains("href=\"/pipelines/deep\">The current version"), "{first}");
    let second = page(&server, &admin, "/pipelines/deep?version=2").await;
    assert!(second.contains("This is version 2, the current one.") && second.contains("four"), "{second}");
    for wrong in [
        "/pipelines/deep?versions=1..9",
        "/pipelines/deep?version=9",
        "/pipelines/none",
        "/pipelines/deep?at=@0000",
        "/runs/0000",
        "/jobs/none",
    ] {
        assert_eq!(any_page(&server, &admin, wrong).await.0, 404, "{wrong}");
    }
    assert_eq!(any_page(&server, &admin, "/pipelines/deep?at=soon").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_is_asked_first_and_done_by_the_api() {
    let (server, admin) = setting().await;
    let reader = server.token("rita", Role::Reader, &["*"]);
    let job = newest(&server, &admin, "deep").await;
    let here = format!("/jobs/{job}");
    assert!(page(&server, &admin, &here).await.contains("change=retry"));
    assert!(!page(&server, &reader, &here).await.contains("change="));
    assert!(!page(&server, &reader, "/pipelines/deep").await.contains("value=\"/api/v1/pipelines"));
    for (change, part) in [
        ("retry", "1 datum failed"),
        ("skip", "1 datum that failed"),
        ("stop", "has ended"),
        ("rerun&input=/cam7/00*", "matches 100 paths"),
    ] {
        let html = page(&server, &admin, &format!("{here}?change={change}")).await;
        assert!(html.contains(part), "{part}: {html}");
        let refused = page(&server, &reader, &format!("{here}?change={change}")).await;
        assert!(!refused.contains("value=\"/api/v1/jobs") && !refused.contains("value=\"/api/v1/pipelines"));
    }
    let operation = format!("/api/v1/jobs/{job}/retry");
    let skip = [
        ("-method", "POST"),
        ("-operation", operation.as_str()),
        ("-next", "/runs/{run}"),
        ("skip_failed:query", "no & good"),
    ];
    assert_eq!(act(&server, &reader, &skip).await.0, 403);
    let (status, next, text) = act(&server, &admin, &skip).await;
    assert_eq!(status, 303, "{text}");
    assert!(next.starts_with("/runs/") && !next.contains('{'), "{next}");
    ended(&server, &admin).await;
    let run = page(&server, &admin, &next).await;
    assert!(run.contains("no &amp; good") && run.contains("1 recovered"), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_datums_are_chosen_by_what_they_read() {
    let (server, admin) = setting().await;
    let job = newest(&server, &admin, "deep").await;
    for change in ["retry", "skip"] {
        let none = page(&server, &admin, &format!("/jobs/{job}?change={change}&input=/cam7/*")).await;
        assert!(none.contains("0 of 1 datum that failed") && !none.contains("value=\"/api/v1/jobs"), "{none}");
        let one = page(&server, &admin, &format!("/jobs/{job}?change={change}&input=/x/*")).await;
        assert!(one.contains("1 of 1 datum that failed") && one.contains("⟨U+202E⟩gnp.exe"), "{one}");
        assert!(one.contains("name=\"input:query\" value=\"/x/*\""), "{one}");
        let wrong = any_page(&server, &admin, &format!("/jobs/{job}?change={change}&input=/x/%5B")).await;
        assert_eq!(wrong.0, 400, "{}", wrong.1);
    }
    let operation = format!("/api/v1/jobs/{job}/retry");
    let form = |input| {
        [("-method", "POST"), ("-operation", operation.as_str()), ("-next", "/runs/{run}"), ("input:query", input)]
    };
    assert_eq!(act(&server, &admin, &form("/cam7/*")).await.0, 404);
    let (status, next, text) = act(&server, &admin, &form("/x/*")).await;
    assert_eq!(status, 303, "{text}");
    ended(&server, &admin).await;
    let run = page(&server, &admin, &next).await;
    assert!(run.contains("retry deep:/x/*") && run.contains("1 failed") && run.contains("change=retry"), "{run}");
    let reader = server.token("rita", Role::Reader, &["*"]);
    assert!(!page(&server, &reader, &next).await.contains("change="));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_run_are_chosen_by_their_state_and_exactly_these_are_stopped() {
    let server = Running::start().await;
    let admin = server.token("anna", Role::Admin, &["*"]);
    let reader = server.token("rita", Role::Reader, &["*"]);
    server.send(&admin, Method::POST, "/repos", json!({ "name": "images" })).await;
    server.pipeline("detect", "images", &["one"]).await;
    server.pipeline("count", "detect", &["two"]).await;
    let (status, put) = server.put(&admin, "/repos/images/branches/main/files/a", "a").await;
    assert!(status < 300, "{put}");
    let run = newest(&server, &admin, "detect").await.split_once('@').unwrap().1.to_owned();
    let here = format!("/runs/{run}");
    assert!(page(&server, &admin, &here).await.contains("change=stop"));
    assert!(!page(&server, &reader, &here).await.contains("change="));
    let all = page(&server, &admin, &format!("{here}?change=stop")).await;
    assert!(all.contains("2 jobs will be stopped") && all.contains("value=\"detect\""), "{all}");
    let none = page(&server, &admin, &format!("{here}?change=stop&state=running")).await;
    assert!(none.contains("There is no such job") && !none.contains("value=\"/api/v1/runs"), "{none}");
    assert!(!page(&server, &reader, &format!("{here}?change=stop")).await.contains("value=\"/api/v1/runs"));
    assert_eq!(any_page(&server, &admin, &format!("{here}?change=odd")).await.0, 400);
    let operation = format!("/api/v1{here}/stop");
    let form = |pipeline| {
        let fields = [("-method", "POST"), ("-operation", operation.as_str()), ("-next", here.as_str())];
        [&fields[..], &[("pipelines:list", pipeline), ("message", "not now")]].concat()
    };
    assert_eq!(act(&server, &reader, &form("count")).await.0, 403);
    assert_eq!(act(&server, &admin, &form("other")).await.0, 404);
    let (status, next, text) = act(&server, &admin, &form("count")).await;
    assert_eq!((status.as_u16(), next.as_str()), (303, here.as_str()), "{text}");
    assert_eq!(act(&server, &admin, &form("count")).await.0, 409, "it has ended");
    assert_eq!(server.get(&admin, &format!("/jobs/count@{run}")).await.1["state"], "killed");
    let rest = page(&server, &admin, &format!("{here}?change=stop&state=waiting")).await;
    assert!(rest.contains("1 job will be stopped") && rest.contains("value=\"detect\""), "{rest}");
    assert!(!rest.contains("value=\"count\""), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_kept_who_read_on_a_page_what_code_printed() {
    let (mut server, admin) = setting().await;
    let ben = server.token("ben", Role::Reader, &["*"]);
    let job = format!("/jobs/{}", newest(&server, &admin, "deep").await);
    let datum = format!("{job}/datums/{}", datums(&page(&server, &admin, &job).await)[0]);
    let shown = [format!("{datum}/log"), datum, format!("{job}/log"), job];
    for path in &shown {
        page(&server, &ben, path).await;
        // A page that is open and brings itself up to date is one read.
        page(&server, &ben, &format!("{path}?only=head,lines")).await;
    }
    page(&server, &ben, "/runs").await;
    server.stop().await;
    let lines = Audit::of_reads(server.engine.store()).read(AuditFilter::default()).unwrap().map(Result::unwrap);
    let of_ben: Vec<_> = lines.filter(|line| line.who == "ben").collect();
    assert_eq!(of_ben.len(), shown.len(), "{of_ben:?}");
    for path in &shown {
        assert!(of_ben.iter().any(|line| line.on.as_ref().unwrap().ends_with(path)), "{path}: {of_ben:?}");
    }
}

/// The form in which specs are typed.
fn spec_form<'s>(operation: &'s str, spec: &'s str) -> [(&'s str, &'s str); 5] {
    [("-method", "POST"), ("-operation", operation), ("-next", "/pipelines"), ("-shows", "yes"), ("specs:spec", spec)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_with_problems_comes_back_with_each_at_its_line() {
    let (server, admin) = setting().await;
    let spec = "pipeline:\n  name: new\ntransform:\n  cmnd: [<i>]\ninput:\n  pfs: {repo: images, glob: '/*'}\n";
    for operation in ["/api/v1/pipelines", "/api/v1/pipelines/check"] {
        let (status, _, html) = act(&server, &admin, &spec_form(operation, spec)).await;
        assert_eq!(status, 400, "{html}");
        for part in [
            "Nothing was applied",
            "line 4, column",
            "id=\"L4\"",
            "cmnd: [&lt;i&gt;]",
            "name=\"specs:spec\"",
            "value=\"/pipelines\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
    let good =
        "pipeline:\n  name: new\ntransform:\n  image: img:1\n  cmd: [new]\ninput:\n  pfs: {repo: images, glob: '/*'}\n";
    let check = "/api/v1/pipelines/check";
    let (status, _, html) = act(&server, &admin, &spec_form(check, good)).await;
    assert_eq!(status, 200, "{html}");
    for part in ["No problems were found.", "cmd: [new]", "name=\"specs:spec\"", "value=\"/pipelines\""] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert_eq!(any_page(&server, &admin, "/pipelines/new").await.0, 404, "a check applies nothing");
    // Strangers may not send much; a token is as good as a session.
    let large = format!("# {}\n{good}", "x".repeat(100 << 10));
    assert_eq!(act(&server, "pv_wrong", &spec_form(check, good)).await.0, 401);
    assert_eq!(act(&server, "pv_wrong", &spec_form(check, &large)).await.0, 400);
    let (status, _, html) = act(&server, &admin, &spec_form(check, &large)).await;
    assert_eq!(status, 200, "{html}");
    let (status, _, html) = act(&server, &admin, &spec_form("/api/v1/pipelines", good)).await;
    assert_eq!(status, 200, "{html}");
    let applied = page(&server, &admin, "/pipelines/new").await;
    assert!(applied.contains("<b>image</b>: ") && applied.contains("img:1"), "{applied}");
}
