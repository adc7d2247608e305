//! The frames of an image, one by one: those of an animation, the pages of a TIFF, or the only one.

use std::io::{BufReader, Seek};

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageBuffer, ImageFormat};
use tiff::ColorType;
use tiff::decoder::DecodingResult;

use super::{limited, reader, unfit};
use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::limits::Limits;

/// A frame as displayed.
pub(super) struct Frame {
    pub(super) pixels: Pixels,
    /// How long it is shown, as numerator and denominator of milliseconds.
    pub(super) delay: Option<(u32, u32)>,
}

pub(super) enum Pixels {
    Image(DynamicImage),
    /// Samples of a type that cannot be measured, so they are compared as bytes.
    Raw {
        width: u32,
        height: u32,
        sort: String,
        bytes: Vec<u8>,
    },
}

impl Pixels {
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::Image(image) => (image.width(), image.height()),
            Self::Raw { width, height, .. } => (*width, *height),
        }
    }
}

/// The source of the frames of a side.
pub(super) enum FrameSource<'a> {
    One(Option<Box<DynamicImage>>),
    Animation(image::Frames<'a>),
    Pages(Box<Pages<'a>>),
}

pub(super) struct Pages<'a> {
    first: Option<DynamicImage>,
    decoder: tiff::decoder::Decoder<BufReader<Box<dyn ReadSeek + 'a>>>,
    is_first: bool,
    most_pixels: u64,
}

/// Bytes with random access.
pub(super) trait ReadSeek: std::io::Read + Seek {}

impl<T: std::io::Read + Seek + ?Sized> ReadSeek for T {}

impl<'a> FrameSource<'a> {
    pub(super) fn open(
        side: &'a mut Watched<'_>,
        format: Option<ImageFormat>,
        orientation: Orientation,
        limits: &Limits,
    ) -> Fit<Self> {
        let animation = match format {
            Some(ImageFormat::Gif) => {
                let mut decoder = GifDecoder::new(BufReader::new(side.rewind()?)).map_err(unfit)?;
                image::ImageDecoder::set_limits(&mut decoder, limited(limits)).map_err(unfit)?;
                return Ok(Self::Animation(decoder.into_frames()));
            }
            Some(ImageFormat::Png) => {
                PngDecoder::new(BufReader::new(side.rewind()?)).map_err(unfit)?.is_apng().map_err(unfit)?
            }
            Some(ImageFormat::WebP) => WebPDecoder::new(BufReader::new(side.rewind()?)).map_err(unfit)?.has_animation(),
            _ => false,
        };
        if animation {
            let start = BufReader::new(side.rewind()?);
            return Ok(Self::Animation(if format == Some(ImageFormat::Png) {
                let decoder = PngDecoder::with_limits(start, limited(limits)).map_err(unfit)?;
                decoder.apng().map_err(unfit)?.into_frames()
            } else {
                WebPDecoder::new(start).map_err(unfit)?.into_frames()
            }));
        }
        let mut image = reader(side, limits)?.decode().map_err(unfit)?;
        image.apply_orientation(orientation);
        if format != Some(ImageFormat::Tiff) {
            return Ok(Self::One(Some(Box::new(image))));
        }
        let start: Box<dyn ReadSeek + 'a> = Box::new(side.rewind()?);
        let decoder = tiff::decoder::Decoder::new(BufReader::new(start)).map_err(|error| page_unfit(&error))?;
        let most_pixels = limits.pixels;
        Ok(Self::Pages(Box::new(Pages { first: Some(image), decoder, is_first: true, most_pixels })))
    }

    /// The next frame; `None` after the last.
    pub(super) fn next(&mut self) -> Fit<Option<Frame>> {
        match self {
            Self::One(image) => Ok(image.take().map(|image| Frame { pixels: Pixels::Image(*image), delay: None })),
            Self::Animation(frames) => frames.next().transpose().map_err(unfit).map(|frame| {
                frame.map(|frame| {
                    let delay = Some(frame.delay().numer_denom_ms());
                    Frame { pixels: Pixels::Image(frame.into_buffer().into()), delay }
                })
            }),
            Self::Pages(pages) => pages.next(),
        }
    }
}

impl Pages<'_> {
    fn next(&mut self) -> Fit<Option<Frame>> {
        if self.is_first {
            self.is_first = false;
            return Ok(self.first.take().map(|image| Frame { pixels: Pixels::Image(image), delay: None }));
        }
        if !self.decoder.more_images() {
            return Ok(None);
        }
        self.read().map(|pixels| Some(Frame { pixels, delay: None }))
    }

    fn read(&mut self) -> Fit<Pixels> {
        let unfit = |error| page_unfit(&error);
        self.decoder.next_image().map_err(unfit)?;
        let (width, height) = self.decoder.dimensions().map_err(unfit)?;
        if u64::from(width) * u64::from(height) > self.most_pixels {
            return Err(Unfit(format!("too large an image: a page of {width} × {height} pixels")));
        }
        let color = self.decoder.colortype().map_err(unfit)?;
        let samples = self.decoder.read_image().map_err(unfit)?;
        let sort = format!("{color:?}");
        let image = match (color, samples) {
            (ColorType::Gray(8), DecodingResult::U8(samples)) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
            }
            (ColorType::RGB(8), DecodingResult::U8(samples)) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
            }
            (ColorType::RGBA(8), DecodingResult::U8(samples)) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba8)
            }
            (ColorType::Gray(16), DecodingResult::U16(samples)) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma16)
            }
            (ColorType::RGB(16), DecodingResult::U16(samples)) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16)
            }
            (_, mut samples) => {
                return Ok(Pixels::Raw { width, height, sort, bytes: samples.as_buffer(0).as_bytes().to_vec() });
            }
        };
        image
            .map(Pixels::Image)
            .ok_or_else(|| Unfit::malformed("image", "a page has fewer bytes than its size requires"))
    }
}

fn page_unfit(error: &tiff::TiffError) -> Unfit {
    Unfit::malformed("image", error)
}
