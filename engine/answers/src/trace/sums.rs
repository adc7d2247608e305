//! What read a file, summed up by pipeline.

use std::collections::{BTreeMap, BTreeSet};

use repos::documents::ResultState;
use specs::PipelineName;

use super::nodes::Reader;

/// Totals of the datums of one pipeline that read the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadersSum {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Datums that read it.
    pub datums: u64,
    /// Files that they wrote.
    pub files: u64,
    /// Datums that wrote nothing.
    pub without_files: u64,
    /// Number of datums that failed.
    pub failed: u64,
    /// Files of these that are at a head now.
    pub at_head: u64,
    /// The versions of the pipeline that they are of.
    pub versions: BTreeSet<u32>,
    /// The versions of those that wrote nothing.
    pub blind: BTreeSet<u32>,
    /// Inputs of the datum with the fewest.
    pub least_inputs: usize,
    /// Inputs of the datum with the most.
    pub most_inputs: usize,
}

impl ReadersSum {
    fn of(reader: &Reader) -> Self {
        Self {
            pipeline: reader.pipeline.clone(),
            datums: 0,
            files: 0,
            without_files: 0,
            failed: 0,
            at_head: 0,
            versions: BTreeSet::new(),
            blind: BTreeSet::new(),
            least_inputs: reader.inputs_count,
            most_inputs: reader.inputs_count,
        }
    }

    fn add(&mut self, reader: &Reader) {
        let files = reader.outputs.len() as u64;
        self.datums += 1;
        self.files += files;
        self.failed += u64::from(reader.state == ResultState::Failed);
        self.at_head += reader.outputs.iter().filter(|made| made.at_head).count() as u64;
        self.versions.insert(reader.version);
        self.least_inputs = self.least_inputs.min(reader.inputs_count);
        self.most_inputs = self.most_inputs.max(reader.inputs_count);
        if files == 0 {
            self.without_files += 1;
            self.blind.insert(reader.version);
        }
    }
}

/// Those who read it by pipeline, in the order in which these come.
pub fn by_pipeline(readers: &[Reader]) -> Vec<ReadersSum> {
    let mut sums: Vec<ReadersSum> = Vec::new();
    let mut places: BTreeMap<&PipelineName, usize> = BTreeMap::new();
    for reader in readers {
        let place = *places.entry(&reader.pipeline).or_insert_with(|| {
            sums.push(ReadersSum::of(reader));
            sums.len() - 1
        });
        sums[place].add(reader);
    }
    sums
}
