//! How far estimates are from what `o200k_base` counts. The table in the documentation of
//! `tokens::estimate` is printed by
//! `cargo test -p ziggurat-catalog --features exact --test estimate -- --nocapture`.

use ziggurat_catalog::tokens::estimate;

/// A kind of text, a passage of it, and its tokens in `o200k_base`.
const PASSAGES: &[(&str, &str, u64)] = &[
    ("English", include_str!("passages/english.txt"), 120),
    ("German", include_str!("passages/german.txt"), 120),
    ("French", include_str!("passages/french.txt"), 118),
    ("Spanish", include_str!("passages/spanish.txt"), 115),
    ("Polish", include_str!("passages/polish.txt"), 150),
    ("Vietnamese", include_str!("passages/vietnamese.txt"), 140),
    ("Russian", include_str!("passages/russian.txt"), 124),
    ("Greek", include_str!("passages/greek.txt"), 165),
    ("Arabic", include_str!("passages/arabic.txt"), 127),
    ("Hindi", include_str!("passages/hindi.txt"), 141),
    ("Chinese", include_str!("passages/chinese.txt"), 140),
    ("Japanese", include_str!("passages/japanese.txt"), 173),
    ("Korean", include_str!("passages/korean.txt"), 151),
    ("Rust", include_str!("passages/program.rs.txt"), 181),
    ("Python", include_str!("passages/program.py.txt"), 196),
    ("JSON", include_str!("passages/request.json"), 184),
    ("Markdown", include_str!("passages/notes.md"), 170),
    ("CSV", include_str!("passages/numbers.csv"), 326),
    ("base64", include_str!("passages/base64.txt"), 414),
];

fn error(estimated: u64, counted: u64) -> f64 {
    estimated as f64 / counted as f64 - 1.0
}

#[test]
fn estimates_are_within_a_quarter_of_the_count() {
    let mut sum = 0.0;
    for (kind, text, counted) in PASSAGES {
        let error = error(estimate(text), *counted);
        println!(
            "{kind:10} {counted:4} tokens, estimate {:+5.1} %",
            error * 100.0
        );
        assert!(error.abs() < 0.25, "{kind}: {error}");
        sum += error.abs();
    }
    let mean = sum / PASSAGES.len() as f64;
    println!("mean {:.1} %", mean * 100.0);
    assert!(mean < 0.1, "{mean}");
}

#[cfg(feature = "exact")]
#[test]
fn the_counts_are_those_of_the_encoding() {
    for (kind, text, counted) in PASSAGES {
        let exact = ziggurat_catalog::exact::count("gpt-4o", text);
        assert_eq!(exact, Some(*counted), "{kind}");
    }
}
