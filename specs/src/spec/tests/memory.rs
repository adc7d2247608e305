//! Memory limits: fixed ones, ones that grow, and what cannot be meant.

use super::*;

#[test]
fn a_memory_limit_is_an_amount_or_says_how_it_grows() {
    let limit = |text: &str| only(&with(&format!("resource_limits: {{memory: {text}}}"))).resource_limits.memory;
    assert_eq!(limit("2Gi"), Some(MemoryLimit::Fixed("2Gi".parse().unwrap())));
    assert_eq!(limit("{}"), None);
    let [start, factor, max] = ["2Gi", "1.5", "32Gi"].map(|text| text.parse().unwrap());
    let growing = MemoryGrowth { start, factor, max };
    assert_eq!(limit("{start: 2Gi, factor: 1.5, max: 32Gi}"), Some(MemoryLimit::Growing(growing.clone())));
    let camel = "resourceLimits:\n  memory:\n    max: 32Gi\n    start: '2Gi'\n    factor: \"1.5\"\n";
    let spec = only(&with(camel));
    assert_eq!(spec.resource_limits.memory, Some(MemoryLimit::Growing(growing)));

    let normal = canonical(&spec);
    assert!(
        normal.ends_with(r#","resource_limits":{"memory":{"start":"2Gi","factor":"1.5","max":"32Gi"}}}"#),
        "{normal}"
    );
    assert_eq!(only(&normal), spec);
    assert_eq!(serde_json::from_str::<PipelineSpec>(&normal).unwrap(), spec);
    let fixed = canonical(&only(&with("resource_limits: {memory: 2Gi}")));
    assert!(fixed.ends_with(r#","resource_limits":{"memory":"2Gi"}}"#), "as before: {fixed}");
}

#[test]
fn the_least_and_the_largest_factor_are_allowed() {
    for factor in ["1.1", "2", "10", "10.0", "'2'"] {
        only(&with(&format!("resource_limits: {{memory: {{start: 1Mi, factor: {factor}, max: 2Mi}}}}")));
    }
}

#[test]
fn what_cannot_be_meant_by_a_memory_limit_is_said_at_its_line() {
    let said: Vec<String> = [
        "resource_limits: {memory: lots}",
        "resource_limits: {memory: [1Gi]}",
        "resource_limits: {memory: {start: 2Gi}}",
        "resource_limits: {memory: {start: 0, factor: 2, max: 2Gi}}",
        "resource_limits: {memory: {start: 2Gi, factor: 1, max: 32Gi}}",
        "resource_limits: {memory: {start: 2Gi, factor: 10.5, max: 32Gi}}",
        "resource_limits: {memory: {start: 2Gi, factor: twice, max: 32Gi}}",
        "resource_limits: {memory: {start: 2Gi, factor: 2, max: 2Gi}}",
        "resource_limits: {memory: {start: 2Gi, factor: 2, max: 1G}}",
        "resource_limits: {memory: {start: 2Gi, factor: 2, max: all}}",
        "resource_limits: {memory: {start: 2Gi, factor: 2, maxi: 32Gi}}",
        "resource_requests: {memory: {start: 2Gi, factor: 2, max: 32Gi}}",
    ]
    .iter()
    .map(|text| report(&parse(&with(text))))
    .collect();
    insta::assert_snapshot!(said.join(""), @r"
    error: p.yml:4:27: `memory`: `lots` is not an amount: write a number, alone or with one of `m k M G T P Ki Mi Gi Ti Pi`
    error: p.yml:4:27: `memory`: expected text, got a list
    error: p.yml:4:27: `memory`: a limit that grows needs `factor` and `max`
      hint: write `memory: {start: 2Gi, factor: 2, max: 32Gi}`, or `memory: 2Gi` for a fixed limit
    error: p.yml:4:35: `start`: expected an amount of more than zero, as in `2Gi`, got `0`
    error: p.yml:4:48: `factor`: expected a number from 1.1 to 10, got `1`
    error: p.yml:4:48: `factor`: expected a number from 1.1 to 10, got `10.5`
    error: p.yml:4:48: `factor`: expected a number from 1.1 to 10, got `twice`
    error: p.yml:4:56: `max`: `2Gi` is not more than `start`, which is `2Gi`
      hint: for a limit that does not grow write `memory: 2Gi`
    error: p.yml:4:56: `max`: `1G` is not more than `start`, which is `2Gi`
      hint: for a limit that does not grow write `memory: 2Gi`
    error: p.yml:4:56: `max`: expected an amount of more than zero, as in `32Gi`, got `all`
    error: p.yml:4:27: `memory`: a limit that grows needs `max`
      hint: write `memory: {start: 2Gi, factor: 2, max: 32Gi}`, or `memory: 2Gi` for a fixed limit
    error: p.yml:4:51: unknown field `maxi` in `memory` of pipeline `detect`
      hint: did you mean `max`?
    error: p.yml:4:29: `memory`: expected text, got a mapping
    ");
}
