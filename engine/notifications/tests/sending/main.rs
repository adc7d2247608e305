//! Sending to receivers that are made of other people's libraries (`tests::receivers`).

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod mail;
mod support;
mod webhooks;
