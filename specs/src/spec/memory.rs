//! The memory limit of a datum: a fixed one, or one that grows whenever a try is killed at it.

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// The most memory that a datum gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MemoryLimit {
    /// So many bytes.
    Fixed(Quantity),
    /// More for each try of a datum, as long as it is killed for want of it.
    Growing(MemoryGrowth),
}

/// How the memory limit of a datum grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryGrowth {
    /// The limit that each datum begins with, in bytes; more than zero.
    pub start: Quantity,
    /// What a limit is multiplied by when it was not enough; from 1.1 to 10.
    pub factor: Quantity,
    /// The limit beyond which it does not grow, in bytes; more than `start`.
    pub max: Quantity,
}

impl MemoryLimit {
    /// The limit that each datum begins with, in bytes.
    pub fn start_bytes(&self) -> u64 {
        match self {
            Self::Fixed(limit) => limit.whole(),
            Self::Growing(growth) => growth.start.whole(),
        }
    }

    /// Whether a datum may get more than it begins with.
    pub fn can_grow(&self) -> bool {
        matches!(self, Self::Growing(_))
    }

    /// The limit after this one, in bytes, which is more; `None` if there is none.
    pub fn after(&self, limit_bytes: u64) -> Option<u64> {
        let Self::Growing(growth) = self else { return None };
        let grown = (u128::from(limit_bytes) * u128::from(growth.factor.thousandths())).div_ceil(1000);
        let next = u64::try_from(grown).unwrap_or(u64::MAX).min(growth.max.whole());
        (next > limit_bytes).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(start: &str, factor: &str, max: &str) -> MemoryLimit {
        let [start, factor, max] = [start, factor, max].map(|text| text.parse().unwrap());
        MemoryLimit::Growing(MemoryGrowth { start, factor, max })
    }

    fn limits(memory: &MemoryLimit) -> Vec<u64> {
        std::iter::successors(Some(memory.start_bytes()), |limit| memory.after(*limit)).collect()
    }

    #[test]
    fn a_limit_grows_to_its_maximum_and_no_further() {
        assert_eq!(limits(&growing("2Gi", "2", "12Gi")), [2 << 30, 4 << 30, 8 << 30, 12 << 30]);
        assert_eq!(limits(&growing("1000", "1.5", "2k")), [1000, 1500, 2000]);
        assert_eq!(limits(&growing("1", "1.1", "4")), [1, 2, 3, 4], "rounded up, so that it always grows");
        assert_eq!(growing("1", "10", "18P").after(u64::MAX), None);
        let fixed = MemoryLimit::Fixed("2Gi".parse().unwrap());
        assert!(limits(&fixed) == [2 << 30] && !fixed.can_grow());
    }

    #[test]
    fn a_factor_that_no_file_may_have_ends_the_growth() {
        assert_eq!(limits(&growing("2Gi", "0.5", "12Gi")), [2 << 30]);
    }
}
