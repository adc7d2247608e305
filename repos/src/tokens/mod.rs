//! Tokens: what people and programs show to a server, and the log of what was done with them.
//!
//! - `token`: the text of a token
//! - `file`: the tokens of a store, in `.pv/tokens`
//! - `audit`: who did what, when and from where, in `.pv/audit`; who read what, in `.pv/reads`
//!
//! These files belong to this place: they are in no pack, no journal record and no mirror, and neither `gc` nor `fsck` touches them. Not
//! here: what a token allows (`access`).

mod audit;
mod file;
mod token;

pub use audit::{Audit, AuditFilter, AuditLine};
pub use file::{NewToken, TokenRow, TokenState, Tokens, WhyNot};
pub use token::{Token, TokenError};
