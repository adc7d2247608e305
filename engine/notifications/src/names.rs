//! From names to addresses, within this process: a static binary has no other way.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Objection, Reach};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Looks names up as the system's `resolv.conf` and `hosts` say.
#[derive(Clone, Default)]
pub(crate) struct Names {
    /// Names with addresses of their own, looked up nowhere.
    known: Arc<BTreeMap<String, Vec<IpAddr>>>,
    /// Made at the first question, since it needs a runtime.
    resolver: Arc<OnceLock<TokioResolver>>,
}

impl Names {
    /// With addresses for some names.
    pub(crate) fn with(known: BTreeMap<String, Vec<IpAddr>>) -> Self {
        Self { known: Arc::new(known), resolver: Arc::default() }
    }

    /// The addresses of a name, or of an address as text; at least one.
    pub(crate) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        let addresses = match self.known.get(name) {
            Some(known) => known.clone(),
            None => self.ask(name).await?,
        };
        if addresses.is_empty() { Err(format!("{name} has no address").into()) } else { Ok(addresses) }
    }

    async fn ask(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let found =
            self.resolver()?.lookup_ip(name).await.map_err(|error| format!("cannot look up {name}: {error}"))?;
        Ok(found.iter().collect())
    }

    fn resolver(&self) -> io::Result<&TokioResolver> {
        if let Some(resolver) = self.resolver.get() {
            return Ok(resolver);
        }
        let made = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv6AndIpv4;
            builder.build()
        });
        let made = made.map_err(|error| io::Error::other(format!("no name servers in /etc/resolv.conf: {error}")))?;
        Ok(self.resolver.get_or_init(|| made))
    }
}

/// Looks names up for an HTTP client, and hides the addresses that it may not connect to. So the addresses that are checked are those that
/// are connected to, whatever the next look at the name would give.
pub(crate) struct Guard {
    pub(crate) names: Names,
    pub(crate) reach: Reach,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (self.names.clone(), self.reach);
        Box::pin(async move {
            let addresses = names.look_up(name.as_str()).await?;
            let allowed = allowed(reach, addresses)?;
            Ok(Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// The addresses that may be connected to; if there is none, why the first may not.
fn allowed(reach: Reach, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Objection> {
    let objection = addresses.first().and_then(|first| reach.objection(*first));
    let allowed: Vec<IpAddr> = addresses.into_iter().filter(|address| reach.objection(*address).is_none()).collect();
    match objection {
        Some(objection) if allowed.is_empty() => Err(objection),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_looked_up_here() {
        let names = Names::with([("hook.test".to_owned(), vec![IpAddr::from([8, 8, 8, 8])])].into());
        assert_eq!(names.look_up("hook.test").await.unwrap(), [IpAddr::from([8, 8, 8, 8])]);
        assert_eq!(names.look_up("[::1]").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        // No server is asked about this name.
        let own = names.look_up("localhost").await.unwrap();
        assert!(!own.is_empty() && own.iter().all(IpAddr::is_loopback), "{own:?}");
    }

    #[test]
    fn what_may_not_be_connected_to_is_hidden() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = addresses(&["10.0.0.1", "8.8.8.8", "::1"]);
        assert_eq!(allowed(Reach::Public, mixed.clone()).unwrap(), addresses(&["8.8.8.8"]));
        assert_eq!(allowed(Reach::Private, mixed.clone()).unwrap(), addresses(&["10.0.0.1", "::1"]));
        assert_eq!(allowed(Reach::Any, mixed.clone()).unwrap(), mixed);
        let error = allowed(Reach::Public, addresses(&["127.0.0.1"])).unwrap_err();
        assert!(error.to_string().starts_with("127.0.0.1 is an address of this machine"), "{error}");
    }
}
