//! Tells a service manager such as systemd how far this process is: the protocol of `sd_notify(3)`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::invocation::Environment;

/// The service manager that started this process, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that this process lives.
    alive_each: Option<Duration>,
}

impl Manager {
    /// The manager that the environment names: `NOTIFY_SOCKET` is a path or, after `@`, an abstract name; `WATCHDOG_USEC` is the time after
    /// which it takes a silent process for dead.
    pub(crate) fn of(env: &Environment) -> Self {
        let Some(name) = env.get("NOTIFY_SOCKET") else { return Self::default() };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let socket = address.and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        let socket = socket.inspect_err(|error| tracing::warn!("NOTIFY_SOCKET cannot be used: {error}")).ok();
        let is_own = env.get("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = env.get("WATCHDOG_USEC").filter(|_| is_own).and_then(|text| text.parse::<u64>().ok());
        Self { socket, alive_each: micros.filter(|micros| *micros > 0).map(|micros| Duration::from_micros(micros / 2)) }
    }

    /// It takes work.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// It ends in order.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Says that this process lives, as often as is wanted, for ever.
    pub(crate) async fn live(&self) {
        let Some(pause) = self.alive_each else { return std::future::pending().await };
        loop {
            self.send("WATCHDOG=1");
            tokio::time::sleep(pause).await;
        }
    }

    fn send(&self, what: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            tracing::warn!("the service manager cannot be told `{what}`: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(name: &str, watchdog: Option<&str>) -> Manager {
        let pairs = [("NOTIFY_SOCKET", Some(name)), ("WATCHDOG_USEC", watchdog)];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into())));
        Manager::of(&Environment::new(pairs))
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_hears_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let told = manager(path.to_str().unwrap(), None);
        told.ready();
        told.stopping();
        assert_eq!((heard(&by_path), heard(&by_path)), ("READY=1".to_owned(), "STOPPING=1".to_owned()));
        let name = format!("pv-test-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager(&format!("@{name}"), None).ready();
        assert_eq!(heard(&abstract_one), "READY=1");
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_that_it_lives_twice_in_each_period() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let told = manager(path.to_str().unwrap(), Some("2000000"));
        tokio::time::timeout(Duration::from_millis(2500), told.live()).await.unwrap_err();
        for _ in 0..3 {
            assert_eq!(heard(&socket), "WATCHDOG=1");
        }
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut [0; 8]).unwrap_err();
    }

    #[test]
    fn without_a_manager_nothing_is_sent() {
        Manager::of(&Environment::new([])).ready();
        manager("/no/such/folder/notify", None).ready();
    }
}
