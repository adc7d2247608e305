//! How many pixels differ, and by how much.

use image::DynamicImage;

/// The result of a measurement.
pub(super) struct Measured {
    /// Share of pixels that differ.
    pub(super) changed: f64,
    /// Mean difference, 0 to 255.
    pub(super) mean: f64,
    /// Largest difference, 0 to 255.
    pub(super) max: f64,
}

/// Compares two images of the same size, in the channels that both have: grey, colour, or colour with transparency; in sixteen bits if
/// either has more than eight.
pub(super) fn measure(old: &DynamicImage, new: &DynamicImage) -> Measured {
    let deep = [old, new].into_iter().any(|image| {
        let color = image.color();
        color.bytes_per_pixel() > color.channel_count()
    });
    let (has_alpha, has_color) =
        (old.color().has_alpha() || new.color().has_alpha(), old.color().has_color() || new.color().has_color());
    match (deep, has_color, has_alpha) {
        (false, false, false) => over::<_, 1>(old.to_luma8().as_raw(), new.to_luma8().as_raw(), 1.0),
        (false, true, false) => over::<_, 3>(old.to_rgb8().as_raw(), new.to_rgb8().as_raw(), 1.0),
        (false, _, true) => over::<_, 4>(old.to_rgba8().as_raw(), new.to_rgba8().as_raw(), 1.0),
        (true, false, false) => over::<_, 1>(old.to_luma16().as_raw(), new.to_luma16().as_raw(), 257.0),
        (true, true, false) => over::<_, 3>(old.to_rgb16().as_raw(), new.to_rgb16().as_raw(), 257.0),
        (true, _, true) => over::<_, 4>(old.to_rgba16().as_raw(), new.to_rgba16().as_raw(), 257.0),
    }
}

/// `one` is the sample difference that counts as 1 on the scale of 0 to 255.
#[expect(clippy::cast_precision_loss, reason = "shares and means")]
fn over<T: Copy + Into<u32>, const CHANNELS: usize>(old: &[T], new: &[T], one: f64) -> Measured {
    let (old, new) = (old.as_chunks::<CHANNELS>().0, new.as_chunks::<CHANNELS>().0);
    let (mut changed, mut sum, mut max) = (0_u64, 0_u64, 0);
    for (old, new) in old.iter().zip(new) {
        let mut pixel = 0;
        for (old, new) in old.iter().zip(new) {
            let difference = (*old).into().abs_diff((*new).into());
            pixel += u64::from(difference);
            max = max.max(difference);
        }
        changed += u64::from(pixel > 0);
        sum += pixel;
    }
    let pixels = old.len().max(1) as f64;
    Measured {
        changed: changed as f64 / pixels,
        mean: sum as f64 / pixels / CHANNELS as f64 / one,
        max: f64::from(max) / one,
    }
}
