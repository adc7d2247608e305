//! Two pictures: side by side, one over the other, one beneath a curtain, or what differs as a picture of its own.
//!
//! Each way is an address. All show both pictures without scripts; with them, `b` flips the two, a slider draws the curtain, and both are
//! enlarged and moved together (`assets/diff.js`).

use answers::diff::Named;
use answers::diff::words::{number, share};
use compare::{ImageDiff, ImageFacts};
use maud::{Markup, html};
use specs::words::count;

use super::pair::Pair;
use super::{Asked, given};
use crate::address;
use crate::look::Look;
use crate::views::images::is_shown_by_browsers;

/// The ways, and their words.
const WAYS: [(&str, &str); 4] =
    [("side", "Side by side"), ("blink", "Blink"), ("swipe", "Swipe"), ("difference", "Difference")];
/// Frames that are named.
const FRAMES: usize = 20;

pub(super) fn shown(
    look: &Look<'_>,
    asked: &Asked,
    pair: &Pair,
    (old, new): (&Named, &Named),
    found: &ImageDiff,
) -> Markup {
    let way = given(&asked.pictures).filter(|way| WAYS.iter().any(|(known, _)| known == way)).unwrap_or("side");
    let references = pair.reference(false, &old.path).zip(pair.reference(true, &new.path));
    let as_png = |show: &str| references.as_ref().map(|(old, new)| look.link(&address::difference(old, new, show)));
    // What browsers do not show is sent to them as PNG.
    let source = |is_new: bool, named: &Named, show: &str| {
        let content = pair.content(is_new, &named.path).filter(|_| is_shown_by_browsers(&named.path));
        content.map(|content| look.link(&content)).or_else(|| as_png(show))
    };
    let (old_source, new_source) = (source(false, old, "old"), source(true, new, "new"));
    html! {
        (measures(found))
        nav .tabs aria-label="Ways to compare" {
            @for (known, words) in WAYS {
                a href=(look.link(&pair.here().with("pictures", known))) aria-current=[(known == way).then_some("true")] data-way=(known) {
                    (words)
                }
            }
        }
        @match (old_source, new_source) {
            (Some(old_source), Some(new_source)) => {
                div .pictures data-way=(way) {
                    div .tools {
                        button type="button" data-do="flip" hidden { "Flip " kbd { "b" } }
                        output .which aria-live="polite" {}
                        @if way == "swipe" {
                            label .curtain {
                                "Curtain: left of it is old, right of it new"
                                input type="range" min="0" max="100" value="50" data-do="swipe";
                            }
                        }
                        button type="button" data-do="in" hidden aria-label="Larger" { "+" }
                        button type="button" data-do="out" hidden aria-label="Smaller" { "−" }
                        button type="button" data-do="fit" hidden { "Fit " kbd { "0" } }
                    }
                    div .stage tabindex="0" role="group" aria-label="Both pictures, enlarged and moved together" {
                        figure .old {
                            div .frame { img src=(old_source) alt={ "Old: " (old.path) }; } figcaption { "Old" }
                        }
                        figure .new {
                            div .frame { img src=(new_source) alt={ "New: " (new.path) }; } figcaption { "New" }
                        }
                        @if let (true, Some(difference)) = (way == "difference", as_png("difference")) {
                            figure .difference {
                                div .frame {
                                    img src=(difference) alt="What differs, in red, on the new picture in dark grey";
                                }
                                figcaption { "Difference: the redder, the larger" }
                            }
                        }
                    }
                }
            }
            _ => p { "These pictures are in no commit: download both to see them." },
        }
    }
}

fn measures(found: &ImageDiff) -> Markup {
    let facts = |image: &ImageFacts| format!("{} {} × {} {}", image.format, image.width, image.height, image.color);
    let (old, new) = (facts(&found.old), facts(&found.new));
    let frames: Vec<String> = found.frames.iter().take(FRAMES).map(|frame| count(frame.number)).collect();
    html! {
        p {
            @if old == new { (new) } @else { (old) " → " (new) } "."
            @if let (Some(changed), Some(similarity)) = (found.pixels_changed, found.similarity) {
                " " b { (share(changed)) } " of the pixels differ; mean difference "
                (number(found.mean_difference.unwrap_or_default())) " of 255, largest "
                (number(found.max_difference.unwrap_or_default())) "; similarity " (number(similarity)) "."
            } @else { " The sizes differ, so pixels are not compared." }
            @if let Some(changed) = found.frames_changed {
                " " (count(changed)) " frames or pages differ"
                @if !frames.is_empty() { ": " (frames.join(", ")) @if changed > frames.len() as u64 { ", …" } } "."
            }
            @for note in &found.notes { " " (note) "." }
        }
    }
}
