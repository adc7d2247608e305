//! Which tensors a file has, and the bytes of each.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use safetensors::tensor::Metadata;
use zip::ZipArchive;

use super::element::Element;
use super::npy;
use crate::content::{Watched, read_full};
use crate::error::{Fit, Unfit};
use crate::kind::Kind;
use crate::limits::Limits;

/// A tensor as the file describes it.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) type_name: String,
    /// The encoding of its elements; `None` if they are not compared as numbers.
    pub(super) element: Option<Element>,
    /// Whether it is in column-major (Fortran) order.
    pub(super) by_columns: bool,
    /// Number of elements: the product of `shape`.
    pub(super) elements: u64,
    /// Offset of its first element in the file; in an archive, the number of its entry.
    pub(super) place: u64,
}

/// Metadata texts of a file, by key.
pub(super) type Texts = BTreeMap<String, String>;

/// A file of tensors.
pub(super) struct File<'a, 'c> {
    tensors: Vec<Tensor>,
    metadata: Texts,
    form: Form<'a, 'c>,
}

enum Form<'a, 'c> {
    /// The elements are stored directly in the file.
    Plain(&'a mut Watched<'c>),
    /// Each tensor is a `.npy` file in an archive.
    Archive(Box<ZipArchive<&'a mut Watched<'c>>>),
}

impl<'a, 'c> File<'a, 'c> {
    pub(super) fn open(kind: Kind, side: &'a mut Watched<'c>, limits: &Limits) -> Fit<Self> {
        match kind {
            Kind::Npz => Self::open_archive(side, limits),
            Kind::Safetensors => Self::open_safetensors(side, limits),
            _ => {
                let (mut tensor, start) = npy::header(side.rewind()?, "array")?;
                tensor.place = start;
                check_size(&tensor, side.size_bytes() - start.min(side.size_bytes()))?;
                Ok(Self { tensors: vec![tensor], metadata: Texts::new(), form: Form::Plain(side) })
            }
        }
    }

    pub(super) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The file's metadata.
    pub(super) fn metadata(&self) -> &Texts {
        &self.metadata
    }

    /// The bytes of a tensor's elements, possibly followed by more.
    pub(super) fn read(&mut self, tensor: &Tensor) -> Fit<Box<dyn Read + '_>> {
        match &mut self.form {
            Form::Plain(side) => {
                side.seek(SeekFrom::Start(tensor.place))?;
                let length = tensor.element.and_then(|element| tensor.elements.checked_mul(element.bytes as u64));
                Ok(Box::new(side.take(length.unwrap_or(u64::MAX))))
            }
            Form::Archive(archive) => {
                let mut entry = archive.by_index(tensor.place as usize).map_err(unfit)?;
                npy::header(&mut entry, &tensor.name)?;
                Ok(Box::new(entry))
            }
        }
    }

    fn open_archive(side: &'a mut Watched<'c>, limits: &Limits) -> Fit<Self> {
        check_directory(side, limits)?;
        let mut archive = ZipArchive::new(side.rewind()?).map_err(unfit)?;
        if archive.len() > limits.tensors {
            return Err(too_many(limits));
        }
        let mut tensors = Vec::with_capacity(archive.len());
        let mut left = limits.inflated_bytes;
        for number in 0..archive.len() {
            let mut entry = archive.by_index(number).map_err(unfit)?;
            let name = entry.name().map_err(unfit)?.into_owned();
            let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
            let unpacked = entry.size();
            left = left
                .checked_sub(unpacked)
                .ok_or_else(|| Unfit(format!("too much: it unpacks to more than {} bytes", limits.inflated_bytes)))?;
            let (mut tensor, start) = npy::header(&mut entry, &name)?;
            tensor.place = number as u64;
            check_size(&tensor, unpacked.saturating_sub(start))?;
            tensors.push(tensor);
        }
        Ok(Self { tensors, metadata: Texts::new(), form: Form::Archive(Box::new(archive)) })
    }

    fn open_safetensors(side: &'a mut Watched<'c>, limits: &Limits) -> Fit<Self> {
        let malformed = |why: String| Unfit::malformed("safetensors", why);
        let mut length = [0; 8];
        if read_full(side.rewind()?, &mut length)? < length.len() {
            return Err(malformed("it is too short".to_owned()));
        }
        let length = u64::from_le_bytes(length);
        if length > limits.header_bytes || length > side.size_bytes() {
            return Err(malformed("its header is too long".to_owned()));
        }
        let mut header = vec![0; length as usize];
        if read_full(side, &mut header)? < header.len() {
            return Err(malformed("it ends within its header".to_owned()));
        }
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
        let start = 8 + length;
        let mut tensors = Vec::new();
        for (name, info) in metadata.tensors() {
            let element = Element::of_safetensors(info.dtype);
            let tensor = Tensor {
                name,
                shape: info.shape.iter().map(|size| *size as u64).collect(),
                type_name: element.map_or_else(|| format!("{:?}", info.dtype).to_lowercase(), Element::name),
                element,
                by_columns: false,
                elements: info.shape.iter().map(|size| *size as u64).product(),
                place: start + info.data_offsets.0 as u64,
            };
            check_size(&tensor, side.size_bytes().saturating_sub(tensor.place))?;
            tensors.push(tensor);
        }
        if tensors.len() > limits.tensors {
            return Err(too_many(limits));
        }
        let texts = metadata.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect();
        Ok(Self { tensors, metadata: texts, form: Form::Plain(side) })
    }
}

fn unfit(error: zip::result::ZipError) -> Unfit {
    Unfit::malformed("archive", error)
}

fn too_many(limits: &Limits) -> Unfit {
    Unfit(format!("too much: it has more than {} tensors", limits.tensors))
}

/// Whether `bytes` are enough for all elements.
fn check_size(tensor: &Tensor, bytes: u64) -> Fit<()> {
    let Some(element) = tensor.element else { return Ok(()) };
    let needed = tensor.elements.checked_mul(element.bytes as u64);
    if needed.is_some_and(|needed| needed <= bytes) {
        return Ok(());
    }
    Err(Unfit::malformed("tensors", format_args!("`{}` has fewer bytes than its shape requires", tensor.name)))
}

/// Refuses an archive that claims more entries than the limit: memory for them would be allocated before they are read.
fn check_directory(side: &mut Watched<'_>, limits: &Limits) -> Fit<()> {
    const LOCATOR: &[u8] = b"PK\x06\x07";
    const RECORD: &[u8] = b"PK\x06\x06";
    let length = side.size_bytes().min((1 << 16) + 128);
    side.seek(SeekFrom::Start(side.size_bytes() - length))?;
    let mut end = vec![0; length as usize];
    read_full(side, &mut end)?;
    let is_large = end.windows(4).any(|window| window == LOCATOR || window == RECORD);
    if !is_large {
        return Ok(());
    }
    // Wherever the large record is, it counts the entries on this disk and in total.
    let counts = end
        .windows(40)
        .filter(|window| window.starts_with(RECORD))
        .flat_map(|window| [&window[24..32], &window[32..40]]);
    let most = counts.map(|count| u64::from_le_bytes(count.try_into().unwrap_or([u8::MAX; 8]))).max();
    match most {
        Some(most) if most <= limits.tensors as u64 => Ok(()),
        _ => Err(too_many(limits)),
    }
}
