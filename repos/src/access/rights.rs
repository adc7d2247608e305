//! What concerns the whole store.

use super::Role;

/// What concerns the whole store, so that a limit to some repositories excludes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// To check or verify the whole store, and to read what covers all of it.
    Check,
    /// To change settings.
    Settings,
    /// To list, create and delete secrets.
    Secrets,
    /// To replace the signing key, and to trust others.
    Keys,
    /// To list, create and revoke tokens, and to read the audit log.
    Tokens,
    /// To collect garbage, and to repair.
    Collect,
    /// To mirror the store.
    Mirror,
    /// To load and save images.
    Images,
    /// To try pipelines with folders of the host, or with a shell.
    Host,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Check,
        Self::Settings,
        Self::Secrets,
        Self::Keys,
        Self::Tokens,
        Self::Collect,
        Self::Mirror,
        Self::Images,
        Self::Host,
    ];

    /// The role that it needs, with all repositories.
    pub const fn role(self) -> Role {
        match self {
            Self::Check => Role::Reader,
            Self::Settings
            | Self::Secrets
            | Self::Keys
            | Self::Tokens
            | Self::Collect
            | Self::Mirror
            | Self::Images
            | Self::Host => Role::Admin,
        }
    }

    /// What it allows, after `may not`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Check => "check the whole store",
            Self::Settings => "change settings",
            Self::Secrets => "use secrets",
            Self::Keys => "change keys",
            Self::Tokens => "see or change tokens and the audit log",
            Self::Collect => "collect garbage or repair the store",
            Self::Mirror => "mirror the store",
            Self::Images => "load or save images",
            Self::Host => "use folders of the host or a shell",
        }
    }
}
