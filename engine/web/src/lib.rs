//! The page of pv: what people look at in a browser. Each view is a function from a store to HTML.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! address  addresses of views: the one place that builds them
//! media    what browsers show and play, by the ending of a name
//! look     who looks, at which store, from which address
//! assets   scripts and styles, in the binary
//! layout   where the nodes of a graph stand
//! parts    small pieces that views share: states, times, sizes, tables, forms, pages of a list
//! spec     specs of pipelines as text: shown, typed, with what is wrong at its line
//! frame    the document around a view
//! views    the views themselves, one file for each kind of thing
//! ```
//!
//! **An address holds the whole state of its view**: what is open, filtered, sorted, selected. So Back, reload and a shared link show the same.
//! **A view is made of regions.** A region is one element with an id; a browser asks for some of them with `?only=ID,ID` and gets what the
//! whole page has there, by the same function, so what is updated cannot differ from what is loaded. Scripts only update, upload and compare
//! pictures; everything else works without them.
//! **Text is text.** `maud` escapes it, and [`frame`] shows characters that would hide or turn text. Content of files is never part of a page
//! as HTML; it is shown by `<img>` and its like from addresses that answer with `Content-Security-Policy: sandbox`; PDF in a frame, by
//! the viewer of the browser, under a policy of its own.
//!
//! Nothing here answers a question (`answers`) or changes anything: forms post to the API's operations (`server::page`).

pub mod address;
pub mod assets;
pub mod frame;
pub mod layout;
pub mod look;
pub mod media;
mod parts;
mod spec;
pub mod views;

pub use frame::{Fault, View};
pub use look::Look;
pub use spec::{SpecProblem, Typed};
