//! The order of the rooms in `src/lib.rs`, and of the modules in those rooms that have one.

#[test]
fn no_room_knows_one_above_it() {
    tests::rooms::assert_order(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
}
