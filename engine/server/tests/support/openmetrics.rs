//! A strict reader of the text form of `OpenMetrics` 1.0: what it does not know is a fault.

use std::collections::{BTreeMap, BTreeSet};

/// Samples by name and labels, such as `pv_jobs_total{pipeline="copy",outcome="success"}`; labels sorted.
pub(crate) type Samples = BTreeMap<String, f64>;

/// A family of metrics that is being read.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: String,
}

const SUFFIXES: [(&str, &[&str]); 4] =
    [("counter", &["_total"]), ("gauge", &[""]), ("histogram", &["_bucket", "_count", "_sum"]), ("info", &["_info"])];

/// All samples.
///
/// # Panics
/// If the text breaks a rule of the format.
pub(crate) fn read(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("the last line is # EOF");
    let (mut family, mut families, mut samples) = (Family::default(), BTreeSet::new(), Samples::new());
    for line in body.lines() {
        assert!(!line.is_empty() && line.trim() == line, "{line:?}");
        if let Some(said) = line.strip_prefix("# ") {
            let (what, rest) = said.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            if name != family.name {
                assert!(families.insert(name.to_owned()), "{name} comes twice, or in two parts");
                family = Family { name: name.to_owned(), ..Family::default() };
            }
            match what {
                "HELP" => assert!(value.ends_with('.')),
                "TYPE" => value.clone_into(&mut family.kind),
                "UNIT" => value.clone_into(&mut family.unit),
                _ => panic!("{line}"),
            }
            assert!(family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit)), "{line}");
        } else {
            let (key, value) = sample(line, &family);
            assert!(samples.insert(key, value).is_none(), "{line} comes twice");
        }
    }
    assert_histograms(&samples);
    samples
}

fn sample(line: &str, family: &Family) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let suffix = name.strip_prefix(family.name.as_str()).unwrap_or_else(|| panic!("{line} is not of {}", family.name));
    let known = SUFFIXES.iter().find(|(kind, _)| *kind == family.kind);
    assert!(known.unwrap_or_else(|| panic!("{}", family.kind)).1.contains(&suffix), "{line}: {}", family.kind);
    let labels = labels.strip_suffix('}').unwrap();
    let mut pairs: Vec<_> = labels.split(',').filter(|pair| !pair.is_empty()).collect();
    for pair in &pairs {
        let (label, text) = pair.split_once('=').unwrap();
        assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        assert!(text.len() >= 2 && text.starts_with('"') && text.ends_with('"'), "{line}");
    }
    pairs.sort_unstable();
    let value: f64 = value.parse().unwrap();
    assert!(value >= 0.0, "{line}");
    let key = if pairs.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", pairs.join(",")) };
    (key, value)
}

/// Buckets grow, and the last one is the count.
fn assert_histograms(samples: &Samples) {
    let buckets = samples.iter().filter(|(key, _)| key.contains("_bucket{") && key.contains("le=\"+Inf\""));
    for (key, last) in buckets {
        let count = key.replace("_bucket{", "_count{").replace("le=\"+Inf\"", "").replace("{,", "{");
        let count = count.replace(",,", ",").replace(",}", "}").replace("{}", "");
        assert_eq!(samples.get(&count), Some(last), "{key}");
        assert!(samples.contains_key(&count.replace("_count", "_sum")), "{key}");
    }
}
