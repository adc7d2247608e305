//! The order of the modules in `src/lib.rs`.

#[test]
fn no_module_knows_one_above_it() {
    tests::rooms::assert_order(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
}
