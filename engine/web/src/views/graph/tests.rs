use std::io::Write as _;

use answers::graph::{Node, What};
use answers::pipeline::PipelineState;
use engine::live::Live;
use repos::access::Access;
use repos::documents::{ExecutorKind, SpecDocument, VersionDocument};
use repos::journal::{Cause, CauseKind, Entry, JobSeed, RepoKind};
use repos::{Change, OpenOptions, Store};
use specs::{PipelineName, RunId};

use super::*;
use crate::frame;

/// A store in a folder that is removed with it.
struct Place {
    store: Store,
    live: Live,
    access: Access,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = OpenOptions::default().init(folder.path(), "main".parse().unwrap()).unwrap();
        Self { store, live: Live::default(), access: Access::full("anna"), _folder: folder }
    }

    fn look(&self) -> Look<'_> {
        let now = self.store.clock().now();
        Look { store: &self.store, live: &self.live, access: &self.access, base: "/pv", here: "/graph", now }
    }

    fn publish(&self, entries: Vec<Entry>) {
        self.store.publish(&Change::of(entries)).unwrap();
    }

    fn repo(&self, name: &str) {
        self.publish(vec![Entry::RepoCreate { repo: name.parse().unwrap(), repo_kind: RepoKind::User }]);
    }

    /// A run of these jobs.
    fn run(&self, jobs: Vec<JobSeed>) -> RunId {
        let (run, entry) = self.run_entry(jobs);
        self.publish(vec![entry]);
        run
    }

    fn run_entry(&self, jobs: Vec<JobSeed>) -> (RunId, Entry) {
        let cause = Cause {
            kind: CauseKind::Rerun,
            author: None,
            committer: "anna".to_owned(),
            at: self.store.clock().now(),
            refs: Vec::new(),
            message: None,
        };
        let run = engine::run::new_run();
        (run, Entry::Run { run, cause, moves: Vec::new(), jobs })
    }

    /// Applies a version of a pipeline that reads these repositories; there is a job for it.
    fn pipeline(&self, name: &str, inputs: &[String]) -> RunId {
        let leaves: Vec<String> = inputs.iter().map(|repo| format!("{{pfs: {{repo: {repo}, glob: '/'}}}}")).collect();
        let yaml = format!(
            "pipeline: {{name: {name}}}\ntransform: {{cmd: [x], image: 'x:1'}}\ninput: {{cross: [{}]}}\n",
            leaves.join(", ")
        );
        let set = specs::parse_specs(&[("test.yml".to_owned(), yaml)]);
        assert!(!set.has_errors(), "{:?}", set.diagnostics);
        let name: PipelineName = name.parse().unwrap();
        let version = u32::try_from(self.store.pipeline_versions(&name).unwrap().len()).unwrap() + 1;
        let document = VersionDocument {
            name: name.clone(),
            version,
            spec: self.store.put_document(&SpecDocument(serde_json::to_value(&set.specs[0].spec).unwrap())).unwrap(),
            transform: repos::hash::digest_of(b"no transform"),
            executor: ExecutorKind::Process,
            default_branch: "main".parse().unwrap(),
            image: None,
            code: None,
            entrypoint: Vec::new(),
        };
        let document = self.store.put_document(&document).unwrap();
        let mut entries = Vec::new();
        if version == 1 {
            entries.push(Entry::RepoCreate { repo: name.output_repo(), repo_kind: RepoKind::Output });
        }
        entries.push(Entry::PipelineApply { pipeline: name.clone(), version, document });
        let (run, entry) = self.run_entry(vec![JobSeed { pipeline: name, version }]);
        entries.push(entry);
        self.publish(entries);
        run
    }

    /// The page at an address.
    fn page(&self, text: &str) -> String {
        let look = self.look();
        frame::page(&look, &graph(&look, None {}, query(text)).unwrap(), None)
    }

    fn scene<T>(&self, graph: GraphView, query: &Query, show: impl FnOnce(&Scene<'_>) -> T) -> T {
        let look = self.look();
        let part = Part::of(&graph, query).unwrap();
        show(&Scene { look: &look, query, graph, moment: None, part })
    }
}

fn query(text: &str) -> Query {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let fields = pairs.map(|(name, value)| (name.to_owned(), value.parse::<u64>().map_or(value.into(), Into::into)));
    serde_json::from_value(serde_json::Value::Object(fields.collect())).unwrap()
}

fn repo(name: &str) -> Node {
    let what = What::Repo { name: name.parse().unwrap(), kind: Some(RepoKind::User) };
    Node { what, inputs: Vec::new(), inputs_not_visible: 0 }
}

fn pipeline(name: &str, state: PipelineState, inputs: &[usize]) -> Node {
    let name: PipelineName = name.parse().unwrap();
    let newest = repos::JobRow {
        pipeline: name.clone(),
        run: engine::run::new_run(),
        order: 1,
        version: 1,
        sealed: None,
        commit: None,
        document: None,
        created_at: repos::Timestamp::from_micros(0),
        sealed_at: None,
    };
    let what = What::Pipeline { name, version: 1, state, newest: Some(newest) };
    Node { what, inputs: inputs.to_vec(), inputs_not_visible: 0 }
}

fn view(nodes: Vec<Node>) -> GraphView {
    GraphView { nodes }
}

/// `images → detect → flag`, and `model → detect`.
fn few() -> GraphView {
    view(vec![
        repo("images"),
        repo("model"),
        pipeline("detect", PipelineState::Failed, &[0, 1]),
        pipeline("flag", PipelineState::Current, &[2]),
        repo("alone"),
    ])
}

/// As many repositories as pipelines; each pipeline reads two to five nodes before it, one of them a repository of its own.
fn many(pipelines: usize) -> GraphView {
    let mut seed = 11_u64;
    let mut random = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % most
    };
    let words = ["detect", "frames", "align", "embed", "merge", "report", "train", "score"];
    let mut nodes: Vec<Node> =
        (0..pipelines).map(|at| repo(&format!("{}-source-{at:03}", words[random(words.len())]))).collect();
    for at in 0..pipelines {
        let mut inputs = vec![at];
        for _ in 0..2 + random(3) {
            let first = (at / 25).saturating_sub(3) * 25;
            let before = first + random((at / 25 * 25 - first).max(1));
            inputs.push(if at < 25 { random(pipelines) } else { pipelines + before });
        }
        inputs.sort_unstable();
        inputs.dedup();
        let state = [PipelineState::Current, PipelineState::Current, PipelineState::Pending][random(3)];
        nodes.push(pipeline(&format!("{}-{at:03}", words[random(words.len())]), state, &inputs));
    }
    view(nodes)
}

fn names(scene: &Scene<'_>) -> Vec<String> {
    scene.part.shown.iter().map(|node| scene.graph.nodes[*node].name().to_owned()).collect()
}

#[test]
fn the_address_says_what_is_shown() {
    let place = Place::new();
    let shown = |text: &str| place.scene(few(), &query(text), names);
    assert_eq!(shown(""), ["images", "model", "detect", "flag", "alone"]);
    assert_eq!(shown("focus=images"), ["images", "detect"]);
    assert_eq!(shown("focus=images&down=2"), ["images", "detect", "flag"]);
    assert_eq!(shown("focus=flag&up=1&down=0"), ["detect", "flag"]);
    assert_eq!(shown("focus=flag&up=0"), ["flag"]);
    assert_eq!(shown("path=model&only_path"), ["model", "detect", "flag"]);
    assert_eq!(Part::of(&few(), &query("focus=nobody")).unwrap_err(), "nobody");
}

#[test]
fn a_large_graph_opens_at_what_needs_attention_with_one_step_around() {
    let place = Place::new();
    let mut graph = many(100);
    for node in &mut graph.nodes {
        if let What::Pipeline { state, .. } = &mut node.what {
            *state = PipelineState::Current;
        }
    }
    let urgent = 130;
    let What::Pipeline { state, .. } = &mut graph.nodes[urgent].what else { panic!("a pipeline") };
    *state = PipelineState::Failed;
    let inputs = graph.nodes[urgent].inputs.clone();
    let readers = (0..200).filter(|node| graph.nodes[*node].inputs.contains(&urgent));
    let mut expected: Vec<usize> = inputs.into_iter().chain(readers).chain([urgent]).collect();
    expected.sort_unstable();
    place.scene(graph.clone(), &query(""), |scene| {
        assert_eq!(scene.part.shown, expected);
        let text = about::about(scene).into_string();
        assert!(text.contains("what fails, runs or waits"), "{text}");
        assert!(text.contains("/pv/graph?up=2&amp;down=1") && text.contains("/pv/graph?up=0&amp;down=1"), "{text}");
    });
    place.scene(graph.clone(), &query("all"), |scene| assert_eq!(scene.part.shown.len(), 200));
    place.scene(graph, &query("up=0&down=0"), |scene| assert_eq!(scene.part.shown, [urgent]));
}

#[test]
fn a_path_lights_ancestors_and_descendants() {
    let place = Place::new();
    place.scene(few(), &query("path=model"), |scene| {
        let svg = Picture::of(scene).svg().into_string();
        let is_lit = |name: &str| {
            let at = svg.find(&format!("aria-label=\"{name}\"")).unwrap();
            svg[svg[..at].rfind("<g ").unwrap()..].split('>').next().unwrap().contains(" lit")
        };
        assert_eq!(
            ["images", "model", "detect", "flag", "alone"].map(is_lit),
            [false, true, true, true, false],
            "{svg}"
        );
        assert_eq!(svg.matches("<path class=\"lit\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("aria-current=\"true\"").count(), 1);
    });
}

#[test]
fn states_do_not_move_nodes() {
    let place = Place::new();
    let drawn = |graph: GraphView| place.scene(graph, &query(""), |scene| Picture::of(scene).svg().into_string());
    let mut other = few();
    let What::Pipeline { state, .. } = &mut other.nodes[2].what else { panic!("a pipeline") };
    *state = PipelineState::Running;
    let places = |svg: &str| {
        let of = |word: &str| svg.split(word).skip(1).map(|rest| rest.split('"').nth(1).unwrap().to_owned()).collect();
        let places: [Vec<String>; 3] = [of("transform="), of(" d="), of("data-topology=")];
        places
    };
    let (one, two) = (drawn(few()), drawn(other));
    assert_ne!(one, two);
    assert_eq!(places(&one), places(&two));
}

#[test]
fn each_node_leads_to_its_page_its_job_and_its_log() {
    let place = Place::new();
    place.scene(few(), &query("zoom=50"), |scene| {
        let svg = Picture::of(scene).svg().into_string();
        for link in [
            "href=\"/pv/pipelines/detect\"",
            "href=\"/pv/jobs/detect\"",
            "href=\"/pv/jobs/detect/log\"",
            "href=\"/pv/repos/images\"",
            "href=\"/pv/graph?path=images&amp;zoom=50\"",
            "role=\"group\" aria-label=\"detect\"",
            "✕ failed",
        ] {
            assert!(svg.contains(link), "{link}: {svg}");
        }
        let states = states::for_script(scene).into_string();
        assert!(states.contains("<li data-state=\"failed\" data-sign=\"✕\">detect</li>"), "{states}");
    });
}

#[test]
fn the_table_has_the_nodes_of_the_picture() {
    let place = Place::new();
    for text in ["table", "table&focus=images", "table&path=flag&only_path"] {
        place.scene(few(), &query(text), |scene| {
            let table = table::table(scene).into_string();
            let picture = Picture::of(scene).svg().into_string();
            let names = |text: &str, before: &str, name: &str| {
                let nodes = text.split(before).skip(1);
                let mut names: Vec<String> =
                    nodes.map(|rest| rest.split(name).nth(1).unwrap().split('"').next().unwrap().to_owned()).collect();
                names.sort();
                names
            };
            assert_eq!(names(&table, "<tr ", "id=\"n-"), names(&picture, "<g class=\"n ", "aria-label=\""));
        });
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let next = place.scene(many(120), &query(&format!("table&all&after={after}")), |scene| {
            let table = table::table(scene).into_string();
            seen.extend(table.split("<tr id=\"n-").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            table.contains("Next page")
        });
        if !next {
            break;
        }
        after.clone_from(seen.last().unwrap());
    }
    let mut all: Vec<String> = many(120).nodes.iter().map(|node| node.name().to_owned()).collect();
    all.sort();
    assert_eq!(seen, all);
}

#[test]
fn a_thousand_nodes_fit_into_60_kilobytes() {
    let place = Place::new();
    let graph = many(500);
    let edges: usize = graph.nodes.iter().map(|node| node.inputs.len()).sum();
    assert!((1800..2100).contains(&edges), "{edges}");
    place.scene(graph, &query("all"), |scene| {
        let view = View::new("Graph", "graph")
            .fixed("about", about::about(scene))
            .fixed("states", states::for_script(scene))
            .fixed("graph", picture::region(scene));
        let page = frame::page(scene.look, &view, None);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(page.as_bytes()).unwrap();
        let bytes = gzip.finish().unwrap().len();
        assert!(bytes <= 60 * 1024, "{bytes} of {} bytes, {edges} edges", page.len());
    });
}

#[test]
fn an_empty_store_has_a_graph_a_small_one_and_a_strip() {
    let place = Place::new();
    let view = graph(&place.look(), None {}, Query::default()).unwrap();
    let page = frame::page(&place.look(), &view, None);
    assert!(page.contains("There is nothing to show."), "{page}");
    assert!(small(&place.look()).unwrap().into_string().contains("There are no repositories yet."));
    assert!(strip(&place.look(), 7).unwrap().into_string().contains("No runs in the last 7 days."));
    assert!(graph(&place.look(), None {}, query("at=tomorrow")).is_err());
    assert!(graph(&place.look(), None {}, query("focus=nobody")).is_err());
    graph(&place.look(), None {}, query("at=now")).unwrap();
}

#[test]
fn a_small_graph_has_few_nodes() {
    let part = Part::few(&many(300), SMALL);
    assert!((10..=SMALL).contains(&part.shown.len()), "{}", part.shown.len());
    assert_eq!(Part::few(&few(), SMALL).shown.len(), 5);
}

#[test]
fn the_strip_has_a_bar_for_each_run() {
    let place = Place::new();
    place.run(Vec::new());
    place.run(Vec::new());
    let text = strip(&place.look(), 7).unwrap().into_string();
    assert_eq!(text.matches("<rect class=\"run success\"").count(), 2, "{text}");
    assert!(text.contains("rerun, 0 jobs, success"), "{text}");
    assert_eq!(strip(&place.look(), 7).unwrap().into_string(), text);
}

#[test]
fn as_of_a_run_the_page_stays_the_same_whatever_comes_later() {
    let place = Place::new();
    place.repo("images");
    let first = place.pipeline("detect", &["images".to_owned()]);
    let before = place.page(&format!("at=@{first}"));
    assert!(before.contains("Graph as it was") && before.contains(">v1<") && !before.contains("model"), "{before}");
    assert!(before.contains(&format!("/pv/jobs/detect%40{first}/log")), "{before}");
    place.repo("model");
    place.pipeline("detect", &["images".to_owned(), "model".to_owned()]);
    place.pipeline("flag", &["detect".to_owned()]);
    assert_eq!(place.page(&format!("at=@{first}")), before);
    let now = place.page("");
    assert!(
        now.contains(">v2<") && now.contains("aria-label=\"model\"") && now.contains("aria-label=\"flag\""),
        "{now}"
    );
    assert!(now.contains("data-follows=\"*\"") && !before.contains("data-follows"));
}
