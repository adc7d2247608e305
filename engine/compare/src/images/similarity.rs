//! Structural similarity: how alike two images look.
//!
//! The SSIM index of Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
//! Similarity", IEEE Transactions on Image Processing 13 (4), 2004, with K1 = 0.01, K2 = 0.03 and L = 255; on luma, over square windows of
//! eight pixels that begin at every fourth pixel, with all pixels of a window weighted equally. The result is the mean of all windows.

use image::{Rgb, RgbImage};

const WINDOW: u32 = 8;
const STEP: u32 = 4;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// The mean similarity of two images of the same size. A side shorter than a window counts as one window.
pub(super) fn similarity(old: &RgbImage, new: &RgbImage) -> f64 {
    let (width, height) = old.dimensions();
    let (mut sum, mut count) = (0.0, 0_u32);
    for y in starts(height) {
        for x in starts(width) {
            sum += window(old, new, x..(x + WINDOW).min(width), y..(y + WINDOW).min(height));
            count += 1;
        }
    }
    if count == 0 { 1.0 } else { sum / f64::from(count) }
}

/// The starts of windows: every fourth pixel where a whole window fits.
fn starts(length: u32) -> impl Iterator<Item = u32> {
    let last = length.saturating_sub(WINDOW);
    (0..=last).step_by(STEP as usize).take(if length == 0 { 0 } else { usize::MAX })
}

fn luma(Rgb([red, green, blue]): Rgb<u8>) -> f64 {
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)
}

fn window(old: &RgbImage, new: &RgbImage, across: std::ops::Range<u32>, down: std::ops::Range<u32>) -> f64 {
    let (mut count, mut one, mut other) = (0.0, 0.0, 0.0);
    let (mut one_squared, mut other_squared, mut product) = (0.0, 0.0, 0.0);
    for y in down {
        for x in across.clone() {
            let (a, b) = (luma(*old.get_pixel(x, y)), luma(*new.get_pixel(x, y)));
            count += 1.0;
            one += a;
            other += b;
            one_squared += a * a;
            other_squared += b * b;
            product += a * b;
        }
    }
    let (mean_one, mean_other) = (one / count, other / count);
    let variance_one = one_squared / count - mean_one * mean_one;
    let variance_other = other_squared / count - mean_other * mean_other;
    let covariance = product / count - mean_one * mean_other;
    (2.0 * mean_one * mean_other + C1) * (2.0 * covariance + C2)
        / ((mean_one * mean_one + mean_other * mean_other + C1) * (variance_one + variance_other + C2))
}
