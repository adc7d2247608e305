//! Charts, as SVG made here: bars of jobs over time, and the times of the jobs of a run.

use answers::job::{JobRow, document_of, job_id};
use maud::{Markup, html};
use repos::documents::JobDocument;
use repos::{Store, Timestamp};
use specs::words::{count, duration};

use crate::address;
use crate::look::Look;
use crate::parts::exact_time;

/// A bar and the space after it; the height of a chart.
const BAR: f64 = 6.0;
const STEP: f64 = 8.0;
const HEIGHT: f64 = 80.0;

/// A job in charts.
#[derive(Debug)]
pub(super) struct Bar {
    row: JobRow,
    document: JobDocument,
}

impl Bar {
    /// Reads the jobs that have ended, and whose details are still stored.
    pub(super) fn read(store: &Store, jobs: &[JobRow]) -> Vec<Self> {
        let mut bars = Vec::new();
        for row in jobs.iter().filter(|row| row.sealed.is_some()) {
            if let Ok(Some(document)) = document_of(store, row) {
                bars.push(Self { row: row.clone(), document });
            }
        }
        bars
    }

    fn seconds(&self) -> f64 {
        self.document.started_at.map_or(0.0, |start| self.document.finished_at.seconds_since(start))
    }

    fn title(&self) -> String {
        let JobDocument { datums_processed, datums_cached, datums_failed, .. } = &self.document;
        format!(
            "{}@{}, {}: {}; {} executed, {} cached, {} failed",
            self.row.pipeline,
            self.row.run.short(8),
            self.document.finished_at.to_string().get(..19).unwrap_or_default().replace('T', " "),
            duration(self.seconds()),
            count(*datums_processed),
            count(*datums_cached),
            count(*datums_failed),
        )
    }
}

/// The duration and the datums of jobs, oldest first; each bar leads to its job.
pub(super) fn bars(look: &Look<'_>, bars: &[Bar]) -> Markup {
    let longest = bars.iter().map(Bar::seconds).fold(0.0, f64::max);
    let most = bars.iter().map(|bar| bar.document.datums_total).max().unwrap_or_default();
    html! {
        div .charts {
            figure {
                figcaption { "Duration, at most " (duration(longest)) }
                (chart(look, bars, &|bar| vec![("took", bar.seconds() / longest.max(1e-9))]))
            }
            figure {
                figcaption { "Datums, at most " (count(most)) ": "
                    span .key-processed { "executed" } ", " span .key-cached { "cached" } ", " span .key-failed { "failed" } }
                (chart(look, bars, &|bar| parts_of(&bar.document, most)))
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture")]
fn parts_of(job: &JobDocument, most: u64) -> Vec<(&'static str, f64)> {
    let part = |number: u64| number as f64 / most.max(1) as f64;
    vec![
        ("processed", part(job.datums_processed + job.datums_recovered)),
        ("cached", part(job.datums_cached)),
        ("failed", part(job.datums_failed)),
    ]
}

/// A chart whose bars have parts, from the ground up: their kind, and their part of the height.
#[expect(clippy::cast_precision_loss, reason = "a picture")]
fn chart(look: &Look<'_>, bars: &[Bar], parts: &dyn Fn(&Bar) -> Vec<(&'static str, f64)>) -> Markup {
    let width = (bars.len() as f64 * STEP).max(STEP * 20.0);
    html! {
        svg .bars viewBox={ "0 0 " (width) " " (HEIGHT + 2.0) } preserveAspectRatio="xMinYMid meet" role="group"
            aria-label="One bar for each job, oldest first" {
            @for (number, bar) in bars.iter().enumerate() {
                @let x = number as f64 * STEP;
                // The table below has the same links.
                a href=(look.link(&address::job(&job_id(&bar.row.pipeline, &bar.row.run)))) tabindex="-1" {
                    title { (bar.title()) }
                    rect .whole x=(x) y="0" width=(STEP) height=(HEIGHT) {}
                    @let stacked = stack(&parts(bar));
                    @for (kind, y, height) in stacked {
                        rect .{ "bar-" (kind) } x=(x) y=(rounded(y)) width=(BAR) height=(rounded(height)) {}
                    }
                }
            }
            rect .ground x="0" y=(HEIGHT) width=(width) height="1" {}
        }
    }
}

/// Where the parts of a bar stand, each on those before it; what is not nothing can be seen.
fn stack(parts: &[(&'static str, f64)]) -> Vec<(&'static str, f64, f64)> {
    let mut top = HEIGHT;
    let mut stacked = Vec::new();
    for (kind, part) in parts.iter().filter(|(_, part)| *part > 0.0) {
        let height = (part * HEIGHT).max(1.5).min(top);
        top -= height;
        stacked.push((*kind, top, height));
    }
    stacked
}

pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A span of time that the bars of [`times`] have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: Timestamp,
    seconds: f64,
}

impl Span {
    /// From a start to the last of these times.
    pub(super) fn new(from: Timestamp, ends: impl Iterator<Item = Timestamp>) -> Self {
        let seconds = ends.map(|end| end.seconds_since(from)).fold(0.0, f64::max);
        Self { from, seconds: seconds.max(1e-6) }
    }

    /// How long it is.
    pub(super) fn words(self) -> String {
        duration(self.seconds)
    }

    /// Where a point in time is, of the 1000 steps of its width.
    pub(super) fn place(self, at: Timestamp) -> f64 {
        (at.seconds_since(self.from) / self.seconds * 1000.0).clamp(0.0, 1000.0)
    }

    /// The width of a duration, in the same steps.
    pub(super) fn width(self, seconds: f64) -> f64 {
        (seconds / self.seconds * 1000.0).clamp(0.0, 1000.0)
    }
}

/// When something waited and when it ran, as a bar.
pub(super) fn times(
    span: Span,
    created: Timestamp,
    (started, ended): (Option<Timestamp>, Timestamp),
    words: &str,
) -> Markup {
    let bar = |from: Timestamp, to: Timestamp, is_thin: bool| {
        let (x, end) = (rounded(span.place(from)), rounded(span.place(to)));
        html! {
            rect .{ @if is_thin { "queued" } @else { "ran" } } x=(x) y=(if is_thin { 5 } else { 1 })
                width=((end - x).max(2.0)) height=(if is_thin { 2 } else { 10 }) {}
        }
    };
    html! {
        svg .times viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label=(words) {
            title { (words) }
            (bar(created, started.unwrap_or(ended), true))
            @if let Some(started) = started { (bar(started, ended, false)) }
        }
    }
}

/// When it was, in words: queued so long, ran so long; of what has not finished, until now.
pub(super) fn times_in_words(
    created: Timestamp,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    now: Timestamp,
) -> String {
    let between = |from: Timestamp, to: Timestamp| duration(to.seconds_since(from));
    match (started, finished) {
        (Some(started), Some(finished)) => {
            format!("queued {}, ran {}", between(created, started), between(started, finished))
        }
        (Some(started), None) => {
            format!("queued {}, running for {} so far", between(created, started), between(started, now))
        }
        (None, Some(finished)) => format!("queued {}, did not run", between(created, finished)),
        (None, None) => format!("queued for {} so far", between(created, now)),
    }
}

/// A caption for the times of a run.
pub(super) fn caption(span: Span) -> Markup {
    html! { "Thin: queued; thick: ran. " (whole(span)) }
}

/// What a span is, in words.
pub(super) fn whole(span: Span) -> Markup {
    html! { "The whole width is " (span.words()) " from " (exact_time(span.from)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_finished_is_not_said_to_have_missed_its_run() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let words = |started, finished| times_in_words(at(0), started, finished, at(90));
        assert_eq!(words(None, None), format!("queued for {} so far", duration(90.0)));
        assert_eq!(
            words(Some(at(30)), None),
            format!("queued {}, running for {} so far", duration(30.0), duration(60.0))
        );
        assert_eq!(words(None, Some(at(60))), format!("queued {}, did not run", duration(60.0)));
        assert_eq!(words(Some(at(30)), Some(at(70))), format!("queued {}, ran {}", duration(30.0), duration(40.0)));
    }
}
