//! Compares `.npy`, `.npz` and `.safetensors`, tensor by tensor.
//!
//! - `open`: which tensors a file has, and the bytes of each; `npy`: the header of numpy's format
//! - `element`: decodes numbers from bytes
//! - `distance`: the distance between two tensors, read chunk by chunk
//! - `summary`: what one file holds, with statistics
//!
//! Pickled objects are never unpickled.

mod distance;
mod element;
mod npy;
mod open;
mod summary;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::Watched;
use crate::error::Fit;
use crate::kind::Kind;
use crate::limits::Limits;
use crate::text::{shortened, shortened_pair};

pub use distance::Distance;
use open::{File, Tensor, Texts};
pub use summary::{Statistics, TensorFacts, TensorList, tensors};

/// How the tensors of two files differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct TensorsDiff {
    /// Number of tensors only on the new side.
    pub added: usize,
    /// Number of tensors only on the old side.
    pub removed: usize,
    /// Number of tensors whose shape changed.
    pub reshaped: usize,
    /// Number of tensors whose element type changed, with the same shape.
    pub retyped: usize,
    /// Number of tensors with the same shape and type whose elements changed.
    pub changed: usize,
    /// Number of equal tensors.
    pub unchanged: usize,
    /// The first that differ: added, removed and reshaped ones, then those that changed most.
    pub tensors: Vec<TensorDiff>,
    /// Differences in the metadata of a `.safetensors` file, by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<MetadataChange>,
    /// Number of metadata differences that are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub metadata_left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A metadata text that changed, or exists on one side only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct MetadataChange {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// How a tensor changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields of `TensorsDiff` say what they mean")]
pub enum TensorChange {
    Added,
    Removed,
    Reshaped,
    Retyped,
    Changed,
}

/// A tensor that differs between the sides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TensorDiff {
    /// Its name; `array` for a `.npy` file.
    pub name: String,
    /// How it changed.
    pub change: TensorChange,
    /// Its old shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_shape: Option<Vec<u64>>,
    /// Its new shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_shape: Option<Vec<u64>>,
    /// Its old element type: `f32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_type: Option<String>,
    /// Its new element type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_type: Option<String>,
    /// The distance between the new and the old elements; absent if they are not pairs of numbers.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// Why there is no distance although one would be expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

pub(crate) fn compare(kind: Kind, old: &mut Watched<'_>, new: &mut Watched<'_>, limits: &Limits) -> Fit<TensorsDiff> {
    let mut old = File::open(kind, old, limits).map_err(|unfit| unfit.on("old"))?;
    let mut new = File::open(kind, new, limits).map_err(|unfit| unfit.on("new"))?;
    let mut names: BTreeMap<String, (Option<Tensor>, Option<Tensor>)> = BTreeMap::new();
    for tensor in old.tensors() {
        names.entry(tensor.name.clone()).or_default().0 = Some(tensor.clone());
    }
    for tensor in new.tensors() {
        names.entry(tensor.name.clone()).or_default().1 = Some(tensor.clone());
    }
    let mut found = TensorsDiff::default();
    found.tell_metadata(old.metadata(), new.metadata(), limits);
    for (name, sides) in names {
        let Some(tensor) = pair(name, &sides, &mut old, &mut new)? else {
            found.unchanged += 1;
            continue;
        };
        *match tensor.change {
            TensorChange::Added => &mut found.added,
            TensorChange::Removed => &mut found.removed,
            TensorChange::Reshaped => &mut found.reshaped,
            TensorChange::Retyped => &mut found.retyped,
            TensorChange::Changed => &mut found.changed,
        } += 1;
        found.tensors.push(tensor);
    }
    found.tensors.sort_by(|one, other| {
        let size = |tensor: &TensorDiff| tensor.distance.as_ref().map_or(f64::INFINITY, Distance::size);
        let group = |tensor: &TensorDiff| tensor.change.min(TensorChange::Retyped);
        group(one).cmp(&group(other)).then(size(other).total_cmp(&size(one))).then_with(|| one.name.cmp(&other.name))
    });
    found.tensors.truncate(limits.listed);
    Ok(found)
}

impl TensorsDiff {
    fn tell_metadata(&mut self, old: &Texts, new: &Texts, limits: &Limits) {
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
            if self.metadata.len() >= limits.listed {
                self.metadata_left_out += 1;
                continue;
            }
            let most = limits.shown_characters;
            let (old, new) = match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => {
                    let (old, new) = shortened_pair(old, new, most);
                    (Some(old), Some(new))
                }
                (old, new) => (old.map(|text| shortened(text, most)), new.map(|text| shortened(text, most))),
            };
            self.metadata.push(MetadataChange { key: key.clone(), old, new });
        }
    }
}

/// The differences between two tensors with the same name; `None` if they are equal.
fn pair(
    name: String,
    (old, new): &(Option<Tensor>, Option<Tensor>),
    old_file: &mut File<'_, '_>,
    new_file: &mut File<'_, '_>,
) -> Fit<Option<TensorDiff>> {
    let mut diff = TensorDiff {
        name,
        change: TensorChange::Changed,
        old_shape: old.as_ref().map(|tensor| tensor.shape.clone()),
        new_shape: new.as_ref().map(|tensor| tensor.shape.clone()),
        old_type: old.as_ref().map(|tensor| tensor.type_name.clone()),
        new_type: new.as_ref().map(|tensor| tensor.type_name.clone()),
        distance: None,
        why: None,
    };
    let (Some(old), Some(new)) = (old, new) else {
        diff.change = if old.is_none() { TensorChange::Added } else { TensorChange::Removed };
        return Ok(Some(diff));
    };
    if old.shape != new.shape {
        diff.change = TensorChange::Reshaped;
        return Ok(Some(diff));
    }
    let is_retyped = old.type_name != new.type_name;
    if is_retyped {
        diff.change = TensorChange::Retyped;
    }
    let has_other_order = old.by_columns != new.by_columns && old.shape.len() > 1;
    match (old.element, new.element) {
        (Some(_), Some(_)) if has_other_order => {
            diff.why = Some("one is stored by rows, the other by columns".to_owned());
            return Ok(Some(diff));
        }
        (Some(old_element), Some(new_element)) => {
            let (one, other) = (old_file.read(old)?, new_file.read(new)?);
            diff.distance = Some(distance::distance((one, old_element), (other, new_element), old.elements)?);
        }
        _ => {
            let (mut one, mut other) = (old_file.read(old)?, new_file.read(new)?);
            let same = !is_retyped && !has_other_order && distance::is_equal(&mut *one, &mut *other)?;
            diff.why = Some("its elements are not comparable numbers".to_owned());
            return Ok((!same).then_some(diff));
        }
    }
    let is_equal = diff.distance.as_ref().is_some_and(|distance| distance.changed == 0);
    Ok((is_retyped || !is_equal).then_some(diff))
}

/// Names, element types and shapes of at most `most` tensors, and how many more there are: `w float32 3 × 4`.
pub(crate) fn outline(kind: Kind, side: &mut Watched<'_>, limits: &Limits, most: usize) -> Fit<(Vec<String>, usize)> {
    let file = open::File::open(kind, side, limits)?;
    let line = |tensor: &open::Tensor| {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let shape = if shape.is_empty() { "one number".to_owned() } else { shape.join(" × ") };
        format!("{}   {}   {shape}", tensor.name, tensor.type_name)
    };
    let tensors = file.tensors();
    Ok((tensors.iter().take(most).map(line).collect(), tensors.len().saturating_sub(most)))
}
