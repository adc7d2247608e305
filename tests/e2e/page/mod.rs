//! The page, in a real browser against the real binary.
//!
//! - `site` a server, directly and behind nginx; requests without a browser
//! - `stores` the stores that are looked at: one with a bit of everything, and a hostile one
//! - `login` how one comes in, and what happens when that ends
//! - `crawl` every link of every view, and what holds for each page; `policy` what holds for its bytes
//! - `rights` pages of others, and what each role may
//! - `senses` for those who do not see, or see little, or use no mouse
//! - `sights` what is looked at rather than read: a graph, a long log, a PDF
//! - `live` what changes while one looks
//! - `changes` what is changed: chosen and counted first
//! - `pinned` what stays as it was, and lists while commits arrive
//! - `story` an analyst's day, from pictures by way of two models' flags to a bundle
//! - `pictures` when two pictures differ to an eye; `make screenshots`
//!
//! Views are found by their links, so a new one is looked at without being named here.

mod changes;
mod crawl;
mod live;
mod login;
mod pictures;
mod pinned;
mod policy;
mod rights;
mod senses;
mod sights;
mod site;
mod stores;
mod story;
