//! URLs of places, and the credentials to reach them.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};

use super::Place;
use crate::base::error::RepoError;

/// Timeout for one attempt of a request, including its body.
const REQUEST: Duration = Duration::from_mins(2);
/// Timeout for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Number of retries, unless `AWS_MAX_ATTEMPTS` sets it.
const RETRIES: usize = 6;

/// Credentials and options for object stores: `AWS_…` variables, as other S3 tools use them. Never stored.
#[derive(Clone, Default)]
pub struct Access {
    variables: Vec<(String, String)>,
}

impl std::fmt::Debug for Access {
    /// Values are secrets, so only names are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.iter().map(|(name, _)| name)).finish()
    }
}

impl Access {
    /// From names and values; names that do not begin with `AWS_` are ignored.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let used = variables.into_iter().filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        Self { variables: used.collect() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn retry(&self) -> RetryConfig {
        let attempts = self.get("AWS_MAX_ATTEMPTS").and_then(|attempts| attempts.parse::<usize>().ok());
        RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(100), ..BackoffConfig::default() },
            max_retries: attempts.map_or(RETRIES, |attempts| attempts.saturating_sub(1)),
            retry_timeout: REQUEST,
        }
    }
}

pub(super) fn open(given: &str, access: &Access) -> Result<Place, RepoError> {
    let url = given.trim_end_matches('/');
    let (base, objects) = match url.split_once("://") {
        Some(("s3", rest)) => s3(given, rest, access)?,
        Some(("file", folder)) if folder.starts_with('/') => (Path::default(), folder_of(given, folder)?),
        #[cfg(any(test, feature = "testing"))]
        Some(("memory", _)) => (Path::default(), Arc::new(object_store::memory::InMemory::new()) as _),
        _ => return Err(unknown(given)),
    };
    Ok(Place { url: url.into(), base, objects, is_sorted: !url.starts_with("file:") })
}

fn usage(what: String, hint: &str) -> RepoError {
    RepoError::Usage { what, hint: Some(hint.to_owned()) }
}

fn unknown(url: &str) -> RepoError {
    usage(
        format!("`{url}` is not the URL of an object store"),
        "s3://BUCKET/PREFIX with the usual AWS variables, or file:///FOLDER",
    )
}

fn s3(url: &str, rest: &str, access: &Access) -> Result<(Path, Arc<dyn ObjectStore>), RepoError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        return Err(usage(
            "a URL must not contain credentials, because it is stored".to_owned(),
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and leave them out of the URL",
        ));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let base = Path::parse(prefix).map_err(|_| unknown(url))?;
    if bucket.is_empty() || !bucket.chars().all(is_plain) {
        return Err(unknown(url));
    }
    let endpoint = access.get("AWS_ENDPOINT_URL_S3").or_else(|| access.get("AWS_ENDPOINT_URL"));
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) && access.get("AWS_ALLOW_HTTP").is_none() {
        return Err(usage(
            "AWS_ENDPOINT_URL is an http URL: others can read everything sent to it".to_owned(),
            "use https, or set AWS_ALLOW_HTTP=true",
        ));
    }
    // Without a default provider the client could not speak TLS; a second call changes nothing.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = AmazonS3Builder::new();
    // DNS lookups happen inside this process: the binary is static and must not load the system's name service.
    let options = ClientOptions::default()
        .with_timeout(REQUEST)
        .with_connect_timeout(CONNECT)
        .with_config(ClientConfigKey::RandomizeAddresses, "false");
    builder = builder.with_client_options(options).with_retry(access.retry()).with_bucket_name(bucket);
    for (name, value) in &access.variables {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            && !matches!(key, AmazonS3ConfigKey::Bucket)
        {
            builder = builder.with_config(key, value);
        }
    }
    let objects = builder.build().map_err(|source| RepoError::Place {
        doing: "use",
        url: url.to_owned(),
        source: Box::new(source.into()),
    })?;
    Ok((base, Arc::new(objects)))
}

/// A folder as a place. It is created only if its parent exists, so that a wrong path or an unmounted disk creates nothing.
fn folder_of(url: &str, folder: &str) -> Result<Arc<dyn ObjectStore>, RepoError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| RepoError::Place {
        doing: "use",
        url: url.to_owned(),
        source: Box::new(source),
    };
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error.into())),
        _ => {}
    }
    let files = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.into()))?;
    Ok(Arc::new(files.with_fsync(true)))
}
