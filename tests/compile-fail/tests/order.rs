//! An order of layers that makes no sense does not compile, and the compiler says what to move.

#[test]
fn a_wrong_order_does_not_compile_and_our_message_is_what_is_read() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/right_order.rs");
    cases.compile_fail("tests/ui/*_above_the_balancer.rs");
    cases.compile_fail("tests/ui/*_below_the_balancer.rs");
}

/// The snapshots are the compiler's words; these are ours in them.
#[test]
fn every_wrong_order_is_answered_with_our_words() {
    let ui = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut seen = 0;
    for entry in std::fs::read_dir(ui).expect("the folder is there") {
        let path = entry.expect("can be read").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let Some(case) = name.strip_suffix(".stderr") else {
            continue;
        };
        let text = std::fs::read_to_string(&path).expect("can be read");
        let (label, way_out) = if case.ends_with("above_the_balancer") {
            (
                "this layer must sit below `LoadBalanceLayer`",
                "move this layer under `LoadBalanceLayer`",
            )
        } else {
            (
                "this layer must sit above `LoadBalanceLayer`",
                "move this layer over `LoadBalanceLayer`",
            )
        };
        assert!(
            text.contains(label) && text.contains(way_out),
            "{name}: {text}"
        );
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} wrong orders are written down");
}
