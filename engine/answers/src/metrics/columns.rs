//! Columns and their order: the names of parameters, which of them differ, whether high or low is good for a metric, the order of rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::upstream::{Parameter, Sort, named};
use super::{Metric, Question, Row, Table};
use engine::{EngineError, Result};

/// Words in names of metrics where higher is better.
const HIGH: [&str; 30] = [
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "f1",
    "precision",
    "recall",
    "score",
    "map",
    "ap",
    "iou",
    "dice",
    "jaccard",
    "r2",
    "bleu",
    "rouge",
    "psnr",
    "ssim",
    "ndcg",
    "mrr",
    "hits",
    "sensitivity",
    "specificity",
    "kappa",
    "mcc",
    "correct",
    "tpr",
    "tnr",
    "gain",
    "throughput",
];
/// Words in names of metrics where lower is better; they take precedence over the others, as in `error_score`.
const LOW: [&str; 27] = [
    "loss",
    "err",
    "error",
    "errors",
    "rmse",
    "mse",
    "mae",
    "mape",
    "nll",
    "perplexity",
    "ppl",
    "seconds",
    "time",
    "latency",
    "duration",
    "ms",
    "wer",
    "cer",
    "fid",
    "fpr",
    "fnr",
    "brier",
    "ece",
    "deviance",
    "missed",
    "wrong",
    "distance",
];

/// Which values of a metric are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Higher is better.
    Highest,
    /// Lower is better.
    Lowest,
}

impl Goal {
    /// The goal implied by the words of a name: `val_loss`, `topKAccuracy`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let mut words = String::new();
        let mut before = ' ';
        for c in name.chars() {
            if c.is_uppercase() && before.is_lowercase() {
                words.push(' ');
            }
            words.push(if c.is_alphanumeric() { c } else { ' ' });
            before = c;
        }
        let words = words.to_lowercase();
        let has = |known: &[&str]| words.split(' ').any(|word| known.contains(&word));
        if has(&LOW) {
            Some(Self::Lowest)
        } else if has(&HIGH) {
            Some(Self::Highest)
        } else {
            None
        }
    }

    fn is_better(self, one: f64, other: f64) -> bool {
        match self {
            Self::Highest => one > other,
            Self::Lowest => one < other,
        }
    }
}

/// The table for rows with their parameters.
pub(super) fn table(
    found: Vec<(Row, Rc<Vec<Parameter>>)>,
    question: &Question<'_>,
    notes: Vec<String>,
) -> Result<Table> {
    let (mut rows, parameters): (Vec<Row>, Vec<_>) = found.into_iter().unzip();
    let parameters = named(&parameters);
    let sorts: BTreeMap<String, Sort> =
        parameters.iter().flatten().map(|(name, (sort, _))| (name.clone(), *sort)).collect();
    for (row, parameters) in rows.iter_mut().zip(parameters) {
        row.parameters = parameters.into_iter().map(|(name, (_, value))| (name, value)).collect();
    }
    let names = Names::of(&rows);
    let by: Vec<String> = question.by.iter().map(|word| names.find(word)).collect::<Result<_>>()?;
    let metrics = names.metrics(&rows, question)?;
    mark(&mut rows, &metrics);
    sort(&mut rows, &by, &metrics);
    let (parameters, same) = shown(&rows, &sorts, &by);
    Ok(Table { parameters, metrics, same, rows, notes })
}

/// All names that occur in rows.
struct Names {
    parameters: BTreeSet<String>,
    metrics: BTreeSet<String>,
}

impl Names {
    fn of(rows: &[Row]) -> Self {
        let parameters = rows.iter().flat_map(|row| row.parameters.keys().cloned()).collect();
        Self { parameters, metrics: rows.iter().flat_map(|row| row.metrics.keys().cloned()).collect() }
    }

    /// The parameter or metric that a word names: by its whole name, or by its last part if that is unique.
    fn find(&self, word: &str) -> Result<String> {
        one_of(&self.parameters, word).or_else(|| one_of(&self.metrics, word)).ok_or_else(|| {
            let all = self.parameters.iter().chain(&self.metrics);
            unknown(word, "parameter or metric", all)
        })
    }

    /// The metrics that become columns, sorted by name; requested ones in the order of the request.
    fn metrics(&self, rows: &[Row], question: &Question<'_>) -> Result<Vec<Metric>> {
        let find =
            |word: &String| one_of(&self.metrics, word).ok_or_else(|| unknown(word, "metric", self.metrics.iter()));
        let all = |words: &[String]| words.iter().map(find).collect::<Result<Vec<_>>>();
        let (highest, lowest) = (all(question.highest)?, all(question.lowest)?);
        let goal = |name: &String| {
            if highest.contains(name) {
                Some(Goal::Highest)
            } else if lowest.contains(name) {
                Some(Goal::Lowest)
            } else {
                Goal::of_name(name)
            }
        };
        let mut wanted = all(question.only)?;
        if wanted.is_empty() {
            // A metric that only repeats a parameter is shown as that parameter.
            let repeats = |name: &String| {
                rows.iter().all(|row| row.parameters.get(name).is_some_and(|own| Some(own) == row.metrics.get(name)))
            };
            wanted = self.metrics.iter().filter(|name| !repeats(name)).cloned().collect();
        }
        Ok(wanted.into_iter().map(|name| Metric { goal: goal(&name), name }).collect())
    }
}

fn one_of(names: &BTreeSet<String>, word: &str) -> Option<String> {
    if names.contains(word) {
        return Some(word.to_owned());
    }
    let end = format!(".{word}");
    let mut ending = names.iter().filter(|name| name.ends_with(&end) || name.ends_with(&format!(":{word}")));
    match (ending.next(), ending.next()) {
        (Some(one), None) => Some(one.clone()),
        _ => None,
    }
}

fn unknown<'n>(word: &str, what: &str, names: impl Iterator<Item = &'n String> + Clone) -> EngineError {
    let end = format!(".{word}");
    let several: Vec<&str> = names.clone().filter(|name| name.ends_with(&end)).map(String::as_str).collect();
    if several.len() > 1 {
        let what = format!("`{word}` is ambiguous: {}", several.join(", "));
        return EngineError::Usage { what, hint: Some(format!("use a full name, such as {}", several[0])) };
    }
    let all: Vec<&str> = names.map(String::as_str).collect();
    let last_parts = all.iter().map(|name| name.rsplit('.').next().unwrap_or_default());
    let nearest = specs::nearest(word, all.iter().copied().chain(last_parts));
    let hint = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known: {}", all.iter().take(20).copied().collect::<Vec<_>>().join(", ")),
    };
    EngineError::Usage { what: format!("no row has a {what} `{word}`"), hint: Some(hint) }
}

/// Marks in each row the metrics for which it has the best value, if rows differ.
fn mark(rows: &mut [Row], metrics: &[Metric]) {
    for Metric { name, goal } in metrics {
        let Some(goal) = goal else { continue };
        let values: Vec<Option<f64>> = rows.iter().map(|row| row.metrics.get(name).and_then(Value::as_f64)).collect();
        let known = || values.iter().copied().flatten();
        let Some(best) = known().reduce(|best, next| if goal.is_better(next, best) { next } else { best }) else {
            continue;
        };
        if known().all(|value| !goal.is_better(best, value)) {
            continue;
        }
        for (row, value) in rows.iter_mut().zip(&values) {
            if value.is_some_and(|value| !goal.is_better(best, value)) {
                row.best.push(name.clone());
            }
        }
    }
}

/// Sorts by the requested columns, then by the first metric with a goal (best first), then by time and path.
fn sort(rows: &mut [Row], by: &[String], metrics: &[Metric]) {
    let goals: BTreeMap<&str, Goal> = metrics.iter().filter_map(|one| Some((one.name.as_str(), one.goal?))).collect();
    let first = metrics.iter().find(|metric| metric.goal.is_some());
    rows.sort_by(|one, other| {
        let asked = by.iter().map(|name| match (one.parameters.get(name), other.parameters.get(name)) {
            (None, None) => {
                let goal = goals.get(name.as_str()).copied();
                by_goal(one.metrics.get(name), other.metrics.get(name), goal)
            }
            (one, other) => by_goal(one, other, None),
        });
        let best = first.map_or(Ordering::Equal, |first| {
            by_goal(one.metrics.get(&first.name), other.metrics.get(&first.name), first.goal)
        });
        let asked = asked.fold(Ordering::Equal, Ordering::then);
        let time = other.created_at.cmp(&one.created_at);
        asked.then(best).then(time).then_with(|| one.path.cmp(&other.path))
    });
}

/// Numbers before texts, each in ascending order, or descending if high is good; absent values come last.
fn by_goal(one: Option<&Value>, other: Option<&Value>, goal: Option<Goal>) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(text) if text.parse::<f64>().is_ok() => 0,
        _ => 1,
    };
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(f64::NAN);
    match (one, other) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => rank(one).cmp(&rank(other)).then_with(|| {
            let order =
                if rank(one) == 0 { number(one).total_cmp(&number(other)) } else { text(one).cmp(&text(other)) };
            if goal == Some(Goal::Highest) { order.reverse() } else { order }
        }),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The parameters that become columns, and those with the same value in all rows.
fn shown(rows: &[Row], sorts: &BTreeMap<String, Sort>, by: &[String]) -> (Vec<String>, BTreeMap<String, Value>) {
    let mut same = BTreeMap::new();
    let mut differ: BTreeMap<Sort, Vec<String>> = BTreeMap::new();
    for (name, sort) in sorts {
        let first = rows.first().and_then(|row| row.parameters.get(name));
        // With only one row nothing differs, but its parameters are what the user wants to see.
        let is_column = rows.len() == 1 && *sort == Sort::Given;
        if is_column || rows.iter().any(|row| row.parameters.get(name) != first) {
            differ.entry(*sort).or_default().push(name.clone());
        } else if let Some(value) = first.filter(|_| *sort == Sort::Given) {
            same.insert(name.clone(), value.clone());
        }
    }
    let mut columns: Vec<String> = by.iter().filter(|name| sorts.contains_key(*name)).cloned().collect();
    let given = differ.remove(&Sort::Given).unwrap_or_default();
    // Parameters from files that pipelines wrote are used only if there are no others.
    let made = differ.remove(&Sort::Made).filter(|_| given.is_empty()).unwrap_or_default();
    let versions = differ.remove(&Sort::Version).unwrap_or_default();
    for name in given.into_iter().chain(made).chain(versions) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    same.retain(|name, _| !columns.contains(name));
    (columns, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_good_follows_from_the_words_of_a_name() {
        for (name, goal) in [
            ("accuracy", Some(Goal::Highest)),
            ("val_loss", Some(Goal::Lowest)),
            ("valLoss", Some(Goal::Lowest)),
            ("test.F1", Some(Goal::Highest)),
            ("error_score", Some(Goal::Lowest)),
            ("epochs", None),
            ("glossary", None),
        ] {
            assert_eq!(Goal::of_name(name), goal, "{name}");
        }
    }

    #[test]
    fn numbers_come_in_the_order_of_numbers() {
        let order = |one: Value, other: Value, goal| by_goal(Some(&one), Some(&other), goal);
        assert_eq!(order(9.into(), 10.into(), None), Ordering::Less);
        assert_eq!(order("9".into(), "10".into(), None), Ordering::Less);
        assert_eq!(order(9.into(), 10.into(), Some(Goal::Highest)), Ordering::Greater);
        assert_eq!(order(9.into(), "adam".into(), None), Ordering::Less);
        assert_eq!(by_goal(None, Some(&9.into()), Some(Goal::Highest)), Ordering::Greater);
    }
}
