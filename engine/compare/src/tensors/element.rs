//! Decodes numbers from bytes.

use npyz::{Endianness, TypeChar, TypeStr};
use safetensors::Dtype;

/// The encoding of a number in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) form: Form,
    /// Its size in bytes.
    pub(super) bytes: usize,
    /// Whether the most significant byte comes first.
    big_endian: bool,
}

/// The type of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Signed,
    Unsigned,
    Float,
    /// bfloat16: the upper half of a 32-bit float.
    Brain,
}

impl Element {
    fn little(form: Form, bytes: usize) -> Self {
        Self { form, bytes, big_endian: false }
    }

    /// The encoding of a numpy type, and its name; no encoding if it is not compared as a number.
    pub(super) fn of_numpy(text: &str) -> (Option<Self>, String) {
        let Ok(parsed) = text.parse::<TypeStr>() else { return (None, text.to_owned()) };
        let bytes = parsed.size_field() as usize;
        let form = match (parsed.type_char(), bytes) {
            (TypeChar::Bool, 1) => Form::Bool,
            (TypeChar::Int, 1 | 2 | 4 | 8) => Form::Signed,
            (TypeChar::Uint, 1 | 2 | 4 | 8) => Form::Unsigned,
            (TypeChar::Float, 2 | 4 | 8) => Form::Float,
            _ => return (None, text.to_owned()),
        };
        let element = Self { form, bytes, big_endian: parsed.endianness() == Endianness::Big };
        (Some(element), element.name())
    }

    /// The encoding of a safetensors type.
    pub(super) fn of_safetensors(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::BOOL => Self::little(Form::Bool, 1),
            Dtype::I8 => Self::little(Form::Signed, 1),
            Dtype::I16 => Self::little(Form::Signed, 2),
            Dtype::I32 => Self::little(Form::Signed, 4),
            Dtype::I64 => Self::little(Form::Signed, 8),
            Dtype::U8 => Self::little(Form::Unsigned, 1),
            Dtype::U16 => Self::little(Form::Unsigned, 2),
            Dtype::U32 => Self::little(Form::Unsigned, 4),
            Dtype::U64 => Self::little(Form::Unsigned, 8),
            Dtype::F16 => Self::little(Form::Float, 2),
            Dtype::F32 => Self::little(Form::Float, 4),
            Dtype::F64 => Self::little(Form::Float, 8),
            Dtype::BF16 => Self::little(Form::Brain, 2),
            _ => return None,
        })
    }

    /// `f32`, `i64`, `bf16`, `bool`.
    pub(super) fn name(self) -> String {
        let bits = self.bytes * 8;
        match self.form {
            Form::Bool => "bool".to_owned(),
            Form::Signed => format!("i{bits}"),
            Form::Unsigned => format!("u{bits}"),
            Form::Float => format!("f{bits}"),
            Form::Brain => format!("bf{bits}"),
        }
    }

    pub(super) fn is_integer(self) -> bool {
        matches!(self.form, Form::Bool | Form::Signed | Form::Unsigned)
    }

    /// The bits of one element, converted to little-endian.
    fn bits(self, bytes: &[u8]) -> u64 {
        let mut low_first = [0; 8];
        low_first[..bytes.len()].copy_from_slice(bytes);
        if self.big_endian {
            low_first[..bytes.len()].reverse();
        }
        u64::from_le_bytes(low_first)
    }

    /// An integer or boolean, exactly.
    pub(super) fn integer(self, bytes: &[u8]) -> i128 {
        let bits = self.bits(bytes);
        match self.form {
            Form::Signed => {
                let unused = 64 - 8 * bytes.len();
                i128::from((bits << unused).cast_signed() >> unused)
            }
            Form::Bool => i128::from(bits != 0),
            _ => i128::from(bits),
        }
    }

    /// Any element as a float.
    #[expect(clippy::cast_precision_loss, reason = "differences of large integers are taken before")]
    pub(super) fn float(self, bytes: &[u8]) -> f64 {
        let bits = self.bits(bytes);
        match (self.form, self.bytes) {
            (Form::Float, 2) => half(bits as u16),
            (Form::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Form::Float, _) => f64::from_bits(bits),
            (Form::Brain, _) => f64::from(f32::from_bits((bits as u32) << 16)),
            _ => self.integer(bytes) as f64,
        }
    }
}

/// A 16-bit float: one bit of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_by_their_parts() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2_f64.powi(-24)), (0x7c00, f64::INFINITY)];
        for (bits, value) in cases {
            assert_eq!(half(bits).to_bits(), f64::to_bits(value), "{bits:x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn integers_keep_sign_and_order_of_bytes() {
        let (big, name) = Element::of_numpy(">i2");
        assert_eq!((big.unwrap().integer(&[0xff, 0xfe]), name.as_str()), (-2, "i16"));
        let (little, _) = Element::of_numpy("<u8");
        assert_eq!(little.unwrap().integer(&[0xff; 8]), i128::from(u64::MAX));
        assert_eq!(Element::of_numpy("|O").0, None);
    }
}
