//! The order of this crate's modules, as its documentation states it.

use std::path::Path;

#[test]
fn modules_keep_to_their_order() {
    tests::rooms::assert_order(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}
