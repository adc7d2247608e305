//! Every field of a spec, and how it is handled: the one table behind parsing, messages and the JSON Schema.
//!
//! Fields with an effect are read in `read`.

/// A kind of mapping in a spec.
pub(super) struct Object {
    /// The field that contains it; empty for the spec itself.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of an object, in `snake_case`.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) shape: Shape,
    /// Description for the schema.
    pub(super) about: &'static str,
    /// A value that requests nothing, besides null, `false`, empty text and an empty list or mapping.
    pub(super) harmless: &'static str,
}

/// How a field is handled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is read.
    Acts,
    /// It cannot affect results, so it is ignored with a warning.
    Ignored,
    /// Like `Ignored`, for this value only; any other is an error, for this reason.
    IgnoredIf(&'static str, &'static str),
    /// State of an exported pipeline: ignored with a warning.
    Status,
    /// Only for editors: ignored without a warning.
    ForEditors,
    /// It would change results or effects, so it is an error, for this reason.
    Refused(&'static str),
}

/// The allowed values of a field that has an effect.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Anything,
    Text,
    Boolean,
    /// A whole number within these bounds.
    Integer(i64, i64),
    OneOf(&'static [&'static str]),
    /// A mapping from text to text.
    TextMap,
    List(&'static Shape),
    Object(&'static Object),
    /// A text, or a mapping.
    TextOr(&'static Object),
}

impl Field {
    const fn harmless(mut self, value: &'static str) -> Self {
        self.harmless = value;
        self
    }
}

const fn acts(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, class: Class::Acts, shape, about, harmless: "" }
}

const fn field(name: &'static str, class: Class) -> Field {
    Field { name, class, shape: Shape::Anything, about: "", harmless: "" }
}

const fn ignored(name: &'static str) -> Field {
    field(name, Class::Ignored)
}

const fn status(name: &'static str) -> Field {
    field(name, Class::Status)
}

const fn refused(name: &'static str, why: &'static str) -> Field {
    field(name, Class::Refused(why))
}

const TEXTS: Shape = Shape::List(&Shape::Text);
const COUNT: Shape = Shape::Integer(1, u32::MAX as i64);
const PROJECT: Field = field("project", Class::IgnoredIf("default", "a store is one project"));

/// The field of an exported spec that contains the actual spec fields.
pub(super) const DETAILS: &str = "details";

pub(super) static SPEC: Object = Object {
    name: "",
    fields: &[
        field("$schema", Class::ForEditors),
        acts("pipeline", Shape::Object(&PIPELINE), "name of the pipeline"),
        acts("description", Shape::Text, "for people"),
        acts("metadata", Shape::Object(&METADATA), "notes, which a stage's pods have too (executor `kubernetes`)"),
        acts("transform", Shape::Object(&TRANSFORM), "command to run for each datum"),
        acts("input", Shape::Object(&INPUT), "data to read"),
        acts("parallelism_spec", Shape::Object(&PARALLELISM), "how many datums of a job run at a time"),
        acts("datum_tries", COUNT, "attempts for each datum (3)"),
        acts("output_branch", Shape::Text, "branch of the output repository (the store's default branch)"),
        acts("datum_timeout", Shape::Text, "time limit for each try of a datum, as in `30s`"),
        acts("job_timeout", Shape::Text, "time limit for a job, as in `1h30m`"),
        acts(
            "reprocess_spec",
            Shape::OneOf(&["until_success", "every_job"]),
            "whether to reuse known results (until_success)",
        ),
        acts("salt", Shape::Text, "any text; changing it makes all datums run again"),
        acts("resource_requests", Shape::Object(&REQUESTS), "resources that a datum needs"),
        acts("resource_limits", Shape::Object(&LIMITS), "resources that a datum may use"),
        acts("autoscaling", Shape::Boolean, "whether to close idle sandboxes at once (false)"),
        acts("scheduling_spec", Shape::Object(&SCHEDULING), "nodes and priority of pods (executor `kubernetes`)"),
        acts(
            "tolerations",
            Shape::List(&Shape::Object(&TOLERATION)),
            "taints of nodes that do not matter to pods (executor `kubernetes`)",
        ),
        acts("pod_patch", Shape::Text, "JSON Patch (RFC 6902) of pods (executor `kubernetes`)"),
        ignored("sidecar_resource_requests"),
        ignored("sidecar_resource_limits"),
        ignored("pod_spec"),
        ignored("datum_set_spec"),
        ignored("chunk_spec"),
        ignored("max_queue_size"),
        ignored("cache_size"),
        ignored("enable_stats"),
        ignored("standby"),
        ignored("maximum_expected_uptime"),
        ignored("update"),
        ignored("reprocess"),
        ignored("dry_run"),
        ignored("spec_commit"),
        refused("egress", "pv does not copy outputs out of its store"),
        refused("service", "pipelines are not servers"),
        refused("spout", "an endless pipeline has no datums"),
        refused("s3_out", "output is written to `/pfs/out`"),
        refused("determined", "pv has no Determined cluster"),
        refused("tf_job", "pv has no TensorFlow cluster"),
        status("version"),
        status("stopped"),
        status("state"),
        status("reason"),
        status("recent_error"),
        status("last_job_state"),
        status("parallelism"),
        status("type"),
        status("auth_token"),
        status("created_at"),
        status("workers_requested"),
        status("workers_available"),
        status("unclaimed_tasks"),
        status("worker_rc"),
        status("job_counts"),
        status("user_spec_json"),
        status("effective_spec_json"),
    ],
};

pub(super) static PIPELINE: Object = Object {
    name: "pipeline",
    fields: &[acts("name", Shape::Text, "name of the pipeline and of its output repository"), PROJECT],
};

pub(super) static METADATA: Object = Object {
    name: "metadata",
    fields: &[acts("annotations", Shape::TextMap, "by key"), acts("labels", Shape::TextMap, "by key")],
};

pub(super) static TRANSFORM: Object = Object {
    name: "transform",
    fields: &[
        acts("image", Shape::Text, "container image (the setting `default_image`)"),
        acts("cmd", TEXTS, "program and arguments, without a shell (the image's entrypoint)"),
        acts("stdin", TEXTS, "lines for the program's standard input"),
        acts("env", Shape::TextMap, "environment variables"),
        acts("user", Shape::Text, "user name or id (the image's)"),
        acts("working_dir", Shape::Text, "absolute path inside the image (the image's)"),
        acts("code", Shape::Text, "directory, relative to this file, mounted read-only at `code_path`"),
        acts("code_path", Shape::Text, "absolute path of `code` in the sandbox, unused by the image (`/code`)"),
        acts("network", Shape::OneOf(&["none", "default"]), "network access of user code (the setting `network`)"),
        acts("accept_return_code", Shape::List(&Shape::Integer(0, 255)), "exit codes that count as success, besides 0"),
        acts("err_cmd", TEXTS, "command to run after the last failed try; if it exits with 0, the datum is recovered"),
        acts("err_stdin", TEXTS, "lines for the standard input of `err_cmd`"),
        acts("secrets", Shape::List(&Shape::Object(&SECRET)), "secrets for user code"),
        acts("image_pull_secrets", TEXTS, "a cluster's secrets with logins for the registry (executor `kubernetes`)"),
        ignored("debug"),
        ignored("dockerfile"),
        ignored("memory_volume"),
        refused("datum_batching", "each datum is a separate execution"),
    ],
};

pub(super) static PARALLELISM: Object = Object {
    name: "parallelism_spec",
    fields: &[
        acts("constant", COUNT, "datums at a time"),
        ignored("strategy").harmless("CONSTANT"),
        refused("coefficient", "pv has no nodes to count; write `constant`"),
    ],
};

/// The input fields that determine its kind.
pub(super) static INPUT: Object = Object {
    name: "input",
    fields: &[
        acts("pfs", Shape::Object(&PFS), "one repository"),
        acts("atom", Shape::Object(&PFS), "the old name of `pfs`"),
        acts("cross", Shape::List(&Shape::Object(&INPUT)), "every combination of datums of these inputs"),
        acts("union", Shape::List(&Shape::Object(&INPUT)), "the datums of all these inputs"),
        acts(
            "join",
            Shape::List(&Shape::Object(&INPUT)),
            "every combination of datums of these inputs with the same key",
        ),
        acts("group", Shape::List(&Shape::Object(&INPUT)), "one datum for each key, with all matches of these inputs"),
        acts("cron", Shape::Object(&CRON), "ticks of a schedule"),
        refused("git", "commit the files with `pv put`"),
    ],
};

pub(super) static PFS: Object = Object {
    name: "pfs",
    fields: &[
        acts("repo", Shape::Text, "repository"),
        acts("name", Shape::Text, "directory below `/pfs` and environment variable (the repository's name)"),
        acts("branch", Shape::Text, "branch (the store's default branch)"),
        acts("glob", Shape::Text, "each match is a datum"),
        acts("reference", Shape::Boolean, "whether changes of this input start no execution (false)"),
        acts("join_on", Shape::Text, "join key, from the glob's captures, as in `$1`"),
        acts("outer_join", Shape::Boolean, "whether to keep a match without a partner (false)"),
        acts("group_by", Shape::Text, "group key, from the glob's captures, as in `$1`"),
        acts("empty_files", Shape::Boolean, "whether to provide files without content (false)"),
        acts("lazy", Shape::Boolean, "accepted, without effect"),
        acts("trigger", Shape::Object(&TRIGGER), "when to use new commits of the branch (at once)"),
        acts("propagation_spec", Shape::Object(&PROPAGATION), "whether new commits start jobs"),
        PROJECT,
        refused("s3", "input files are below `/pfs`"),
        refused("repo_type", "only files of a repository can be read").harmless("user"),
        refused("commit", "use a branch whose head is that commit"),
    ],
};

pub(super) static TRIGGER: Object = Object {
    name: "trigger",
    fields: &[
        acts("branch", Shape::Text, "branch that provides the commits (the input's)"),
        acts("all", Shape::Boolean, "whether all conditions must hold (false: one is enough)"),
        acts("rate_limit_spec", Shape::Text, "schedule that must have ticked since the last time"),
        acts("size", Shape::Text, "new bytes required since the last time, as in `1G`"),
        acts("commits", COUNT, "new commits required since the last time"),
        acts("cron_spec", Shape::Text, "schedule at which new commits are used; excludes other conditions"),
    ],
};

pub(super) static PROPAGATION: Object = Object {
    name: "propagation_spec",
    fields: &[acts("never", Shape::Boolean, "whether new commits start no job (false)")],
};

pub(super) static CRON: Object = Object {
    name: "cron",
    fields: &[
        acts("name", Shape::Text, "directory below `/pfs` and environment variable"),
        acts("repo", Shape::Text, "repository of the ticks (PIPELINE_NAME)"),
        acts("spec", Shape::Text, "schedule in UTC: five fields, `@daily`, `@every 10s` or `@never`"),
        acts("start", Shape::Text, "time of the first tick at the earliest (the time of the apply)"),
        acts("overwrite", Shape::Boolean, "whether a tick replaces the previous one (false)"),
        PROJECT,
        refused("commit", "ticks are commits of the pipeline's own repository"),
    ],
};

pub(super) static SECRET: Object = Object {
    name: "secrets",
    fields: &[
        acts("name", Shape::Text, "name of the secret"),
        acts("key", Shape::Text, "one key of the secret (all)"),
        acts("env_var", Shape::Text, "environment variable for the value of `key`"),
        acts("mount_path", Shape::Text, "absolute directory with a file for each key"),
    ],
};

const CPU: Field = acts("cpu", Shape::Text, "cores, as in `500m`");
const DISK: Field = acts("disk", Shape::Text, "bytes of disk");
const GPUS: Field = acts("gpu", Shape::Object(&GPU), "graphics processors");

pub(super) static REQUESTS: Object = Object {
    name: "resource_requests",
    fields: &[CPU, acts("memory", Shape::Text, "bytes of memory, as in `2Gi`"), DISK, GPUS],
};

pub(super) static LIMITS: Object = Object {
    name: "resource_limits",
    fields: &[
        CPU,
        acts("memory", Shape::TextOr(&GROWTH), "bytes of memory, as in `2Gi`, or how the limit of a datum grows"),
        DISK,
        GPUS,
    ],
};

pub(super) static GROWTH: Object = Object {
    name: "memory",
    fields: &[
        acts("start", Shape::Text, "limit that each datum begins with, as in `2Gi`"),
        acts("factor", Shape::Text, "what the limit is multiplied by after it killed a try, from 1.1 to 10"),
        acts("max", Shape::Text, "limit beyond which it does not grow, as in `32Gi`"),
    ],
};

pub(super) static GPU: Object = Object {
    name: "gpu",
    fields: &[acts("type", Shape::Text, "kind (`nvidia.com/gpu`)"), acts("number", COUNT, "how many")],
};

pub(super) static SCHEDULING: Object = Object {
    name: "scheduling_spec",
    fields: &[
        acts("node_selector", Shape::TextMap, "labels that a node must have"),
        acts("priority_class_name", Shape::Text, "priority class of the cluster (the cluster's default)"),
    ],
};

pub(super) static TOLERATION: Object = Object {
    name: "tolerations",
    fields: &[
        acts("key", Shape::Text, "key of the taint (every taint, with `operator: EXISTS`)"),
        acts(
            "operator",
            Shape::OneOf(&["EXISTS", "EQUAL", "EMPTY", "Exists", "Equal"]),
            "how the value is compared (EQUAL)",
        ),
        acts("value", Shape::Text, "value of the taint"),
        acts(
            "effect",
            Shape::OneOf(&[
                "NO_SCHEDULE",
                "PREFER_NO_SCHEDULE",
                "NO_EXECUTE",
                "ALL_EFFECTS",
                "NoSchedule",
                "PreferNoSchedule",
                "NoExecute",
            ]),
            "effect of the taint (all)",
        ),
        acts(
            "toleration_seconds",
            Shape::Integer(0, u32::MAX as i64),
            "how long a pod stays when the taint is added, with `effect: NO_EXECUTE` (for ever)",
        ),
    ],
};

/// Every kind of object.
pub(super) static OBJECTS: [&Object; 17] = [
    &SPEC,
    &PIPELINE,
    &METADATA,
    &TRANSFORM,
    &SECRET,
    &PARALLELISM,
    &LIMITS,
    &REQUESTS,
    &GPU,
    &SCHEDULING,
    &TOLERATION,
    &INPUT,
    &PFS,
    &TRIGGER,
    &PROPAGATION,
    &CRON,
    &GROWTH,
];

/// `working_dir` from `workingDir`; a name in `snake_case` stays as it is.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, c) in name.char_indices() {
        if c.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// `workingDir` from `working_dir`.
pub(super) fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut camel, part| {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel + letters.as_str()
    })
}

impl Object {
    /// Whether this is the spec itself, not a field of it.
    pub(super) fn is_spec(&self) -> bool {
        self.name.is_empty()
    }

    /// The field with this key, in either style.
    pub(super) fn field(&self, key: &str) -> Option<&'static Field> {
        // `workerRc` and `tfJob` round-trip; a capital first letter, or a `_` before one, is not a style used by Pachyderm
        self.fields
            .iter()
            .find(|field| field.name == key || (field.name.contains('_') && is_camel_case_of(key, field.name)))
    }
}

/// Whether `key` is `camel_case(name)`. Every key of a file is compared with every field, so this does not allocate.
fn is_camel_case_of(key: &str, name: &str) -> bool {
    let mut is_start = false;
    let mut letters = key.bytes();
    for letter in name.bytes() {
        if letter == b'_' {
            is_start = true;
            continue;
        }
        let expected = if is_start { letter.to_ascii_uppercase() } else { letter };
        is_start = false;
        if letters.next() != Some(expected) {
            return false;
        }
    }
    letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_in_both_styles_and_in_no_other() {
        for object in OBJECTS {
            for field in object.fields {
                let camel = camel_case(field.name);
                assert_eq!(object.field(field.name).map(|found| found.name), Some(field.name));
                assert_eq!(object.field(&camel).map(|found| found.name), Some(field.name), "{camel}");
                assert!(
                    !is_camel_case_of(&camel[1..], field.name) && !is_camel_case_of(&format!("{camel}x"), field.name)
                );
            }
        }
        assert!(SPEC.field("DatumTries").is_none() && SPEC.field("datum_Tries").is_none());
    }
}
