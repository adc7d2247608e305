//! The kinds of errors: exit codes, HTTP statuses and retries follow from them.

/// The kind of an error, one for each exit code from 1 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The operation or a job failed.
    Failed,
    /// Wrong usage or an invalid spec.
    Usage,
    /// Something named does not exist.
    NotFound,
    /// The state does not allow it, such as a moved branch.
    Conflict,
    /// Stored data is damaged.
    Damaged,
    /// An executor, the network or disk space is not available.
    Unavailable,
    /// It would need `--yes` or another permission.
    Refused,
    /// The timeout was too short.
    TimedOut,
    /// Everything matches, but nothing proves whose statement it is: no key to verify signatures with, or no signature.
    Unchecked,
}

impl ErrorKind {
    /// All kinds, by exit code.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::Conflict,
        Self::Damaged,
        Self::Unavailable,
        Self::Refused,
        Self::TimedOut,
        Self::Unchecked,
    ];

    /// Its meaning, for people who look up an exit code.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "the operation or a job failed; with --exit-code also: something differs or is not current",
            Self::Usage => "wrong usage, or an invalid spec",
            Self::NotFound => "the named object does not exist",
            Self::Conflict => "the current state does not allow it, for example because a branch moved",
            Self::Damaged => "stored data is damaged",
            Self::Unavailable => "an executor, the network or disk space is unavailable",
            Self::Refused => "needs --yes or more rights",
            Self::TimedOut => "timed out",
            Self::Unchecked => "consistent, but the signer was not checked: no key was given, or nothing is signed",
        }
    }

    /// The exit code of a command that fails with this kind of error.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Damaged => 5,
            Self::Unavailable => 6,
            Self::Refused => 7,
            Self::TimedOut => 8,
            Self::Unchecked => 9,
        }
    }
}
