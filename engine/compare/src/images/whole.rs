//! Whether a JPEG is complete: decoders fill missing parts with grey, without an error.

use std::io::{BufRead, BufReader, Read};

use crate::content::Watched;
use crate::error::Fit;

/// Whether the side is a JPEG with its end marker, or not a JPEG at all.
pub(super) fn is_whole(side: &mut Watched<'_>) -> Fit<bool> {
    let mut reader = BufReader::new(side.rewind()?);
    let mut start = [0; 2];
    if crate::content::read_full(&mut reader, &mut start)? < 2 || start != [0xff, 0xd8] {
        return Ok(true);
    }
    while let Some(marker) = next_marker(&mut reader)? {
        match marker {
            0xd9 => return Ok(true),
            // Markers without a payload; 0 is a byte of the picture.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let mut length = [0; 2];
                if crate::content::read_full(&mut reader, &mut length)? < 2 {
                    return Ok(false);
                }
                let rest = u64::from(u16::from_be_bytes(length)).saturating_sub(2);
                if std::io::copy(&mut reader.by_ref().take(rest), &mut std::io::sink())? < rest {
                    return Ok(false);
                }
            }
        }
    }
    Ok(false)
}

/// The byte after the next `ff`.
fn next_marker(reader: &mut impl BufRead) -> Fit<Option<u8>> {
    let mut after_mark = false;
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok(None);
        }
        if !after_mark {
            let Some(at) = memchr::memchr(0xff, block) else {
                let length = block.len();
                reader.consume(length);
                continue;
            };
            reader.consume(at + 1);
            after_mark = true;
            continue;
        }
        let byte = block[0];
        reader.consume(1);
        if byte != 0xff {
            return Ok(Some(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::content::Side;

    #[test]
    fn a_jpeg_without_its_end_mark_is_cut() {
        let mut bytes = Cursor::new(Vec::new());
        let image = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 7) as u8, ((y * 31) ^ (x * 5)) as u8, 9]));
        image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        let bytes = bytes.into_inner();
        let is_whole = |bytes: &[u8]| {
            let mut content = Cursor::new(bytes);
            let side = Side { name: "a", size_bytes: bytes.len() as u64, content: &mut content, pieces: Vec::new() };
            is_whole(&mut Watched::new(side)).unwrap()
        };
        assert!(is_whole(&bytes) && is_whole(b"GIF89a") && is_whole(&[&bytes[..], b"behind"].concat()));
        for cut in [3, 20, bytes.len() / 2, bytes.len() - 2] {
            assert!(!is_whole(&bytes[..cut]), "{cut}");
        }
    }
}
