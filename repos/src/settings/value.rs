//! Which texts are valid for which type.

use std::num::NonZeroU64;
use std::path::PathBuf;

use specs::{BranchName, Duration, Network, SecretName};

use super::{MailAddress, MailServer};
use crate::documents::ExecutorKind;

/// A type of setting values.
pub trait Value: Sized {
    /// Parses a text; `None` if it is not a valid value.
    fn read(text: &str) -> Option<Self>;
}

/// The name of an image: not empty, without spaces and control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName(pub String);

/// Folders of this machine, each an absolute path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPaths(pub Vec<PathBuf>);

/// The URL of a server, without a `/` at its end: `http` or `https`, a host, and nothing that is secret or asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(pub String);

/// The name of something in a cluster: lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName(pub String);

/// A Pod Security Standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodSecurity {
    /// The agent in a pod is root with few capabilities.
    Baseline,
    /// Nothing in a pod is root.
    Restricted,
}

/// What to do about ticks that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedTicks {
    /// Make the newest.
    One,
    /// Make all.
    All,
    /// Make none.
    None,
}

/// Unset is `None`.
macro_rules! optional {
    ($($type:ty),+) => { $(
        impl Value for Option<$type> {
            fn read(text: &str) -> Option<Self> {
                if text.is_empty() { Some(None) } else { <$type>::read(text).map(Some) }
            }
        }
    )+ };
}
optional!(ClusterName, Duration, ImageName, MailAddress, MailServer, NonZeroU64, SecretName, ServerUrl);

impl Value for BranchName {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for Duration {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for SecretName {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for bool {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for u64 {
    fn read(text: &str) -> Option<Self> {
        // `parse` would also accept a sign.
        text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

impl Value for NonZeroU64 {
    fn read(text: &str) -> Option<Self> {
        u64::read(text).and_then(Self::new)
    }
}

impl Value for ImageName {
    fn read(text: &str) -> Option<Self> {
        let is_one = !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        is_one.then(|| Self(text.to_owned()))
    }
}

impl Value for ServerUrl {
    fn read(text: &str) -> Option<Self> {
        let host_and_path = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let host = host_and_path.split('/').next().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:[]".contains(&byte);
        let is_one =
            host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && host_and_path.bytes().all(is_plain);
        is_one.then(|| Self(text.trim_end_matches('/').to_owned()))
    }
}

impl Value for HostPaths {
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let is_one = |path: &str| path.starts_with('/') && !path.chars().any(char::is_control);
        text.split(':').map(|path| is_one(path).then(|| path.into())).collect::<Option<_>>().map(Self)
    }
}

/// `auto` is `None`: the first executor that answers is chosen.
impl Value for Option<ExecutorKind> {
    fn read(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(None),
            "docker" => Some(Some(ExecutorKind::Docker)),
            "process" => Some(Some(ExecutorKind::Process)),
            "workers" => Some(Some(ExecutorKind::Workers)),
            "kubernetes" => Some(Some(ExecutorKind::Kubernetes)),
            _ => None,
        }
    }
}

impl Value for ClusterName {
    fn read(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_one = (1..=63).contains(&text.len())
            && text.bytes().all(is_plain)
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_one.then(|| Self(text.to_owned()))
    }
}

impl Value for PodSecurity {
    fn read(text: &str) -> Option<Self> {
        match text {
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

impl Value for Network {
    fn read(text: &str) -> Option<Self> {
        [Self::Default, Self::None].into_iter().find(|network| network.to_string() == text)
    }
}

impl Value for MissedTicks {
    fn read(text: &str) -> Option<Self> {
        match text {
            "one" => Some(Self::One),
            "all" => Some(Self::All),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}
