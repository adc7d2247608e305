//! Users and groups from the sandbox's own `/etc/passwd` and `/etc/group`.
//!
//! The files are parsed here: the binary is static, and NSS would load libraries of the image.

use std::fs;
use std::io;
use std::thread;

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// The user that a command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, `gid` first, as a container engine sets them for a first process.
    pub(crate) groups: Vec<u32>,
    /// From `/etc/passwd`; `None` if the user is not in it.
    pub(crate) home: Option<String>,
}

impl Account {
    /// The account of `user` (name or id, with an optional `:group`); without one, the agent's own.
    pub(crate) fn find(user: Option<&str>) -> Result<Self, String> {
        // Without these files the sandbox has no names, but ids still work.
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let group = fs::read_to_string("/etc/group").unwrap_or_default();
        let own = (geteuid().as_raw(), getegid().as_raw());
        let found = parse(user, own, &passwd, &group)?;
        if found.uid != own.0 && own.0 != 0 {
            return Err(format!(
                "this sandbox runs commands as uid {} only, not as `{}`",
                own.0,
                user.unwrap_or_default()
            ));
        }
        Ok(found)
    }

    /// Whether the agent already runs as this account.
    pub(crate) fn is_own(&self) -> bool {
        self.uid == geteuid().as_raw() && self.gid == getegid().as_raw()
    }

    /// Runs `work` with exactly the rights of this account. On Linux, credentials belong to threads: a thread created for this assumes them
    /// and ends with it. So no code runs between the fork and the exec of a command.
    pub(crate) fn act<T: Send, E: From<io::Error> + Send>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        if self.is_own() {
            return work();
        }
        thread::scope(|scope| {
            let acting = thread::Builder::new().spawn_scoped(scope, || {
                self.take_on()?;
                work()
            })?;
            acting.join().unwrap_or_else(|_| Err(io::Error::other("the thread of the command's user failed").into()))
        })
    }

    fn take_on(&self) -> io::Result<()> {
        let (uid, gid) = self.owner();
        let groups: Vec<Gid> = self.groups.iter().map(|id| Gid::from_raw(*id)).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        Ok(set_thread_res_uid(uid, uid, uid)?)
    }

    /// Sets this account's groups on the agent if it is the agent's own and the agent is root; a command of another user gets them anyway.
    pub(crate) fn join_groups(&self) -> std::io::Result<()> {
        if !self.is_own() || !geteuid().is_root() {
            return Ok(());
        }
        let groups: Vec<Gid> = self.groups.iter().map(|id| Gid::from_raw(*id)).collect();
        Ok(rustix::thread::set_thread_groups(&groups)?)
    }

    pub(crate) fn owner(&self) -> (Uid, Gid) {
        (Uid::from_raw(self.uid), Gid::from_raw(self.gid))
    }
}

/// The home of a user, if `/etc/passwd` names one.
pub(super) fn home(uid: u32) -> Option<String> {
    Account::find(Some(&uid.to_string())).ok()?.home
}

/// The fields of the line of a passwd-like file whose id (third field) is `key` or, if that is not a number, whose name is `key`.
fn line<'a>(text: &'a str, key: &str) -> Option<Vec<&'a str>> {
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 3);
    match key.parse::<u32>() {
        Ok(id) => lines.find(|fields| fields[2].parse() == Ok(id)),
        Err(_) => lines.find(|fields| fields[0] == key),
    }
}

fn parse(user: Option<&str>, own: (u32, u32), passwd: &str, group: &str) -> Result<Account, String> {
    let own_name = own.0.to_string();
    let (name, group_name) = match user.filter(|user| !user.is_empty()) {
        None => (own_name.as_str(), None),
        Some(user) => match user.split_once(':') {
            None => (user, None),
            Some((user, group)) => (user, Some(group)),
        },
    };
    let entry = line(passwd, name);
    let number = |field: Option<&str>| field.and_then(|field| field.parse::<u32>().ok());
    let uid = number(entry.as_ref().map(|fields| fields[2])).or_else(|| number(Some(name)));
    let uid = uid.ok_or_else(|| format!("no user `{name}` in the sandbox's /etc/passwd"))?;
    let default_gid = if uid == own.0 { own.1 } else { 0 };
    let gid = match group_name {
        None => number(entry.as_ref().and_then(|fields| fields.get(3).copied())).unwrap_or(default_gid),
        Some(group_name) => number(line(group, group_name).map(|fields| fields[2]))
            .or_else(|| number(Some(group_name)))
            .ok_or_else(|| format!("no group `{group_name}` in the sandbox's /etc/group"))?,
    };
    let others = match &entry {
        Some(fields) if group_name.is_none() => groups_of(fields[0], gid, group),
        _ => Vec::new(),
    };
    let groups = std::iter::once(gid).chain(others).collect();
    let home = entry.and_then(|fields| fields.get(5).map(|home| (*home).to_owned())).filter(|home| !home.is_empty());
    Ok(Account { uid, gid, groups, home })
}

fn groups_of(name: &str, gid: u32, group: &str) -> Vec<u32> {
    let fields = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let member = fields.filter(|fields| fields.len() >= 4 && fields[3].split(',').any(|member| member == name));
    member.filter_map(|fields| fields[2].parse().ok()).filter(|id| *id != gid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nana:x:1000:100:Ana:/home/ana:/bin/sh\nbroken\n";
    const GROUP: &str = "users:x:100:\nvideo:x:44:bo,ana\naudio:x:63:ana\n";

    fn account(user: &str) -> Result<Account, String> {
        parse(Some(user), (0, 0), PASSWD, GROUP)
    }

    #[test]
    fn a_name_brings_its_groups_and_home() {
        let ana = Account { uid: 1000, gid: 100, groups: vec![100, 44, 63], home: Some("/home/ana".into()) };
        assert_eq!(account("ana").unwrap(), ana);
        assert_eq!(account("1000").unwrap(), ana);
    }

    #[test]
    fn a_group_replaces_all_others() {
        let expected = Account { uid: 1000, gid: 44, groups: vec![44], home: Some("/home/ana".into()) };
        assert_eq!(account("ana:video").unwrap(), expected);
        assert_eq!(account("7:9").unwrap(), Account { uid: 7, gid: 9, groups: vec![9], home: None });
        assert_eq!(account("7").unwrap().gid, 0);
    }

    #[test]
    fn a_number_is_never_a_name() {
        let passwd = "7:x:1000:1000::/home/seven:/bin/sh\n";
        let seven = parse(Some("7"), (0, 0), passwd, "").unwrap();
        assert_eq!((seven.uid, seven.gid, seven.home), (7, 0, None));
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(account("bob").unwrap_err().contains("`bob`"));
        assert!(account("ana:staff").unwrap_err().contains("`staff`"));
    }

    #[test]
    fn without_a_user_it_is_the_agents_own() {
        assert_eq!(parse(None, (0, 0), PASSWD, GROUP).unwrap().home.as_deref(), Some("/root"));
        assert_eq!(parse(None, (65534, 65534), "", "").unwrap().gid, 65534);
    }
}
