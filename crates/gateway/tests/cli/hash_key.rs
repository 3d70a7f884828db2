//! `ziggurat hash-key`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use ziggurat::config::KeyHash;

use crate::support::{ZIGGURAT, file, run};

/// What it prints for a key that is sent to it, and whether it ended well.
fn hash(key: &[u8]) -> (bool, String) {
    let mut command = Command::new(ZIGGURAT);
    command.arg("hash-key");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(key).expect("reads all");
    drop(stdin);
    let done = child.wait_with_output().expect("ends");
    let out = String::from_utf8(done.stdout).expect("is text");
    (done.status.success(), out)
}

#[test]
fn a_key_becomes_the_hash_that_a_configuration_takes() {
    let expected = format!("{}\n", KeyHash::of(b"sk-abc").reveal());
    assert_eq!(hash(b"sk-abc"), (true, expected.clone()));
    assert_eq!(hash(b"sk-abc\r\n"), (true, expected));
    for wrong in [&b""[..], b" \n", &[b'x'; 4097]] {
        assert_eq!(hash(wrong), (false, String::new()));
    }
}

#[test]
fn a_key_that_is_made_is_new_and_fits_its_hash() {
    let made = || {
        let told = run(["hash-key", "--generate"]).ok();
        let (key, hash) = told.trim().split_once('\n').expect("are two lines");
        let key = key.strip_prefix("key:  ").expect("is the key").to_owned();
        let hash = hash.strip_prefix("hash: ").expect("is the hash").to_owned();
        (key, hash)
    };
    let ((key, hash), (other, _)) = (made(), made());
    assert!(key.starts_with("sk-") && key.len() == 51 && key != other);
    assert_eq!(KeyHash::parse(&hash), Some(KeyHash::of(key.as_bytes())));
}

#[test]
fn a_request_is_explained_for_a_key_by_its_name() {
    const CONFIG: &str = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}}
  - {model_name: claude, litellm_params: {model: anthropic/m, api_key: k}}
general_settings: {master_key: sk-0123456789abcdef}
ziggurat_settings: {keys: [{name: alice, key: sk-alice-0123456789, models: [gpt]}]}
";
    let config = file("key_of_a_request", "config.yaml", CONFIG);
    let config = config.to_str().expect("is text");
    let told = |model: &str| {
        let body = format!(r#"{{"model": "{model}", "messages": []}}"#);
        run(["check", config, "--request", &body, "--key", "alice"]).ok()
    };
    assert!(!told("gpt").contains("not allowed"));
    assert!(told("claude").contains("key not allowed to access model"));
    let body = r#"{"model": "gpt", "messages": []}"#;
    let unknown = run(["check", config, "--request", body, "--key", "bob"]);
    assert!(unknown.failed().contains("no key of that name"));
    let story = run([
        "explain",
        config,
        "--request",
        r#"{"model": "claude", "messages": []}"#,
        "--key",
        "alice",
    ]);
    assert!(story.ok().contains("403"));
}
