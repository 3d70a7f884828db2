//! Each file in `broken/` is refused with exactly the lines in the `.txt` beside it.

use std::{fs, path::PathBuf};

use ziggurat_config::Plan;

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn corpus() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    assert!(files.len() > 20, "the corpus is whole");
    files
}

#[test]
fn every_broken_file_is_refused_and_every_line_says_why() {
    for path in corpus() {
        let text = fs::read_to_string(&path).expect("is text");
        let problems = Plan::parse(&text, "config.yaml", environment)
            .expect_err(&path.display().to_string())
            .to_string();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert_eq!(
            problems.trim_end(),
            expected.trim_end(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn no_problem_tells_a_credential() {
    for path in corpus() {
        let text = fs::read_to_string(&path).expect("is text");
        let problems = Plan::parse(&text, "config.yaml", environment);
        let told = problems.expect_err("is broken").to_string();
        assert!(!told.contains("hunter2"), "{}: {told}", path.display());
        assert!(!told.contains("sk-live"), "{}: {told}", path.display());
    }
}
