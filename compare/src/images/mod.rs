//! Two images, pixel by pixel.
//!
//! Of a file with several frames the first is compared. Pixels are compared as they are stored: colour profiles and orientation marks are
//! not applied.
//! - `measure` counts and means; `similarity` what an eye would say; `picture` draws where they differ

mod measure;
mod picture;
mod similarity;

use std::io::BufReader;

use image::{DynamicImage, ImageDecoder, ImageReader};
use serde::Serialize;

use crate::Options;
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::limits::Limits;

/// How two images differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageDiff {
    /// The old side.
    pub old: ImageFacts,
    /// The new side.
    pub new: ImageFacts,
    /// Share of the pixels that differ in any channel; absent, as all that follows, when the sizes differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels_changed: Option<f64>,
    /// Mean size of the difference, over all pixels and channels, on the scale 0 to 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_difference: Option<f64>,
    /// Largest difference of a channel, on the same scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_difference: Option<f64>,
    /// Mean structural similarity of the luma: 1 for equal images, about 0 for unrelated ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
}

/// What an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFacts {
    /// Such as `png`.
    pub format: String,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Channels and bits of each: `rgb8`, `l16`.
    pub color: String,
}

pub(crate) fn compare(
    old: &mut Watched<'_>,
    new: &mut Watched<'_>,
    options: &Options,
) -> Fit<(ImageDiff, Option<Vec<u8>>)> {
    let old_facts = facts(old, &options.limits).map_err(|unfit| unfit.on("old"))?;
    let new_facts = facts(new, &options.limits).map_err(|unfit| unfit.on("new"))?;
    let same_size = (old_facts.width, old_facts.height) == (new_facts.width, new_facts.height);
    let mut found = ImageDiff {
        old: old_facts,
        new: new_facts,
        pixels_changed: None,
        mean_difference: None,
        max_difference: None,
        similarity: None,
    };
    if !same_size {
        return Ok((found, None));
    }
    let old = decode(old, &options.limits).map_err(|unfit| unfit.on("old"))?;
    let new = decode(new, &options.limits).map_err(|unfit| unfit.on("new"))?;
    let measured = measure::measure(&old, &new);
    found.pixels_changed = Some(measured.changed);
    found.mean_difference = Some(measured.mean);
    found.max_difference = Some(measured.max);
    let (old, new) = (old.into_rgb8(), new.into_rgb8());
    found.similarity = Some(similarity::similarity(&old, &new));
    let picture = if options.picture { Some(picture::draw(&old, &new)?) } else { None };
    Ok((found, picture))
}

fn reader<'a, 'c>(side: &'a mut Watched<'c>, limits: &Limits) -> Fit<ImageReader<BufReader<&'a mut Watched<'c>>>> {
    let mut reader = ImageReader::new(BufReader::new(side.rewind()?)).with_guessed_format()?;
    let mut bounds = image::Limits::default();
    // The largest pixels have sixteen bytes; decoders need about as much again.
    bounds.max_alloc = Some(limits.pixels.saturating_mul(12));
    reader.limits(bounds);
    Ok(reader)
}

fn unfit(error: image::ImageError) -> Unfit {
    match error {
        image::ImageError::Unsupported(error) => Unfit(format!("an image of a sort that is not read: {error}")),
        image::ImageError::Limits(error) => Unfit(format!("too large an image: {error}")),
        error => Unfit::malformed("image", error),
    }
}

fn facts(side: &mut Watched<'_>, limits: &Limits) -> Fit<ImageFacts> {
    let reader = reader(side, limits)?;
    let format = reader.format().and_then(|format| format.extensions_str().first().copied()).unwrap_or_default();
    let decoder = reader.into_decoder().map_err(unfit)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.pixels {
        return Err(Unfit(format!("too large an image: {width} × {height} pixels")));
    }
    let color = format!("{:?}", decoder.color_type()).to_ascii_lowercase();
    Ok(ImageFacts { format: format.to_owned(), width, height, color })
}

fn decode(side: &mut Watched<'_>, limits: &Limits) -> Fit<DynamicImage> {
    reader(side, limits)?.decode().map_err(unfit)
}
