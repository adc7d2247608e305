//! Properties of every comparison: only equal files are reported as equal, swapping the sides swaps the result, and order does not matter.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod common;

use common::compared;
use compare::{Detail, Options, TableDiff};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn detail(name: &str, old: &str, new: &str, key: &[&str]) -> Detail {
    let options = Options { key: key.iter().map(ToString::to_string).collect(), ..Options::default() };
    compared(name, old.as_bytes(), new.as_bytes(), &options).detail
}

fn table(old: &str, new: &str, key: &[&str]) -> TableDiff {
    match detail("a.csv", old, new, key) {
        Detail::Table(found) => found,
        other => panic!("{other:?}"),
    }
}

/// Changed, added, removed, and whether a list was reordered.
fn values(old: &Value, new: &Value) -> (usize, usize, usize, bool) {
    match detail("a.json", &old.to_string(), &new.to_string(), &[]) {
        Detail::Metrics(found) => {
            let reordered = found.lists.iter().any(|list| list.reordered);
            (found.changed, found.added, found.removed, reordered)
        }
        other => panic!("{other:?}"),
    }
}

/// Any value, with few different leaves, so that some are equal.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4_u8).prop_map(Value::from),
        Just(json!(0.5)),
        "[ab1]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[abc.]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A value and another that is often almost the same.
fn two_values() -> impl Strategy<Value = (Value, Value)> {
    prop_oneof![
        (any_value(), any_value()),
        any_value().prop_map(|value| (value.clone(), value)),
        (prop::collection::vec(any_value(), 0..6), any::<prop::sample::Index>(), any_value()).prop_map(
            |(items, at, item)| {
                let mut new = items.clone();
                new.insert(at.index(items.len() + 1), item);
                (Value::from(items), Value::from(new))
            }
        ),
        (records(), records()).prop_map(|(old, new)| (Value::from(old), Value::from(new))),
    ]
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let record = (0..6_u8, prop::sample::select(vec!["x", "y"]), 0..3_u8);
    prop::collection::vec(record.prop_map(|(id, text, n)| json!({"id": id, "text": text, "n": n})), 0..7)
}

/// Rows of a table with few different cells.
fn rows() -> impl Strategy<Value = Vec<(u8, String, String)>> {
    let number = prop::sample::select(vec!["1", "1.0", "0.5", "true", "True", "x", ""]);
    let text = prop::sample::select(vec!["a", "b", "c,d", "e\"f"]);
    prop::collection::vec((0..6_u8, text.prop_map(str::to_owned), number.prop_map(str::to_owned)), 0..9)
}

fn csv(rows: &[(u8, String, String)]) -> String {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let rows = rows.iter().map(|(id, text, number)| format!("{id},{},{}\n", quoted(text), quoted(number)));
    format!("id,text,number\n{}", rows.collect::<String>())
}

/// The meaning of a row, whatever its notation.
fn meaning(row: &(u8, String, String)) -> (u8, String, String) {
    let number = match row.2.as_str() {
        "1.0" => "1".to_owned(),
        "True" => "true".to_owned(),
        other => other.to_owned(),
    };
    (row.0, row.1.clone(), number)
}

/// Keys by their meaning: of two equal rows in different notation, either may be the added one.
fn meanings(keys: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let plain = |cell: String| match cell.as_str() {
        "1.0" => "1".to_owned(),
        "True" => "true".to_owned(),
        _ => cell,
    };
    sorted(keys.into_iter().map(|key| key.into_iter().map(plain).collect()).collect())
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

fn shuffled<T: Clone>(items: &[T], seed: u64) -> Vec<T> {
    let mut shuffled = items.to_vec();
    let mut state = seed | 1;
    for at in (1..shuffled.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        shuffled.swap(at, (state >> 33) as usize % (at + 1));
    }
    shuffled
}

fn counts(found: &TableDiff) -> [u64; 4] {
    [found.rows_added, found.rows_removed, found.rows_changed, found.cells_changed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn values_are_equal_exactly_when_nothing_is_told((old, new) in two_values()) {
        let (changed, added, removed, reordered) = values(&old, &new);
        prop_assert_eq!((changed, added, removed, reordered) == (0, 0, 0, false), old == new, "{} {}", old, new);
    }

    #[test]
    fn values_the_other_way_round_are_the_other_way_round((old, new) in two_values()) {
        let (changed, added, removed, reordered) = values(&old, &new);
        prop_assert_eq!(values(&new, &old), (changed, removed, added, reordered));
    }

    #[test]
    fn rows_are_equal_exactly_when_nothing_is_told(old in rows(), new in rows(), shuffle in any::<u64>(), same in any::<bool>()) {
        let new = if same { shuffled(&old, shuffle) } else { new };
        let meanings = |rows: &[(u8, String, String)]| rows.iter().map(meaning).collect::<Vec<_>>();
        let found = table(&csv(&old), &csv(&new), &[]);
        let is_same_set = sorted(meanings(&old)) == sorted(meanings(&new));
        prop_assert_eq!(counts(&found) == [0; 4], is_same_set);
        if is_same_set {
            prop_assert_eq!(found.reordered, meanings(&old) != meanings(&new));
        }
    }

    #[test]
    fn rows_the_other_way_round_are_the_other_way_round(old in rows(), new in rows(), by_id in any::<bool>()) {
        let key: &[&str] = if by_id { &["id"] } else { &[] };
        let [added, removed, changed, cells] = counts(&table(&csv(&old), &csv(&new), key));
        prop_assert_eq!(counts(&table(&csv(&new), &csv(&old), key)), [removed, added, changed, cells]);
    }

    #[test]
    fn pairing_does_not_depend_on_order(old in rows(), new in rows(), seeds in any::<(u64, u64)>(), by_id in any::<bool>()) {
        let key: &[&str] = if by_id { &["id"] } else { &[] };
        // Without a key and with equal counts, the remaining rows are paired by their number.
        prop_assume!(by_id || old.len() != new.len());
        let one = table(&csv(&old), &csv(&new), key);
        let other = table(&csv(&shuffled(&old, seeds.0)), &csv(&shuffled(&new, seeds.1)), key);
        prop_assert_eq!(counts(&one)[..3].to_vec(), counts(&other)[..3].to_vec());
        prop_assert_eq!(&one.key, &other.key);
        if !one.key.is_empty() {
            prop_assert_eq!(meanings(one.added), meanings(other.added));
            prop_assert_eq!(meanings(one.removed), meanings(other.removed));
        }
    }

    #[test]
    fn records_are_found_again_wherever_they_stand(old in records(), new in records(), seeds in any::<(u64, u64)>()) {
        let (changed, added, removed, _) = values(&Value::from(old.clone()), &Value::from(new.clone()));
        let other = values(&Value::from(shuffled(&old, seeds.0)), &Value::from(shuffled(&new, seeds.1)));
        if old.len() == new.len() {
            return Ok(()); // Without a key, what is left is paired by number.
        }
        prop_assert_eq!((changed, added, removed), (other.0, other.1, other.2));
    }

    /// Nothing is reported about what was not read, and what is left out is counted.
    #[test]
    fn limits_change_what_is_told_and_not_what_is_counted(
        (old, new) in two_values(),
        old_lines in prop::collection::vec("[ab]{0,2}\n", 0..12),
        new_lines in prop::collection::vec("[ab]{0,2}\n", 0..12),
        most in 0..4_usize,
    ) {
        let mut narrow = Options::default();
        (narrow.limits.listed, narrow.limits.text_lines) = (most, most);
        let (one, other) = (old.to_string(), new.to_string());
        let both = [Options::default(), narrow.clone()].map(|options| {
            match compared("a.json", one.as_bytes(), other.as_bytes(), &options).detail {
                Detail::Metrics(found) => found,
                other => panic!("{other:?}"),
            }
        });
        let counts = both.each_ref().map(|found| [found.changed, found.added, found.removed, found.unchanged]);
        prop_assert_eq!(counts[0], counts[1]);
        prop_assert_eq!(both[1].values.as_slice(), &both[0].values[..both[0].values.len().min(most)]);
        prop_assert_eq!(both[0].lists.len(), both[1].lists.len() + both[1].left_out);
        let (one, other) = (old_lines.concat(), new_lines.concat());
        let both = [Options::default(), narrow].map(|options| {
            match compared("a.txt", one.as_bytes(), other.as_bytes(), &options).detail {
                Detail::Text(found) => found,
                other => panic!("{other:?}"),
            }
        });
        let counts = both.each_ref().map(|found| [found.lines_added, found.lines_removed]);
        let told = both.each_ref().map(|found| found.hunks.iter().map(|hunk| hunk.lines.len() as u64).sum::<u64>());
        prop_assert_eq!(counts[0], counts[1]);
        prop_assert!(told[1] <= most as u64 && told[1] + both[1].lines_left_out >= counts[1][0] + counts[1][1]);
        prop_assert_eq!(told[1] == told[0], both[1].lines_left_out == 0);
    }

    /// The lines shown of a text lead from one side to the other.
    #[test]
    fn a_difference_of_texts_is_a_way_from_one_to_the_other(
        old in prop::collection::vec("[ab]{0,2}", 0..12),
        new in prop::collection::vec("[ab]{0,2}", 0..12),
        ends in any::<(bool, bool)>(),
        held in prop::sample::select(vec![2_usize, 5, 1 << 20]),
    ) {
        let file = |lines: &[String], has_end: bool| lines.join("\n") + if has_end && !lines.is_empty() { "\n" } else { "" };
        let (old, new) = (file(&old, ends.0), file(&new, ends.1));
        let mut options = Options::default();
        options.limits.text_held = held;
        let detail = compared("a.txt", old.as_bytes(), new.as_bytes(), &options).detail;
        let Detail::Text(found) = detail else { panic!("{detail:?}") };
        prop_assert_eq!(found.hunks.is_empty(), old == new);
        let old_lines: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut at, mut made) = (0, String::new());
        for hunk in &found.hunks {
            let start = hunk.old_start as usize - usize::from(hunk.old_lines > 0);
            made.extend(old_lines[at..start].iter().copied());
            at = start;
            for line in &hunk.lines {
                let (sign, text) = line.split_at(1);
                match sign {
                    " " => { made.push_str(text); made.push('\n'); at += 1; }
                    "-" => at += 1,
                    "+" => { made.push_str(text); made.push('\n'); }
                    _ if made.ends_with('\n') => {
                        // A remark belongs to the line before it: on the new side it removes the line ending.
                        let before = hunk.lines.iter().take_while(|other| !std::ptr::eq(*other, line)).last().unwrap();
                        if !before.starts_with('-') { made.pop(); }
                    }
                    _ => {}
                }
            }
        }
        made.extend(old_lines[at..].iter().copied());
        prop_assert_eq!(made, new.clone());
        if held > 100 {
            let detail = compared("a.txt", new.as_bytes(), old.as_bytes(), &options).detail;
            let Detail::Text(back) = detail else { panic!("{detail:?}") };
            prop_assert_eq!((back.lines_added, back.lines_removed), (found.lines_removed, found.lines_added));
        }
    }
}
