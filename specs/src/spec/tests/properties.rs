//! Properties of every spec: the canonical form can be read back, and nothing makes the reader panic.

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn leaves()(n in 1usize..4, globs in proptest::collection::vec("/[a-z*?]{0,6}", 4), named in any::<[bool; 4]>(),
                branches in proptest::collection::vec(proptest::option::of("[a-z]{1,5}"), 4), reference in any::<[bool; 4]>()) -> Vec<PfsInput> {
        (0..n).map(|i| {
            let plain = PfsInput::new(format!("repo{i}").parse().unwrap(), globs[i].parse().unwrap());
            PfsInput {
                name: if named[i] { format!("input_{i}") } else { format!("repo{i}") },
                branch: branches[i].as_ref().map(|branch| branch.parse().unwrap()),
                reference: reference[i],
                empty_files: reference[n - 1 - i],
                propagation_never: named[n - 1 - i],
                trigger: (named[0] && i == 0).then(|| Trigger { commits: Some(3), size: "1G".parse().ok(), all: true, ..Trigger::default() }),
                ..plain
            }
        }).collect()
    }
}
prop_compose! {
    fn transforms()(
        image in proptest::option::of("[a-z]{1,8}:[0-9]"), cmd in proptest::collection::vec("\\PC{1,8}", 1..3), stdin in proptest::collection::vec("\\PC{0,8}", 0..2),
        env in proptest::collection::btree_map("[A-Z]{1,4}", "\\PC{0,6}", 0..3), user in proptest::option::of("[a-z0-9]{1,4}"),
        working_dir in proptest::option::of("/[a-z]{1,4}"), code in proptest::option::of("[a-z]{1,4}"),
        network in proptest::option::of(prop_oneof![Just(Network::None), Just(Network::Default)]), accept_return_code in proptest::collection::btree_set(1..256, 0..3),
        err_cmd in proptest::collection::vec("\\PC{1,8}", 0..2), key in "[a-z]{1,4}", secret in any::<[bool; 2]>(),
    ) -> Transform {
        let err_stdin = if err_cmd.is_empty() { Vec::new() } else { stdin.clone() };
        let secret = secret[0].then(|| SecretUse {
            name: "mail".to_owned(),
            key: Some(key.clone()),
            env_var: secret[1].then_some(key),
            mount_path: Some("/secrets".to_owned()),
        });
        let secrets = secret.into_iter().collect();
        let image_pull_secrets = user.clone().into_iter().collect();
        let code_path = code.as_ref().map(|code| format!("/app/{code}"));
        Transform { image, cmd, stdin, env, user, working_dir, code, code_path, network, accept_return_code, err_cmd, err_stdin, secrets, image_pull_secrets }
    }
}
prop_compose! {
    fn specs()(leaves in leaves(), nested in 0..6, transform in transforms(), description in "\\PC{0,12}",
               labels in proptest::collection::btree_map("[a-z]{1,4}", "\\PC{0,6}", 0..2),
               parallelism in proptest::option::of(1u32..100), datum_tries in 1u32..6, branch in proptest::option::of("[a-z]{1,5}")) -> PipelineSpec {
        let mut arms: Vec<_> = leaves.into_iter().map(Input::Pfs).collect();
        let input = match nested {
            0 if arms.len() == 1 => arms.remove(0),
            0 | 1 => Input::Cross(arms),
            2 => Input::Cross(vec![Input::Cross(arms)]),
            3 => Input::Union(vec![Input::Cross(arms.clone()), Input::Union(arms)]),
            4 => {
                let mut cron = CronInput::new("tick".to_owned(), "detect_tick".parse().unwrap(), "@every 10s".parse().unwrap());
                cron.start = Some(jiff::Timestamp::UNIX_EPOCH);
                cron.overwrite = true;
                arms.push(Input::Cron(cron));
                Input::Cross(arms)
            }
            _ => {
                let mut keyed = PfsInput::new("keyed".parse().unwrap(), "/(*)-(*)".parse().unwrap());
                keyed.join_on = "$2$1".parse().ok();
                keyed.outer_join = arms.len() > 1;
                let grouped = PfsInput { name: "grouped".to_owned(), join_on: None, outer_join: false, group_by: "$1".parse().ok(), ..keyed.clone() };
                arms.push(Input::Join(vec![Input::Pfs(keyed)]));
                arms.push(Input::Group(vec![Input::Pfs(grouped)]));
                Input::Cross(arms)
            }
        };
        PipelineSpec {
            name: "detect".parse().unwrap(), description, metadata: Metadata { labels, ..Metadata::default() },
            transform, input, parallelism, datum_tries, output_branch: branch.map(|branch| branch.parse().unwrap()),
            datum_timeout: (datum_tries > 3).then(|| "30s".parse().unwrap()), job_timeout: (datum_tries > 4).then(|| "1h30m".parse().unwrap()),
            reprocess: if datum_tries > 2 { Reprocess::EveryJob } else { Reprocess::UntilSuccess }, salt: (nested == 1).then(|| "x".to_owned()),
            resource_requests: Resources { cpu: "500m".parse().ok(), ..Resources::default() },
            resource_limits: Limits { memory: memory_limit(datum_tries), gpu: (nested == 2).then_some(Gpu { kind: None, number: 1 }), ..Limits::default() },
            autoscaling: nested == 3,
            placement: if nested == 4 { placement() } else { Placement::default() },
        }
    }
}

/// One with every field.
fn placement() -> Placement {
    let tolerations = vec![
        Toleration { operator: Some(TolerationOperator::Exists), ..Toleration::default() },
        Toleration {
            key: Some("spot".to_owned()),
            value: Some("yes".to_owned()),
            effect: Some(TaintEffect::NoExecute),
            toleration_seconds: Some(0),
            ..Toleration::default()
        },
    ];
    let node_selector = [("disk".to_owned(), "ssd".to_owned())].into();
    let scheduling = Scheduling { node_selector, priority_class_name: Some("high".to_owned()) };
    Placement { scheduling, tolerations, pod_patch: Some(r#"[{"op":"test","path":"","value":null}]"#.to_owned()) }
}

/// None, a fixed one, or one that grows.
fn memory_limit(number: u32) -> Option<MemoryLimit> {
    match number % 3 {
        0 => None,
        1 => Some(MemoryLimit::Fixed("1Gi".parse().unwrap())),
        _ => {
            let [start, factor, max] = ["1Gi", "1.5", "32Gi"].map(|text| text.parse().unwrap());
            Some(MemoryLimit::Growing(MemoryGrowth { start, factor, max }))
        }
    }
}

proptest! {
    #[test]
    fn the_canonical_form_is_read_back_by_serde_and_as_a_spec_file(spec in specs()) {
        let document = canonical(&spec);
        prop_assert_eq!(&serde_json::from_str::<PipelineSpec>(&document).unwrap(), &spec);
        let set = parse(&document);
        prop_assert!(!set.has_errors(), "{}\n{}", document, report(&set));
        prop_assert_eq!(&set.specs[0].spec, &spec);
        let pretty = serde_json::to_string_pretty(&spec).unwrap().replace("  ", "\t");
        if !document.contains("  ") {
            prop_assert_eq!(&parse(&pretty).specs[0].spec, &spec);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-c:{}\\[\\]\"'&*<> \t\n,|#-]{0,60}") {
        parse(&text);
    }

    #[test]
    fn no_value_of_any_field_makes_it_panic(document in documents()) {
        let set = parse(&document.to_string());
        prop_assert!(set.has_errors() || !set.specs.is_empty());
    }
}

/// Any field in either style, with any value, inside any other.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    let fields = fields::OBJECTS.iter().flat_map(|object| object.fields);
    let names: Vec<_> = fields.flat_map(|field| [field.name.to_owned(), fields::camel_case(field.name)]).collect();
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i8>().prop_map(Into::into),
        "[a-z/*_A-Z\\\\é]{0,4}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(5, 60, 6, move |inner| {
        let key = prop_oneof![9 => proptest::sample::select(names.clone()), 1 => "[a-zA-Z_é]{0,6}"];
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            4 => proptest::collection::btree_map(key, inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    });
    proptest::collection::vec(value, 1..3).prop_map(Into::into)
}
