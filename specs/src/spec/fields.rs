//! Every field of a spec, and what becomes of it: the one table that reading, messages and the JSON Schema are made of.
//!
//! A field that acts is read in `read`.

/// A kind of mapping in a spec.
pub(super) struct Object {
    /// The field that holds it; empty for the spec itself.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of an object, in `snake_case`.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) shape: Shape,
    /// For the schema.
    pub(super) about: &'static str,
    /// A value besides null, `false`, empty text and an empty list or mapping that asks for nothing.
    pub(super) harmless: &'static str,
}

/// What becomes of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is read.
    Acts,
    /// Results cannot differ, so it is ignored with a warning.
    Ignored,
    /// The same, for this value alone; any other is an error, since …
    IgnoredIf(&'static str, &'static str),
    /// What a pipeline had come to when it was exported: ignored with a warning.
    Status,
    /// What editors read and nobody else: nothing is said of it.
    ForEditors,
    /// Results or effects would differ: an error, since …
    Refused(&'static str),
}

/// What a field that acts may hold.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Anything,
    Text,
    Boolean,
    /// A whole number in these bounds.
    Integer(i64, i64),
    OneOf(&'static [&'static str]),
    /// From text to text.
    TextMap,
    List(&'static Shape),
    Object(&'static Object),
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

/// The field of an exported spec whose own fields stand for fields of the spec.
pub(super) const DETAILS: &str = "details";

pub(super) static SPEC: Object = Object {
    name: "",
    fields: &[
        field("$schema", Class::ForEditors),
        acts("pipeline", Shape::Object(&PIPELINE), "which pipeline this is"),
        acts("description", Shape::Text, "for people"),
        acts("metadata", Shape::Object(&METADATA), "free notes that change nothing"),
        acts("transform", Shape::Object(&TRANSFORM), "what is executed for each datum"),
        acts("input", Shape::Object(&INPUT), "what is read"),
        acts("parallelism_spec", Shape::Object(&PARALLELISM), "how many datums of a job run at a time"),
        acts("datum_tries", COUNT, "attempts for each datum (3)"),
        acts("output_branch", Shape::Text, "branch of the output repository (the store's default branch)"),
        acts("datum_timeout", Shape::Text, "longest time of a try of a datum, as in `30s`"),
        acts("job_timeout", Shape::Text, "longest time of a job, as in `1h30m`"),
        acts(
            "reprocess_spec",
            Shape::OneOf(&["until_success", "every_job"]),
            "whether known results are taken (until_success)",
        ),
        acts("salt", Shape::Text, "anything that is to make the transform another one"),
        acts("resource_requests", Shape::Object(&RESOURCES), "what a datum needs at least"),
        acts("resource_limits", Shape::Object(&RESOURCES), "what a datum gets at most"),
        acts("autoscaling", Shape::Boolean, "whether idle sandboxes are closed at once (false)"),
        ignored("sidecar_resource_requests"),
        ignored("sidecar_resource_limits"),
        ignored("scheduling_spec"),
        ignored("tolerations"),
        ignored("pod_spec"),
        ignored("pod_patch"),
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
        refused("egress", "pv copies no output out of its store"),
        refused("service", "pipelines are not servers"),
        refused("spout", "a pipeline without an end has no datums"),
        refused("s3_out", "output is written to `/pfs/out`"),
        refused("determined", "there is no Determined cluster"),
        refused("tf_job", "there is no TensorFlow cluster"),
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

pub(super) static PIPELINE: Object =
    Object { name: "pipeline", fields: &[acts("name", Shape::Text, "its name, and its output repository's"), PROJECT] };

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
        acts("code", Shape::Text, "directory, relative to this file, that is read-only at `code_path`"),
        acts("code_path", Shape::Text, "absolute path of `code` in the sandbox, where the image has nothing (`/code`)"),
        acts("network", Shape::OneOf(&["none", "default"]), "what user code reaches (the setting `network`)"),
        acts("accept_return_code", Shape::List(&Shape::Integer(0, 255)), "exit codes that count as success beside 0"),
        acts("err_cmd", TEXTS, "executed after the last try that failed; its exit 0 makes the datum recovered"),
        acts("err_stdin", TEXTS, "lines for the standard input of `err_cmd`"),
        acts("secrets", Shape::List(&Shape::Object(&SECRET)), "secrets that user code sees"),
        ignored("image_pull_secrets"),
        ignored("debug"),
        ignored("dockerfile"),
        ignored("memory_volume"),
        refused("datum_batching", "each datum is an execution of its own"),
    ],
};

pub(super) static PARALLELISM: Object = Object {
    name: "parallelism_spec",
    fields: &[
        acts("constant", COUNT, "datums at a time"),
        ignored("strategy").harmless("CONSTANT"),
        refused("coefficient", "there are no nodes to count; write `constant`"),
    ],
};

/// The fields of an input that each make it of another kind.
pub(super) static INPUT: Object = Object {
    name: "input",
    fields: &[
        acts("pfs", Shape::Object(&PFS), "one repository"),
        acts("atom", Shape::Object(&PFS), "the old name of `pfs`"),
        acts("cross", Shape::List(&Shape::Object(&INPUT)), "every combination of the datums of these inputs"),
        acts("union", Shape::List(&Shape::Object(&INPUT)), "the datums of all these inputs"),
        acts(
            "join",
            Shape::List(&Shape::Object(&INPUT)),
            "every combination of the datums of these inputs that have one key",
        ),
        acts(
            "group",
            Shape::List(&Shape::Object(&INPUT)),
            "for each key one datum of all that these inputs have of it",
        ),
        acts("cron", Shape::Object(&CRON), "ticks of a clock"),
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
        acts("reference", Shape::Boolean, "whether a change of this input makes no datum run again (false)"),
        acts("join_on", Shape::Text, "key in a join, of the glob's captures, as in `$1`"),
        acts("outer_join", Shape::Boolean, "whether a match without a partner is kept (false)"),
        acts("group_by", Shape::Text, "key in a group, of the glob's captures, as in `$1`"),
        acts("empty_files", Shape::Boolean, "whether files are seen without their content (false)"),
        acts("lazy", Shape::Boolean, "accepted; files are plain files either way"),
        acts("trigger", Shape::Object(&TRIGGER), "when commits of the branch are taken (each as it comes)"),
        acts("propagation_spec", Shape::Object(&PROPAGATION), "whether a new commit starts a job"),
        PROJECT,
        refused("s3", "input files are below `/pfs`"),
        refused("repo_type", "only a repository's files can be read").harmless("user"),
        refused("commit", "name a branch whose head is that commit"),
    ],
};

pub(super) static TRIGGER: Object = Object {
    name: "trigger",
    fields: &[
        acts("branch", Shape::Text, "branch whose commits are taken (the input's)"),
        acts("all", Shape::Boolean, "whether every condition must hold (false: one is enough)"),
        acts("rate_limit_spec", Shape::Text, "schedule that must have come due since the last time"),
        acts("size", Shape::Text, "bytes that must have come since the last time, as in `1G`"),
        acts("commits", COUNT, "commits that must have come since the last time"),
        acts("cron_spec", Shape::Text, "schedule by which whatever is new is taken; no condition beside it"),
    ],
};

pub(super) static PROPAGATION: Object =
    Object { name: "propagation_spec", fields: &[acts("never", Shape::Boolean, "a new commit starts no job (false)")] };

pub(super) static CRON: Object = Object {
    name: "cron",
    fields: &[
        acts("name", Shape::Text, "directory below `/pfs` and environment variable"),
        acts("repo", Shape::Text, "repository of the ticks (PIPELINE_NAME)"),
        acts("spec", Shape::Text, "schedule in UTC: five fields, `@daily`, `@every 10s` or `@never`"),
        acts("start", Shape::Text, "time from which on it ticks (the moment of the apply)"),
        acts("overwrite", Shape::Boolean, "whether a tick replaces the one before (false)"),
        PROJECT,
        refused("commit", "ticks are commits of the pipeline's own repository"),
    ],
};

pub(super) static SECRET: Object = Object {
    name: "secrets",
    fields: &[
        acts("name", Shape::Text, "name of the secret"),
        acts("key", Shape::Text, "which of its keys (all)"),
        acts("env_var", Shape::Text, "environment variable for the value of `key`"),
        acts("mount_path", Shape::Text, "absolute directory with a file for each key"),
    ],
};

pub(super) static RESOURCES: Object = Object {
    name: "resources",
    fields: &[
        acts("cpu", Shape::Text, "cores, as in `500m`"),
        acts("memory", Shape::Text, "bytes of memory, as in `2Gi`"),
        acts("disk", Shape::Text, "bytes of disk"),
        acts("gpu", Shape::Object(&GPU), "graphics processors"),
    ],
};

pub(super) static GPU: Object = Object {
    name: "gpu",
    fields: &[acts("type", Shape::Text, "kind (`nvidia.com/gpu`)"), acts("number", COUNT, "how many")],
};

/// Every kind of object.
pub(super) static OBJECTS: [&Object; 13] = [
    &SPEC,
    &PIPELINE,
    &METADATA,
    &TRANSFORM,
    &SECRET,
    &PARALLELISM,
    &RESOURCES,
    &GPU,
    &INPUT,
    &PFS,
    &TRIGGER,
    &PROPAGATION,
    &CRON,
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

    /// The field that `key` means, in either style.
    pub(super) fn field(&self, key: &str) -> Option<&'static Field> {
        // `workerRc` and `tfJob` come back right; a capital first letter or `_` before one is no style of Pachyderm's
        self.fields
            .iter()
            .find(|field| field.name == key || (field.name.contains('_') && is_camel_case_of(key, field.name)))
    }
}

/// Whether `key` is `camel_case(name)`. Every key of a file is compared with every field, so nothing is allocated.
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
