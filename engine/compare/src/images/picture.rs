//! Draws the differences between two images.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

use super::unfit;
use crate::error::Fit;

/// A PNG of the new image in dark grey, with every differing pixel in red: the larger the difference, the brighter.
pub(super) fn draw(old: &RgbImage, new: &RgbImage) -> Fit<Vec<u8>> {
    let mut drawn = RgbImage::new(new.width(), new.height());
    for ((old, new), into) in old.pixels().zip(new.pixels()).zip(drawn.pixels_mut()) {
        let most = old.0.iter().zip(&new.0).map(|(old, new)| old.abs_diff(*new)).max().unwrap_or(0);
        let grey = (new.0.iter().map(|value| u16::from(*value)).sum::<u16>() / 12) as u8;
        *into = if most == 0 { Rgb([grey; 3]) } else { Rgb([127 + most.div_ceil(2), grey / 2, grey / 2]) };
    }
    let mut png = Cursor::new(Vec::new());
    drawn.write_to(&mut png, ImageFormat::Png).map_err(unfit)?;
    Ok(png.into_inner())
}
