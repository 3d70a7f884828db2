//! What the targets have found worth keeping, again and without a fuzzer.

use std::{fs, path::Path};

/// All that is kept for a target.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let files = fs::read_dir(root.join(target)).expect("there is a corpus");
    let files = files.map(|file| file.expect("can be listed").path());
    let mut kept: Vec<_> = files
        .map(|file| {
            let bytes = fs::read(&file).expect("can be read");
            (file.display().to_string(), bytes)
        })
        .collect();
    assert!(!kept.is_empty(), "something is kept for {target}");
    kept.sort();
    kept
}

macro_rules! replays {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            for (name, bytes) in kept(stringify!($target)) {
                let tried = std::panic::catch_unwind(|| super::$target(&bytes));
                assert!(tried.is_ok(), "{name}");
            }
        }
    )*};
}

replays! { answers errors events frames multipart requests sse }
