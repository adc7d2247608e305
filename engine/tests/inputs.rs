//! Every kind of input, from commit to commit: what runs, what it sees, and what is left at the end.

use super::setting::Setting;
use answers::trace;
use sandbox::scripted::{Call, Reply};

/// Writes what it saw into one file, named after its inputs.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a command")]
fn note(call: Call) -> Reply {
    let saw: Vec<String> =
        call.inputs.iter().map(|(path, bytes)| format!("{path}={}", String::from_utf8_lossy(bytes))).collect();
    let paths: Vec<&str> = call.inputs.keys().map(String::as_str).collect();
    let mut reply = Reply::default();
    reply.files.insert(paths.join("+").replace('/', ":"), saw.join(" ").into_bytes());
    reply
}

/// The same, with the file named after the key.
fn note_key(call: Call) -> Reply {
    let key = call.env.iter().find(|(name, _)| name.ends_with("_GROUP_BY")).expect("it has a key").1.clone();
    let noted = note(call);
    let files = noted.files.into_values().map(|content| (format!("key-{key}"), content)).collect();
    Reply { files, ..Reply::default() }
}

/// A store with repositories `stores` and `sales` and this pipeline, which was run on the first data.
async fn shop(input: &str) -> Setting {
    shop_with(input, note).await
}

async fn shop_with(input: &str, command: fn(Call) -> Reply) -> Setting {
    let s = Setting::new();
    s.repo("stores").repo("sales");
    s.put("stores", [("/s1.txt", Some("north")), ("/s2.txt", Some("south")), ("/s3.txt", Some("west"))]);
    s.put(
        "sales",
        [("/a_s1.txt", Some("10")), ("/b_s1.txt", Some("20")), ("/c_s2.txt", Some("30")), ("/d_s9.txt", Some("9"))],
    );
    s.pipeline(&format!("pipeline: {{name: p}}\ntransform: {{cmd: [p], image: 'x:1'}}\ninput: {input}"));
    s.run_with(command).await;
    s
}

fn keyed(kind: &str, field: &str, more: &str) -> String {
    format!(
        "{{{kind}: [{{pfs: {{repo: stores, glob: '/s(*).txt', {field}: $1{more}}}}}, \
         {{pfs: {{repo: sales, glob: '/*_s(*).txt', {field}: $1{more}}}}}]}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_runs_the_pairs_of_a_changed_file_alone() {
    let s = shop(&keyed("join", "join_on", "")).await;
    let pairs = ["sales/a_s1.txt+stores/s1.txt", "sales/b_s1.txt+stores/s1.txt", "sales/c_s2.txt+stores/s2.txt"];
    assert_eq!(s.seen("p"), pairs);
    s.put("sales", [("/e_s3.txt", Some("40"))]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), ["sales/e_s3.txt+stores/s3.txt"]);
    s.put("stores", [("/s1.txt", Some("NORTH")), ("/s9.txt", Some("new"))]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), [pairs[0], pairs[1], "sales/d_s9.txt+stores/s9.txt"]);
    s.put("stores", [("/s2.txt", None)]);
    s.run_with(note).await;
    assert!(s.seen("p").is_empty());
    let left: Vec<String> = s.files("p").into_values().collect();
    assert_eq!(
        left,
        [
            "sales/a_s1.txt=10 stores/s1.txt=NORTH",
            "sales/b_s1.txt=20 stores/s1.txt=NORTH",
            "sales/d_s9.txt=9 stores/s9.txt=new",
            "sales/e_s3.txt=40 stores/s3.txt=west",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outer_join_keeps_what_has_no_partner_until_it_gets_one() {
    let s = shop(&keyed("join", "join_on", ", outer_join: true")).await;
    assert_eq!(s.seen("p").len(), 5);
    assert!(s.files("p").contains_key("/stores:s3.txt") && s.files("p").contains_key("/sales:d_s9.txt"));
    s.put("sales", [("/e_s3.txt", Some("40"))]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), ["sales/e_s3.txt+stores/s3.txt"]);
    assert!(!s.files("p").contains_key("/stores:s3.txt"));
    s.put("sales", [("/e_s3.txt", None)]);
    s.run_with(note).await;
    assert!(s.seen("p").is_empty(), "in the cache");
    assert!(s.files("p").contains_key("/stores:s3.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_runs_the_groups_of_a_changed_file_with_all_their_files() {
    let s = shop_with(&keyed("group", "group_by", ""), note_key).await;
    let first = [
        "sales/a_s1.txt+sales/b_s1.txt+stores/s1.txt",
        "sales/c_s2.txt+stores/s2.txt",
        "sales/d_s9.txt",
        "stores/s3.txt",
    ];
    assert_eq!(s.seen("p"), first);
    s.put("sales", [("/z_s2.txt", Some("50")), ("/d_s9.txt", None)]);
    s.run_with(note_key).await;
    assert_eq!(s.seen("p"), ["sales/c_s2.txt+sales/z_s2.txt+stores/s2.txt"]);
    let files = s.files("p");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["/key-1", "/key-2", "/key-3"]);
    assert_eq!(files["/key-2"], "sales/c_s2.txt=30 sales/z_s2.txt=50 stores/s2.txt=south");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_the_key_and_the_last_file_of_a_group() {
    let s = shop_with(&keyed("group", "group_by", ""), note_key).await;
    s.put("sales", [("/z_s1.txt", Some("1"))]);
    let env = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = env.clone();
    s.run_with(move |call| {
        let of_input =
            call.env.clone().into_iter().filter(|(name, _)| name.contains("sales") && !name.ends_with("COMMIT"));
        seen.lock().unwrap().extend(of_input);
        note_key(call)
    })
    .await;
    let expected =
        [("PACH_DATUM_sales_GROUP_BY", "1"), ("PACH_DATUM_sales_JOIN_ON", "1"), ("sales", "/pfs/sales/z_s1.txt")];
    assert_eq!(*env.lock().unwrap(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_group_is_traced_forward_to_the_datums_that_read_it() {
    let s = shop_with(&keyed("group", "group_by", ""), note_key).await;
    let at = s.store.resolve(&"sales:/b_s1.txt".parse().unwrap()).unwrap();
    let forward = trace::forward(&s.store, &at, trace::ForwardOptions::default()).unwrap();
    let outputs: Vec<String> =
        forward.readers.iter().flat_map(|reader| &reader.outputs).map(|made| made.path.to_string()).collect();
    assert_eq!(outputs, ["/key-1"]);
    let found =
        answers::datum::find_datums_of_input(&s.store, None, &s.job("p"), &"/c_s2.txt".parse().unwrap()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].view.inputs.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_outside_the_recipe_runs_nothing() {
    let s = shop(
        "{cross: [{pfs: {repo: sales, glob: '/*'}}, {join: [{pfs: {repo: stores, glob: '/s(1).txt', join_on: $1, reference: true}}]}]}",
    )
    .await;
    assert_eq!(s.seen("p").len(), 4);
    s.put("stores", [("/s1.txt", Some("changed"))]);
    s.run_with(note).await;
    assert!(s.seen("p").is_empty());
    s.put("sales", [("/n_s1.txt", Some("1"))]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), ["sales/n_s1.txt+stores/s1.txt"]);
    assert_eq!(s.files("p").len(), 5);
}

/// With inputs outside the recipe, or the arms of a union, two datums may be one execution: the output stays until both are gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_output_of_two_datums_stays_while_one_of_them_does() {
    let s = Setting::new();
    s.repo("images").repo("more");
    s.put("images", [("/a", Some("1"))]);
    s.put("more", [("/a", Some("1")), ("/b", Some("2"))]);
    s.pipeline(
        "
pipeline: {name: p}
transform: {cmd: [p], image: 'x:1'}
input: {union: [{pfs: {repo: images, name: in, glob: '/*'}}, {pfs: {repo: more, name: in, glob: '/*'}}]}
",
    );
    s.run_with(note).await;
    assert_eq!(s.files("p").len(), 2, "two datums of one recipe do not collide");
    s.seen("p");
    s.put("more", [("/a", None)]);
    s.run_with(note).await;
    assert_eq!(s.files("p").keys().collect::<Vec<_>>(), ["/in:a", "/in:b"]);
    s.put("images", [("/a", None), ("/c", Some("3"))]);
    s.run_with(note).await;
    assert_eq!(s.files("p").keys().collect::<Vec<_>>(), ["/in:b", "/in:c"]);
    // Both arms have one name; the trace finds each file in the repository that it came from.
    for (output, repo) in [("/in:b", "more"), ("/in:c", "images")] {
        let at = s.store.resolve(&format!("p:{output}").parse().unwrap()).unwrap();
        let traced = serde_json::to_string(&trace::trace(&s.store, &at, trace::Reach::default()).unwrap()).unwrap();
        assert!(traced.contains(&format!("\"repo\":\"{repo}\"")) && traced.contains("\"complete\":true"), "{traced}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_plans_in_full_and_goes_on_from_there() {
    let s = shop(&keyed("join", "join_on", "")).await;
    s.pipeline("pipeline: {name: p}\ndescription: again\ntransform: {cmd: [p], image: 'x:1'}\ninput: {cross: [{pfs: {repo: stores, glob: /}}]}");
    s.run_with(note).await;
    s.seen("p");
    s.pipeline(&format!(
        "pipeline: {{name: p}}\ntransform: {{cmd: [p], image: 'x:1'}}\ninput: {}",
        keyed("join", "join_on", "")
    ));
    s.run_with(note).await;
    assert!(s.seen("p").is_empty(), "every pair is known from the first version");
    s.put("sales", [("/e_s2.txt", Some("40"))]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), ["sales/e_s2.txt+stores/s2.txt"]);
    assert_eq!(s.files("p").len(), 4);
}

/// More changes than planning keeps in memory: it starts over with a full plan, and the rest are cache hits.
#[tokio::test(flavor = "multi_thread")]
async fn very_many_changes_of_a_join_are_planned_in_full() {
    let s = shop(&keyed("join", "join_on", "")).await;
    s.seen("p");
    let names: Vec<String> = (100..200).map(|number| format!("/n_s{number}.txt")).collect();
    s.put("sales", names.iter().map(|name| (name.as_str(), Some("1"))));
    s.put("stores", [("/s150.txt", Some("far")), ("/s2.txt", None)]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), ["sales/n_s150.txt+stores/s150.txt"]);
    assert_eq!(s.files("p").len(), 3);
    s.put("stores", [("/s151.txt", Some("farther"))]);
    s.run_with(note).await;
    assert_eq!(s.seen("p"), ["sales/n_s151.txt+stores/s151.txt"]);
}

/// A full pack is entered into the index with the results in it, which are unpacked for that.
#[tokio::test(flavor = "multi_thread")]
async fn packs_become_full_in_the_middle_of_a_job() {
    let s = Setting::of(&repos::OpenOptions::default().pack_bytes(4000));
    let files: Vec<String> = (0..40).map(|number| format!("/f{number}")).collect();
    s.repo("stores").put("stores", files.iter().map(|file| (file.as_str(), Some(file.as_str()))));
    s.pipeline("pipeline: {name: p}\ntransform: {cmd: [p], image: 'x:1'}\ninput: {pfs: {repo: stores, glob: '/*'}}");
    s.run_with(note).await;
    assert_eq!(s.files("p").len(), files.len());
}
