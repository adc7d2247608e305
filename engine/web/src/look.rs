//! Who looks, at which store, from which address.

use engine::live::Live;
use repos::access::{Access, Role};
use repos::{Store, Timestamp};

use crate::address::Address;

/// Somebody's look at a view.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The store, as far as they may see it.
    pub store: &'a Store,
    /// What the engine does now.
    pub live: &'a Live,
    /// Who it is, and what they may do. Forms for what they may not do are left out.
    pub access: &'a Access,
    /// The path before all addresses, without a `/` at its end.
    pub base: &'a str,
    /// The address of this view with its query, without the base path.
    pub here: &'a str,
    /// Now.
    pub now: Timestamp,
}

impl Look<'_> {
    /// An address as a browser uses it.
    pub fn link(&self, address: &Address) -> String {
        address.under(self.base)
    }

    /// Whether the page shows a past state, by the parameter `at`.
    pub fn is_past(&self) -> bool {
        let query = self.here.split_once('?').map_or("", |(_, query)| query);
        query.split('&').any(|pair| pair.starts_with("at="))
    }

    /// Whether they may do what this role may.
    pub fn may(&self, role: Role) -> bool {
        self.access.role >= role
    }

    /// Whether they may do what this role may, in the whole store.
    pub fn may_everywhere(&self, role: Role) -> bool {
        self.may(role) && self.access.sees_all()
    }
}
