//! What to show of one file: the beginning of a text, a small picture of an image, the names and shapes of tensors.

use std::io::{BufReader, Cursor};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::content::{Side, Watched};
use crate::error::{CompareError, Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::tensors;

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum number of bytes of a text.
    pub text_bytes: u64,
    /// Maximum length of the longer side of a picture, in pixels.
    pub picture_side: u32,
    /// Maximum number of tensors.
    pub tensors: usize,
}

/// What to show of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Text, and whether there is more.
    Text(String, bool),
    /// A picture.
    Picture(Picture),
    /// Tensors, one a line, and how many more there are.
    Tensors(Vec<String>, usize),
    /// Nothing readable, for this reason.
    Nothing(String),
}

/// A small picture of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// A JPEG or PNG file.
    pub bytes: Vec<u8>,
    /// Its media type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Its width and height in pixels.
    pub size: (u32, u32),
    /// Width and height of the image in pixels, upright.
    pub of: (u32, u32),
}

/// What to show of a file. Fails only if the file cannot be read.
pub fn show(side: Side<'_>, bounds: &Bounds, limits: &Limits) -> Result<Shown, CompareError> {
    let mut side = Watched::new(side);
    let found = by_kind(&mut side, bounds, limits);
    side.check()?;
    Ok(found.unwrap_or_else(|unfit| Shown::Nothing(unfit.0)))
}

fn by_kind(side: &mut Watched<'_>, bounds: &Bounds, limits: &Limits) -> Fit<Shown> {
    let start = side.start(bounds.text_bytes.max(16))?;
    match Kind::of(side.name(), &start) {
        Kind::Bytes | Kind::Parquet => Ok(Shown::Nothing("not text, image or tensors".to_owned())),
        Kind::Image => picture(side, bounds, limits).map(Shown::Picture),
        kind @ (Kind::Npy | Kind::Npz | Kind::Safetensors) => {
            let (lines, more) = tensors::outline(kind, side, limits, bounds.tensors)?;
            Ok(Shown::Tensors(lines, more))
        }
        _ => text(&start[..start.len().min(bounds.text_bytes as usize)], side.size_bytes()),
    }
}

/// The beginning of a text, without a character cut off at its end.
fn text(start: &[u8], size_bytes: u64) -> Fit<Shown> {
    let (text, is_whole) = match std::str::from_utf8(start) {
        Ok(text) => (text, true),
        Err(error) if error.error_len().is_none() => {
            (std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default(), false)
        }
        Err(error) => return Err(Unfit(format!("text that is not UTF-8: {error}"))),
    };
    Ok(Shown::Text(text.to_owned(), !is_whole || size_bytes > start.len() as u64))
}

/// The image, upright, scaled down to the bounds.
fn picture(side: &mut Watched<'_>, bounds: &Bounds, limits: &Limits) -> Fit<Picture> {
    let malformed = |error: image::ImageError| Unfit::malformed("image", error);
    let mut reader = ImageReader::new(BufReader::new(side.rewind()?)).with_guessed_format()?;
    let mut alloc = image::Limits::default();
    alloc.max_alloc = Some(limits.pixels.saturating_mul(12));
    reader.limits(alloc);
    let mut decoder = reader.into_decoder().map_err(malformed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.pixels {
        return Err(Unfit(format!("too large an image: {width} × {height} pixels")));
    }
    let orientation = decoder.orientation().map_err(malformed)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(malformed)?;
    image.apply_orientation(orientation);
    let of = (image.width(), image.height());
    let side = bounds.picture_side;
    let small = if of.0.max(of.1) > side { image.thumbnail(side, side) } else { image };
    let shown = (small.width(), small.height());
    let mut bytes = Vec::new();
    let media_type = if small.color().has_alpha() {
        let small = DynamicImage::ImageRgba8(small.into_rgba8());
        small.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).map_err(malformed)?;
        "image/png"
    } else {
        let small = DynamicImage::ImageRgb8(small.into_rgb8());
        small.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 82)).map_err(malformed)?;
        "image/jpeg"
    };
    Ok(Picture { bytes, media_type, size: shown, of })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { text_bytes: 8, picture_side: 32, tensors: 2 };

    fn of(name: &str, bytes: &[u8]) -> Shown {
        let mut content = Cursor::new(bytes);
        let side = Side { name, size_bytes: bytes.len() as u64, content: &mut content, pieces: Vec::new() };
        show(side, &BOUNDS, &Limits { pixels: 10_000, ..Limits::default() }).unwrap()
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        DynamicImage::new_rgb8(width, height).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn text_is_cut_between_characters_and_says_so() {
        assert_eq!(of("a.json", b"{}\n"), Shown::Text("{}\n".to_owned(), false));
        assert_eq!(of("a.txt", "1234567ä".as_bytes()), Shown::Text("1234567".to_owned(), true));
        assert!(matches!(of("a.txt", b"a\xff"), Shown::Nothing(_)));
        assert!(matches!(of("a.bin", b"a\0b"), Shown::Nothing(_)));
    }

    #[test]
    fn an_image_becomes_a_small_picture_and_one_that_is_too_large_or_broken_none() {
        let Shown::Picture(picture) = of("a.png", &png(64, 16)) else { panic!() };
        assert_eq!((picture.size, picture.of, picture.media_type), ((32, 8), (64, 16), "image/jpeg"));
        assert!(image::load_from_memory(&picture.bytes).is_ok());
        let Shown::Nothing(why) = of("a.png", &png(200, 200)) else { panic!() };
        assert!(why.contains("200 × 200"), "{why}");
        assert!(matches!(of("a.png", &png(64, 16)[..40]), Shown::Nothing(_)));
    }
}
