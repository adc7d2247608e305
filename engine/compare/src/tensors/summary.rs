//! What a file of tensors holds: name, shape, type and statistics of each.

use std::io::Read;

use super::element::Element;
use super::open::{File, Tensor};
use crate::content::{Side, Watched, read_full};
use crate::error::{CompareError, Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;

/// Number of elements read at a time.
const AT_A_TIME: u64 = 1 << 14;

/// The tensors of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorList {
    /// Those that were asked for, in the file's order.
    pub tensors: Vec<TensorFacts>,
    /// The number of all tensors.
    pub count: usize,
    /// Texts of a `.safetensors` file, by key.
    pub metadata: Vec<(String, String)>,
}

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorFacts {
    /// Its name; `array` for a `.npy` file.
    pub name: String,
    /// Its element type: `f32`.
    pub type_name: String,
    /// Its shape; empty for a single number.
    pub shape: Vec<u64>,
    /// Number of elements.
    pub elements: u64,
    /// What its elements are like, or why that is not told.
    pub statistics: Result<Statistics, String>,
}

/// Statistics of the elements that are finite numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, of all elements.
    pub deviation: f64,
    /// Number of elements that are zero.
    pub zeros: u64,
    /// Number of elements that are not a number.
    pub nan: u64,
    /// Number of infinite elements.
    pub infinite: u64,
}

/// At most `take` tensors of a file after the first `skip`; elements are read while they have no more than `bytes` together. The reason, if
/// it is not a file of tensors or is malformed. Fails only if the file cannot be read.
pub fn tensors(
    side: Side<'_>,
    (skip, take): (usize, usize),
    bytes: u64,
    limits: &Limits,
) -> Result<Result<TensorList, String>, CompareError> {
    let mut side = Watched::new(side);
    let found = list(&mut side, (skip, take), bytes, limits);
    side.check()?;
    Ok(found.map_err(|unfit| unfit.0))
}

fn list(side: &mut Watched<'_>, (skip, take): (usize, usize), bytes: u64, limits: &Limits) -> Fit<TensorList> {
    let start = side.start(16)?;
    let kind = Kind::of(side.name(), &start);
    if !matches!(kind, Kind::Npy | Kind::Npz | Kind::Safetensors) {
        return Err(Unfit(format!("it is {}", kind.words())));
    }
    let mut file = File::open(kind, side, limits)?;
    let metadata = file.metadata().iter().map(|(key, text)| (key.clone(), text.clone())).collect();
    let (count, wanted) = (file.tensors().len(), file.tensors().iter().skip(skip).take(take).cloned());
    let (wanted, mut left, mut tensors) = (wanted.collect::<Vec<_>>(), bytes, Vec::new());
    for tensor in wanted {
        let statistics = match tensor.element {
            None => Err("its elements are not numbers".to_owned()),
            Some(element) => {
                let needed = tensor.elements.saturating_mul(element.bytes as u64);
                match left.checked_sub(needed) {
                    None => Err("too large to be read for a page".to_owned()),
                    Some(rest) => {
                        left = rest;
                        statistics(&mut *file.read(&tensor)?, element, tensor.elements)?
                    }
                }
            }
        };
        let Tensor { name, type_name, shape, elements, .. } = tensor;
        tensors.push(TensorFacts { name, type_name, shape, elements, statistics });
    }
    Ok(TensorList { tensors, count, metadata })
}

#[expect(clippy::cast_precision_loss, reason = "means of many elements")]
fn statistics(from: &mut dyn Read, element: Element, elements: u64) -> Fit<Result<Statistics, String>> {
    let mut told = Statistics {
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
        mean: 0.0,
        deviation: 0.0,
        zeros: 0,
        nan: 0,
        infinite: 0,
    };
    // By Welford: sums of squares alone lose the digits of values far from zero.
    let (mut left, mut seen, mut squares, mut bytes) = (elements, 0_u64, 0.0, Vec::new());
    while left > 0 {
        let count = left.min(AT_A_TIME) as usize;
        bytes.resize(count * element.bytes, 0);
        if read_full(from, &mut bytes)? < bytes.len() {
            return Err(Unfit::malformed("tensors", "the file ends before the last element"));
        }
        for value in bytes.chunks_exact(element.bytes).map(|bytes| element.float(bytes)) {
            told.nan += u64::from(value.is_nan());
            told.infinite += u64::from(value.is_infinite());
            if !value.is_finite() {
                continue;
            }
            seen += 1;
            told.zeros += u64::from(value == 0.0);
            told.least = told.least.min(value);
            told.most = told.most.max(value);
            let before = value - told.mean;
            told.mean += before / seen as f64;
            squares += before * (value - told.mean);
        }
        left -= count as u64;
    }
    if seen == 0 {
        return Ok(Err("it has no finite element".to_owned()));
    }
    told.deviation = (squares / seen as f64).sqrt();
    Ok(Ok(told))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(bytes: &[u8], most: u64) -> Result<TensorList, String> {
        let mut content = Cursor::new(bytes);
        let side = Side { name: "a.npy", size_bytes: bytes.len() as u64, content: &mut content, pieces: Vec::new() };
        tensors(side, (0, 10), most, &Limits::default()).unwrap()
    }

    fn npy(values: &[f32]) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}\n", values.len());
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    #[test]
    fn statistics_are_of_finite_elements_and_the_rest_is_counted() {
        let list = of(&npy(&[0.0, 2.0, 4.0, f32::NAN, f32::INFINITY]), 1 << 20).unwrap();
        let [tensor] = &list.tensors[..] else { panic!("one tensor") };
        assert_eq!((tensor.name.as_str(), tensor.type_name.as_str(), &tensor.shape[..]), ("array", "f32", &[5][..]));
        let told = tensor.statistics.as_ref().unwrap();
        assert_eq!((told.least, told.most, told.mean, told.zeros, told.nan, told.infinite), (0.0, 4.0, 2.0, 1, 1, 1));
        assert!((told.deviation - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_told_has_a_reason() {
        assert!(of(&npy(&[1.0; 9]), 8).unwrap().tensors[0].statistics.is_err());
        assert!(of(&npy(&[f32::NAN]), 8).unwrap().tensors[0].statistics.is_err());
        assert!(of(b"text", 8).is_err());
        let whole = npy(&[1.0; 9]);
        assert!(of(&whole[..whole.len() - 1], 1 << 20).is_err());
    }
}
