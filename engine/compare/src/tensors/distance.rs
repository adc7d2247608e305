//! The distance between two tensors.

use std::io::Read;

use schemars::JsonSchema;
use serde::Serialize;

use super::element::Element;
use crate::content::read_full;
use crate::error::{Fit, Unfit};

/// Number of elements read at a time.
const AT_A_TIME: u64 = 1 << 16;

/// The distance between the new and the old elements. Pairs with an element that is not a finite number are counted, but excluded from the
/// sums.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Distance {
    /// Number of pairs of elements.
    pub elements: u64,
    /// Number of pairs that are not equal; two NaNs count as equal.
    pub changed: u64,
    /// Square root of the sum of squared differences.
    pub l2: f64,
    /// `l2` relative to the norm of the old elements; absent if that is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
    /// Largest absolute difference.
    pub max_abs: f64,
    /// Cosine of the angle between both as vectors; absent if one of them is zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
    /// Number of old elements that are NaN.
    pub old_nan: u64,
    /// Number of new elements that are NaN.
    pub new_nan: u64,
    /// Number of old elements that are infinite.
    pub old_infinite: u64,
    /// Number of new elements that are infinite.
    pub new_infinite: u64,
}

impl Distance {
    /// The size of the change, comparable between tensors of any length.
    pub(super) fn size(&self) -> f64 {
        let numbers_came_or_went = self.old_nan != self.new_nan || self.old_infinite != self.new_infinite;
        if numbers_came_or_went { f64::MAX } else { self.relative.unwrap_or(self.l2) }
    }
}

/// The bytes of the elements, and how to decode them.
type Elements<'r> = (Box<dyn Read + 'r>, Element);

#[derive(Default)]
struct Sums {
    told: Distance,
    squares: f64,
    old_squares: f64,
    new_squares: f64,
    products: f64,
}

pub(super) fn distance(old: Elements<'_>, new: Elements<'_>, elements: u64) -> Fit<Distance> {
    let ((mut old, old_element), (mut new, new_element)) = (old, new);
    let exact = old_element.is_integer() && new_element.is_integer();
    let mut sums = Sums::default();
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let mut left = elements;
    while left > 0 {
        let count = left.min(AT_A_TIME) as usize;
        fill(&mut *old, &mut one, count * old_element.bytes)?;
        fill(&mut *new, &mut other, count * new_element.bytes)?;
        let pairs = one.chunks_exact(old_element.bytes).zip(other.chunks_exact(new_element.bytes));
        for (old, new) in pairs {
            let (old_value, new_value) = (old_element.float(old), new_element.float(new));
            if exact {
                #[expect(clippy::cast_precision_loss, reason = "the difference is told as a float")]
                let difference = (new_element.integer(new) - old_element.integer(old)) as f64;
                sums.add(old_value, new_value, difference);
            } else {
                sums.add(old_value, new_value, new_value - old_value);
            }
        }
        left -= count as u64;
    }
    Ok(sums.finish(elements))
}

impl Sums {
    fn add(&mut self, old: f64, new: f64, difference: f64) {
        if !old.is_finite() || !new.is_finite() {
            let told = &mut self.told;
            told.old_nan += u64::from(old.is_nan());
            told.new_nan += u64::from(new.is_nan());
            told.old_infinite += u64::from(old.is_infinite());
            told.new_infinite += u64::from(new.is_infinite());
            let equal = old.is_nan() && new.is_nan() || old.is_infinite() && old.to_bits() == new.to_bits();
            told.changed += u64::from(!equal);
            return;
        }
        self.told.changed += u64::from(difference != 0.0);
        self.told.max_abs = self.told.max_abs.max(difference.abs());
        self.squares += difference * difference;
        self.old_squares += old * old;
        self.new_squares += new * new;
        self.products += old * new;
    }

    fn finish(self, elements: u64) -> Distance {
        let l2 = self.squares.sqrt();
        let finite = |value: f64| value.is_finite().then_some(value);
        let relative = finite(l2 / self.old_squares.sqrt());
        let cosine = finite(self.products / (self.old_squares.sqrt() * self.new_squares.sqrt()));
        Distance { elements, l2, relative, cosine: cosine.map(|cosine| cosine.clamp(-1.0, 1.0)), ..self.told }
    }
}

fn fill(from: &mut dyn Read, into: &mut Vec<u8>, length: usize) -> Fit<()> {
    into.resize(length, 0);
    if read_full(from, into)? < length {
        return Err(Unfit::malformed("tensors", "the file ends before the last element"));
    }
    Ok(())
}

/// Whether two streams of bytes are equal.
pub(super) fn is_equal(one: &mut dyn Read, other: &mut dyn Read) -> Fit<bool> {
    let (mut left, mut right) = (vec![0; AT_A_TIME as usize], vec![0; AT_A_TIME as usize]);
    loop {
        let (length, other_length) = (read_full(one, &mut left)?, read_full(other, &mut right)?);
        if left[..length] != right[..other_length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
    }
}
