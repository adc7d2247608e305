//! The kinds of objects in a store.

/// The kind of an object. It is stored beside the digest, and an object can be read only as the kind it was written as, so no user file can
/// pose as a commit.
///
/// The numbers are part of the pack format and never change. Packs keep objects of unknown kinds untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A piece of file content, or all of it.
    Chunk = 1,
    /// How one file is cut into chunks; stored under the file's digest.
    Manifest = 2,
    /// A node of a tree or map.
    Node = 3,
    /// A commit document.
    Commit = 4,
    /// A pipeline's spec in its normal form.
    Spec = 5,
    /// What is executed: image, command, environment, code.
    Transform = 6,
    /// Transform and inputs of one datum.
    Recipe = 7,
    /// One finished execution of a recipe.
    Result = 8,
    /// The output of one try.
    Log = 9,
    /// A signature of a commit.
    Signature = 10,
    /// One version of a pipeline: spec, transform, image, code.
    Version = 11,
    /// Details of a finished job that may be dropped later: counts, reasons, times.
    Job = 12,
    /// The message of a tag.
    Tag = 13,
    /// The result of executing the datums of a commit again.
    Certificate = 14,
}

/// Which packs an object is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackClass {
    /// Nodes and documents: small, read often, always kept locally as a whole.
    Meta,
    /// Chunks and logs.
    Data,
}

impl Kind {
    /// All kinds this version knows.
    pub const ALL: [Self; 14] = [
        Self::Chunk,
        Self::Manifest,
        Self::Node,
        Self::Commit,
        Self::Spec,
        Self::Transform,
        Self::Recipe,
        Self::Result,
        Self::Log,
        Self::Signature,
        Self::Version,
        Self::Job,
        Self::Tag,
        Self::Certificate,
    ];

    /// The packs that objects of this kind go to.
    pub const fn class(self) -> PackClass {
        match self {
            Self::Chunk | Self::Log => PackClass::Data,
            _ => PackClass::Meta,
        }
    }

    /// The kind with this number; `None` for a kind of a newer version.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The word shown to people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Manifest => "manifest",
            Self::Node => "node",
            Self::Commit => "commit",
            Self::Spec => "spec",
            Self::Transform => "transform",
            Self::Recipe => "recipe",
            Self::Result => "result",
            Self::Log => "log",
            Self::Signature => "signature",
            Self::Version => "version",
            Self::Job => "job",
            Self::Tag => "tag",
            Self::Certificate => "certificate",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl PackClass {
    /// The folder below `packs`, and the word in a pack's header.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Data => "data",
        }
    }

    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Meta, Self::Data];
}
