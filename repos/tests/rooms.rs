//! The order of the modules in `src/lib.rs`, and within those modules that define one.

#[test]
fn no_room_knows_one_above_it() {
    tests::rooms::assert_order(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
}
