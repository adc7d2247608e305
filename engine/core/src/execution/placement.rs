//! What a pipeline's spec asks of the machine that runs its datums: limits, and for a cluster what a node must have.

use sandbox::{Placement, Resources, Toleration};
use specs::Quantity;
use specs::spec::{self, MemoryLimit, PipelineSpec, TaintEffect, TolerationOperator};

/// The limits of the sandboxes in which a pipeline's datums begin. Requests are not limits, except for GPUs, which are indivisible.
pub(super) fn resources(spec: &PipelineSpec) -> Resources {
    let limits = &spec.resource_limits;
    Resources {
        cpu_thousandths: limits.cpu.as_ref().map(Quantity::thousandths),
        memory_bytes: limits.memory.as_ref().map(MemoryLimit::start_bytes),
        gpus: limits.gpu.as_ref().or(spec.resource_requests.gpu.as_ref()).map(|gpu| gpu.number),
    }
}

/// Where and how a cluster runs these sandboxes.
pub(super) fn placement(spec: &PipelineSpec) -> Placement {
    let requests = &spec.resource_requests;
    let spec::Placement { scheduling, tolerations, pod_patch } = &spec.placement;
    Placement {
        requests: Resources {
            cpu_thousandths: requests.cpu.as_ref().map(Quantity::thousandths),
            memory_bytes: requests.memory.as_ref().map(Quantity::whole),
            gpus: requests.gpu.as_ref().map(|gpu| gpu.number),
        },
        node_selector: scheduling.node_selector.clone(),
        priority_class: scheduling.priority_class_name.clone(),
        tolerations: tolerations.iter().map(toleration).collect(),
        image_pull_secrets: spec.transform.image_pull_secrets.clone(),
        labels: spec.metadata.labels.clone(),
        annotations: spec.metadata.annotations.clone(),
        pod_patch: pod_patch.clone(),
    }
}

fn toleration(given: &spec::Toleration) -> Toleration {
    Toleration {
        key: given.key.clone(),
        operator: given.operator.map(TolerationOperator::of_pods).map(str::to_owned),
        value: given.value.clone(),
        effect: given.effect.map(TaintEffect::of_pods).map(str::to_owned),
        toleration_seconds: given.toleration_seconds,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use specs::parse_specs;

    use super::*;

    fn spec(more: &str) -> PipelineSpec {
        let text = format!(
            "pipeline: {{name: a}}\ntransform: {{image: 'a:1', cmd: [a], imagePullSecrets: [registry]}}\n\
             input: {{pfs: {{repo: b, glob: /}}}}\n{more}"
        );
        let set = parse_specs(&[("p.yml".to_owned(), text)]);
        assert!(!set.has_errors(), "{:?}", set.diagnostics);
        set.specs[0].spec.clone()
    }

    #[test]
    fn what_a_spec_says_of_pods_is_said_to_the_executor_in_the_clusters_words() {
        let spec = spec(
            "resource_requests: {cpu: 500m, memory: 1Gi, gpu: {number: 2}}\nresource_limits: {memory: 2Gi}\n\
             scheduling_spec: {node_selector: {disk: ssd}, priority_class_name: high}\n\
             tolerations: [{key: gpu, operator: EXISTS, effect: NO_EXECUTE, toleration_seconds: 60}, {key: a, value: b}]\n\
             pod_patch: '[{\"op\": \"remove\", \"path\": \"/spec/hostname\"}]'\n\
             metadata: {labels: {queue: team}, annotations: {note: x}}\n",
        );
        let of_one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let words = |text: &str| Some(text.to_owned());
        let asked = placement(&spec);
        let expected = Placement {
            requests: Resources { cpu_thousandths: Some(500), memory_bytes: Some(1 << 30), gpus: Some(2) },
            node_selector: of_one("disk", "ssd"),
            priority_class: words("high"),
            tolerations: vec![
                Toleration {
                    key: words("gpu"),
                    operator: words("Exists"),
                    value: None,
                    effect: words("NoExecute"),
                    toleration_seconds: Some(60),
                },
                Toleration { key: words("a"), value: words("b"), ..Toleration::default() },
            ],
            image_pull_secrets: vec!["registry".to_owned()],
            labels: of_one("queue", "team"),
            annotations: of_one("note", "x"),
            pod_patch: words(r#"[{"op": "remove", "path": "/spec/hostname"}]"#),
        };
        assert_eq!(asked, expected);
        let limits = Resources { cpu_thousandths: None, memory_bytes: Some(2 << 30), gpus: Some(2) };
        assert_eq!(resources(&spec), limits, "GPUs are limited to what is requested");
    }
}
