//! Labels and names of pods.

use std::collections::BTreeMap;

use crate::executor::Owner;
use crate::task::{Network, SandboxSpec};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const PV: &str = "pv";
pub(super) const STORE: &str = "pv.dev/store";
pub(super) const INSTANCE: &str = "pv.dev/instance";
const PIPELINE: &str = "pv.dev/pipeline";
const NETWORK: &str = "pv.dev/network";
/// The label of a sandbox that names its pipeline.
const OF_PIPELINE: &str = "pv.pipeline";
/// Maximum length of a label's value.
const VALUE_MAX: usize = 63;
/// Maximum number of letters of a pod's name that come from its pipeline's.
const STEM_MAX: usize = 40;

/// The labels of a pod.
pub(super) fn labels(owner: &Owner, spec: &SandboxSpec) -> BTreeMap<String, String> {
    let network = match spec.network {
        Network::None => "none",
        Network::Default => "default",
    };
    let own = [
        (MANAGED_BY, PV.to_owned()),
        (STORE, value(&owner.store)),
        (INSTANCE, value(&owner.instance)),
        (PIPELINE, value(pipeline(spec))),
        (NETWORK, network.to_owned()),
    ];
    let mut labels = spec.placement.labels.clone();
    // Last, so that no spec can give a pod to another engine.
    labels.extend(own.map(|(name, value)| (name.to_owned(), value)));
    labels
}

/// Selects all pods of a store.
pub(super) fn of_store(owner: &Owner) -> String {
    format!("{MANAGED_BY}={PV},{STORE}={}", value(&owner.store))
}

/// Selects all pods of one engine.
pub(super) fn of_instance(owner: &Owner) -> String {
    format!("{},{INSTANCE}={}", of_store(owner), value(&owner.instance))
}

/// The value of a label for this text: what is not allowed there becomes `-`.
pub(super) fn value(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let value: String = text.chars().take(VALUE_MAX).map(plain).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// The pipeline that a sandbox is for; empty if it is for none.
pub(super) fn pipeline(spec: &SandboxSpec) -> &str {
    spec.labels.get(OF_PIPELINE).map_or("", String::as_str)
}

/// A name for a new pod, which begins with that of its pipeline.
pub(super) fn pod(spec: &SandboxSpec) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let stem: String = pipeline(spec).chars().take(STEM_MAX).map(plain).collect();
    let stem = stem.trim_matches('-');
    let random = &repos::random_hex()[..10];
    if stem.is_empty() { format!("pv-{random}") } else { format!("pv-{stem}-{random}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner() -> Owner {
        Owner { store: "S".to_owned(), instance: "I".to_owned() }
    }

    fn is_label(text: &str) -> bool {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.is_empty()
            || (text.len() <= 63
                && ends(text.chars().next())
                && ends(text.chars().last())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
    }

    proptest! {
        #[test]
        fn every_text_gives_a_legal_value_and_name(text in "\\PC{0,90}") {
            prop_assert!(is_label(&value(&text)));
            let labels = BTreeMap::from([(OF_PIPELINE.to_owned(), text)]);
            let name = pod(&SandboxSpec { labels, ..SandboxSpec::default() });
            prop_assert!(name.len() <= 63 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!name.contains("--") || !name.starts_with('-'));
        }

        #[test]
        fn no_spec_gives_its_pods_to_another_engine(key in prop::sample::select(vec![STORE, INSTANCE, MANAGED_BY]), other in "[a-z]{1,9}") {
            let mut spec = SandboxSpec::default();
            spec.placement.labels.insert(key.to_owned(), other);
            let labels = labels(&owner(), &spec);
            prop_assert_eq!(&labels[STORE], "S");
            prop_assert_eq!(&labels[INSTANCE], "I");
            prop_assert_eq!(&labels[MANAGED_BY], "pv");
        }
    }

    #[test]
    fn the_pods_of_others_are_not_selected() {
        assert_eq!(of_store(&owner()), "app.kubernetes.io/managed-by=pv,pv.dev/store=S");
        assert_eq!(of_instance(&owner()), "app.kubernetes.io/managed-by=pv,pv.dev/store=S,pv.dev/instance=I");
    }
}
