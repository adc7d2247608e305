//! Compares two images, pixel by pixel: all frames of animations and all pages of a TIFF, as displayed.
//!
//! If the sides have different EXIF orientations, these are applied; colour profiles are not. Differences outside the pixels are reported
//! as notes.
//! - `frames`: one frame after another; `whole`: whether a JPEG is truncated
//! - `measure`: counts and means; `similarity`: perceived similarity; `picture`: draws the differences

mod frames;
mod measure;
mod picture;
mod similarity;
mod whole;

use std::io::BufReader;

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Options;
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::limits::Limits;
use frames::{Frame, FrameSource, Pixels};

/// How two images differ.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ImageDiff {
    /// The old side.
    pub old: ImageFacts,
    /// The new side.
    pub new: ImageFacts,
    /// Share of the pixels that differ in any channel, over all frames of both; absent, like the following fields, if the sizes differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels_changed: Option<f64>,
    /// Mean absolute difference, over all pixels and channels, on the scale 0 to 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_difference: Option<f64>,
    /// Largest difference in a channel, on the same scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_difference: Option<f64>,
    /// Mean structural similarity of the luma: 1 for equal images, about 0 for unrelated ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// Number of frames, or pages, that differ; absent if each side has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_changed: Option<u64>,
    /// The first of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<FrameChange>,
    /// Further remarks: differing metadata, frames that were not compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A frame, or page, that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FrameChange {
    /// Its number, from 1.
    pub number: u64,
    /// Share of its pixels that differ; absent if they cannot be measured, or the sizes differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels_changed: Option<f64>,
}

/// Properties of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImageFacts {
    /// The format, such as `png`.
    pub format: String,
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// Channels and bits per channel: `rgb8`, `l16`.
    pub color: String,
    /// EXIF orientation for display, 2 to 8; absent if the image is displayed as stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    /// Number of frames or pages; absent if there is one, or not all were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
}

/// What is known of a side before its pixels are read.
struct Opened {
    facts: ImageFacts,
    format: Option<ImageFormat>,
    orientation: Orientation,
    /// Its metadata, by name.
    metadata: Vec<(&'static str, Option<Vec<u8>>)>,
}

impl Opened {
    /// Its size as displayed.
    fn size(&self) -> (u32, u32) {
        let (width, height) = (self.facts.width, self.facts.height);
        if self.orientation.to_exif() > 4 { (height, width) } else { (width, height) }
    }
}

pub(crate) fn compare(
    old: &mut Watched<'_>,
    new: &mut Watched<'_>,
    options: &Options,
) -> Fit<(ImageDiff, Option<Vec<u8>>)> {
    let limits = &options.limits;
    let old_opened = open(old, limits).map_err(|unfit| unfit.on("old"))?;
    let new_opened = open(new, limits).map_err(|unfit| unfit.on("new"))?;
    let mut found = ImageDiff {
        old: old_opened.facts.clone(),
        new: new_opened.facts.clone(),
        pixels_changed: None,
        mean_difference: None,
        max_difference: None,
        similarity: None,
        frames_changed: None,
        frames: Vec::new(),
        notes: notes(&old_opened, &new_opened),
    };
    if old_opened.size() != new_opened.size() {
        return Ok((found, None));
    }
    // Equal orientations need not be applied: that would change no result.
    let turn = |opened: &Opened| {
        if old_opened.orientation == new_opened.orientation { Orientation::NoTransforms } else { opened.orientation }
    };
    let old_frames = FrameSource::open(old, old_opened.format, turn(&old_opened), limits);
    let new_frames = FrameSource::open(new, new_opened.format, turn(&new_opened), limits);
    let (old_frames, new_frames) =
        (old_frames.map_err(|unfit| unfit.on("old"))?, new_frames.map_err(|unfit| unfit.on("new"))?);
    let picture = compare_frames(&mut found, old_frames, new_frames, options)?;
    Ok((found, picture))
}

/// Differences outside the pixels.
fn notes(old: &Opened, new: &Opened) -> Vec<String> {
    let mut notes = Vec::new();
    let names = old.metadata.iter().zip(&new.metadata).filter(|(old, new)| old.1 != new.1).map(|(old, _)| old.0);
    let names: Vec<&str> = names.collect();
    if old.orientation != new.orientation {
        let (old, new) = (old.orientation.to_exif(), new.orientation.to_exif());
        notes.push(format!("EXIF orientation {old} → {new}: compared as displayed"));
    }
    if !names.is_empty() {
        notes.push(format!("metadata differs: {}", names.join(", ")));
    }
    notes
}

/// Sums over all frames.
#[derive(Default)]
struct Sums {
    pixels: f64,
    changed: f64,
    difference: f64,
    largest: f64,
    similarity: f64,
    measured: f64,
}

fn compare_frames(
    found: &mut ImageDiff,
    mut old: FrameSource<'_>,
    mut new: FrameSource<'_>,
    options: &Options,
) -> Fit<Option<Vec<u8>>> {
    let limits = &options.limits;
    let (mut sums, mut picture, mut limited) = (Sums::default(), None, false);
    let (mut old_count, mut new_count, mut changed, mut delays, mut pixels) = (0, 0, 0, 0, 0);
    loop {
        let one = old.next().map_err(|unfit| unfit.on("old"))?;
        let other = new.next().map_err(|unfit| unfit.on("new"))?;
        let is_limit = old_count.max(new_count) >= limits.frames || pixels > limits.frame_pixels;
        if is_limit && (one.is_some() || other.is_some()) {
            let number = old_count.min(new_count);
            found.notes.push(format!("frames after the first {number} were not compared"));
            limited = true;
            break;
        }
        old_count += u64::from(one.is_some());
        new_count += u64::from(other.is_some());
        let (one, other) = match (one, other) {
            (None, None) => break,
            (Some(one), Some(other)) => (one, other),
            (one, other) => {
                let size = one.or(other).map_or((0, 0), |frame| frame.pixels.size());
                pixels += u64::from(size.0) * u64::from(size.1);
                continue;
            }
        };
        let (width, height) = one.pixels.size();
        pixels += u64::from(width) * u64::from(height);
        delays += u64::from(one.delay != other.delay);
        let share = compare_frame(&one, &other, &mut sums);
        if share == Some(0.0) {
            continue;
        }
        changed += 1;
        if found.frames.len() < limits.listed {
            found.frames.push(FrameChange { number: old_count, pixels_changed: share });
        }
        if options.picture && picture.is_none() {
            picture = Some((one, other));
        }
    }
    if delays > 0 {
        found.notes.push(format!("{delays} frames have a different display time"));
    }
    if sums.measured > 0.0 {
        found.pixels_changed = Some(sums.changed / sums.pixels.max(1.0));
        found.mean_difference = Some(sums.difference / sums.pixels.max(1.0));
        found.max_difference = Some(sums.largest);
        found.similarity = Some(sums.similarity / sums.measured);
    }
    if old_count.max(new_count) > 1 {
        let known = |count: u64| (!limited).then_some(count);
        (found.old.frames, found.new.frames) = (known(old_count), known(new_count));
        found.frames_changed = Some(changed);
    } else {
        found.frames.clear();
    }
    if changed == 0 && old_count == new_count && found.notes.is_empty() && found.old == found.new {
        found.notes.push("no pixel differs: the files differ in metadata or in compression".to_owned());
    }
    draw(picture)
}

fn draw(frames: Option<(Frame, Frame)>) -> Fit<Option<Vec<u8>>> {
    match frames {
        Some((Frame { pixels: Pixels::Image(old), .. }, Frame { pixels: Pixels::Image(new), .. }))
            if (old.width(), old.height()) == (new.width(), new.height()) =>
        {
            picture::draw(&old.into_rgb8(), &new.into_rgb8()).map(Some)
        }
        _ => Ok(None),
    }
}

/// The share of pixels that differ; `None` if that is not measured.
#[expect(clippy::cast_precision_loss, reason = "shares and means")]
fn compare_frame(old: &Frame, new: &Frame, sums: &mut Sums) -> Option<f64> {
    if old.pixels.size() != new.pixels.size() {
        return None;
    }
    let (old, new) = match (&old.pixels, &new.pixels) {
        (Pixels::Image(old), Pixels::Image(new)) => (old, new),
        (Pixels::Raw { sort, bytes, .. }, Pixels::Raw { sort: other_sort, bytes: other, .. }) => {
            return (sort == other_sort && bytes == other).then_some(0.0);
        }
        _ => return None,
    };
    let measured = measure::measure(old, new);
    let pixels = (u64::from(old.width()) * u64::from(old.height())) as f64;
    sums.pixels += pixels;
    sums.changed += measured.changed * pixels;
    sums.difference += measured.mean * pixels;
    sums.largest = sums.largest.max(measured.max);
    sums.similarity += similarity::similarity(&old.to_rgb8(), &new.to_rgb8());
    sums.measured += 1.0;
    Some(measured.changed)
}

fn limited(limits: &Limits) -> image::Limits {
    let mut bounds = image::Limits::default();
    // The largest pixels have sixteen bytes; decoders need about as much again.
    bounds.max_alloc = Some(limits.pixels.saturating_mul(12));
    bounds
}

fn reader<'a, 'c>(side: &'a mut Watched<'c>, limits: &Limits) -> Fit<ImageReader<BufReader<&'a mut Watched<'c>>>> {
    let mut reader = ImageReader::new(BufReader::new(side.rewind()?)).with_guessed_format()?;
    reader.limits(limited(limits));
    Ok(reader)
}

fn unfit(error: image::ImageError) -> Unfit {
    match error {
        image::ImageError::Unsupported(error) => Unfit(format!("an unsupported image: {error}")),
        image::ImageError::Limits(error) => Unfit(format!("too large an image: {error}")),
        error => Unfit::malformed("image", error),
    }
}

fn open(side: &mut Watched<'_>, limits: &Limits) -> Fit<Opened> {
    if side.size_bytes() > limits.image_bytes {
        return Err(Unfit(format!("too large an image: a file of more than {} bytes", limits.image_bytes)));
    }
    if !whole::is_whole(side)? {
        return Err(Unfit("a truncated JPEG: its end mark is missing".to_owned()));
    }
    let reader = reader(side, limits)?;
    let format = reader.format();
    let mut decoder = reader.into_decoder().map_err(unfit)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.pixels {
        let most = limits.pixels;
        return Err(Unfit(format!("too large an image: {width} × {height} pixels; at most {most} are compared")));
    }
    let color = format!("{:?}", decoder.color_type()).to_ascii_lowercase();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // Metadata that cannot be read counts as absent: it is not the subject of the comparison.
    let metadata = vec![
        ("EXIF", decoder.exif_metadata().unwrap_or_default()),
        ("colour profile", decoder.icc_profile().unwrap_or_default()),
        ("XMP", decoder.xmp_metadata().unwrap_or_default()),
        ("IPTC", decoder.iptc_metadata().unwrap_or_default()),
    ];
    let name = format.and_then(|format| format.extensions_str().first().copied()).unwrap_or_default();
    let mark = Some(orientation.to_exif()).filter(|mark| *mark != 1);
    let facts = ImageFacts { format: name.to_owned(), width, height, color, orientation: mark, frames: None };
    Ok(Opened { facts, format, orientation, metadata })
}
