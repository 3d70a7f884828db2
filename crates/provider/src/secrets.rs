//! What a deployment proves with who asks. It must not come back in what a provider says.

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderValue};
use memchr::memmem;
use serde::Deserialize;
use ziggurat_core::{Deployment, Secret};

/// What is shorter is a word like any other.
const SHORTEST: usize = 6;
/// From which length on a beginning is told apart from other words, and of secrets from which length.
const SHORTEST_PART: usize = 8;
const LONG: usize = 16;

/// Parameters that are no secret; every other one is.
const PUBLIC: [&str; 14] = [
    "api_version",
    "aws_bedrock_runtime_endpoint",
    "aws_region_name",
    "azure_authority_host",
    "azure_scope",
    "client_id",
    "model",
    "model_id",
    "tenant_id",
    "use_chat_completions_api",
    "vertex_location",
    "vertex_project",
    "input_type",
    "task_type",
];

/// The secrets of a deployment, in all forms in which they are repeated: as they are, in JSON, in an
/// address, in base64, and cut off.
pub(crate) struct Secrets {
    /// Longest first.
    forms: Vec<Box<str>>,
    /// Of which a beginning is one too.
    long: Vec<Box<str>>,
}

impl Secrets {
    /// Those of that deployment.
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let mut secrets = Self {
            forms: Vec::new(),
            long: Vec::new(),
        };
        if let Some(credential) = deployment.credential() {
            secrets.add(credential.expose());
        }
        for (_, value) in deployment.headers() {
            secrets.add(value);
            // Behind the name of a scheme.
            if let Some((_, proof)) = value.split_once(' ') {
                secrets.add(proof);
            }
        }
        for name in deployment.params().filter(|name| !PUBLIC.contains(name)) {
            let value = deployment.param(name).unwrap_or_default();
            secrets.add(value);
            secrets.add_file(value);
        }
        let forms = &mut secrets.forms;
        forms.sort_unstable_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
        forms.dedup();
        secrets
    }

    fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return;
        }
        if secret.len() >= LONG {
            self.long.push(secret.into());
        }
        self.forms.push(secret.into());
        let json = serde_json::Value::from(secret).to_string();
        self.forms.push(json[1..json.len() - 1].into());
        self.forms.push(in_address(secret, true));
        self.forms.push(in_address(secret, false));
        for before in 0..3 {
            self.forms.extend(in_base64(secret, before));
        }
    }

    /// What is secret in a credential file, each line of a key for itself.
    fn add_file(&mut self, text: &str) {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct File {
            private_key: String,
            private_key_id: String,
            client_secret: String,
            refresh_token: String,
        }
        let file: File = serde_json::from_str(text).unwrap_or_default();
        for secret in [file.private_key_id, file.client_secret, file.refresh_token] {
            self.add(&secret);
        }
        for line in file.private_key.lines().chain(text.lines().skip(1)) {
            if line.len() >= LONG && !line.contains("-----") {
                self.add(line);
            }
        }
    }

    /// Blots them out.
    pub(crate) fn blot(&self, text: &mut String) {
        for form in &self.forms {
            if is_in(form.as_bytes(), text.as_bytes()) {
                *text = text.replace(&**form, "***");
            }
        }
        for secret in &self.long {
            blot_beginnings(text, secret);
        }
    }

    /// Removes the headers that hold one of them, or the token.
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap, token: Option<&HeaderValue>) {
        let token = token.map_or(&[][..], |token| proof(token.as_bytes()));
        let is_secret = |value: &HeaderValue| {
            let value = value.as_bytes();
            self.are_in(value) || (!token.is_empty() && is_in(token, value))
        };
        let first = |headers: &HeaderMap| {
            let mut headers = headers.iter();
            let (name, _) = headers.find(|(_, value)| is_secret(value))?;
            Some(name.clone())
        };
        while let Some(name) = first(headers) {
            headers.remove(name);
        }
    }

    fn are_in(&self, value: &[u8]) -> bool {
        self.forms.iter().any(|form| is_in(form.as_bytes(), value))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// The same deployment, with a token for it that it has been given.
pub(crate) fn with_token(deployment: &Deployment, token: &HeaderValue) -> Deployment {
    let token = String::from_utf8_lossy(proof(token.as_bytes()));
    let token = Secret::new(&*token);
    deployment.clone().with_param("access_token", token)
}

fn proof(token: &[u8]) -> &[u8] {
    token.strip_prefix(b"Bearer ").unwrap_or(token)
}

fn is_in(secret: &[u8], value: &[u8]) -> bool {
    value.len() >= secret.len() && memmem::find(value, secret).is_some()
}

/// Blots out beginnings of a secret that end as a word does: a text may be cut off, or end in stars.
fn blot_beginnings(text: &mut String, secret: &str) {
    let Some(beginning) = secret.get(..SHORTEST_PART) else {
        return;
    };
    let mut from = 0;
    while let Some(found) = text[from..].find(beginning) {
        let start = from + found;
        let same = text[start..].chars().zip(secret.chars());
        let same = same.take_while(|(left, right)| left == right);
        let end = start + same.map(|(c, _)| c.len_utf8()).sum::<usize>();
        let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        from = match text[end..].starts_with(is_word) {
            true => end,
            false => {
                text.replace_range(start..end, "***");
                start + 3
            }
        };
    }
}

/// How a secret is written in an address.
fn in_address(secret: &str, capital: bool) -> Box<str> {
    let mut out = String::new();
    for byte in secret.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ if capital => out.push_str(&format!("%{byte:02X}")),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out.into()
}

/// What is the same in base64 whatever stands around a secret, where so many bytes stand before it
/// in its group of three.
fn in_base64(secret: &str, before: usize) -> [Box<str>; 2] {
    let padded = [&[0; 3][..before], secret.as_bytes()].concat();
    // A letter has six bits.
    let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    let inner = |text: String| text[start..end].into();
    [
        inner(STANDARD_NO_PAD.encode(&padded)),
        inner(URL_SAFE_NO_PAD.encode(&padded)),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blotted(deployment: &Deployment, text: &str) -> String {
        let mut text = text.to_owned();
        Secrets::of(deployment).blot(&mut text);
        text
    }

    fn deployment() -> Deployment {
        Deployment::new("a", "gpt", "m")
    }

    #[test]
    fn a_secret_is_blotted_out_in_every_form() {
        let secret = "sk/canary+\"0123456789\"é";
        let deployment = deployment().with_credential(Secret::new(format!(" {secret}\n")));
        let json = serde_json::Value::from(secret).to_string();
        for (said, left) in [
            (format!("wrong key {secret}"), "wrong key ***"),
            (format!("wrong key {secret}{secret}!"), "wrong key ******!"),
            (format!("wrong key {json}"), "wrong key \"***\""),
            (
                "?key=sk%2Fcanary%2B%220123456789%22%C3%A9&x".to_owned(),
                "?key=***&x",
            ),
            (
                "?key=sk%2fcanary%2b%220123456789%22%c3%a9&x".to_owned(),
                "?key=***&x",
            ),
            ("wrong key sk/canary****".to_owned(), "wrong key *******"),
            ("wrong key sk/canary+".to_owned(), "wrong key ***"),
            (
                "the skeleton sk/can, sk/canary_2".to_owned(),
                "the skeleton sk/can, sk/canary_2",
            ),
        ] {
            assert_eq!(blotted(&deployment, &said), left, "{said}");
        }
        let base64 = STANDARD_NO_PAD.encode(format!("user:{secret}"));
        let left = blotted(&deployment, &base64);
        assert!(left.contains("***") && left.len() < 16, "{left}");
    }

    #[test]
    fn every_secret_of_a_deployment_is_one() {
        let file = serde_json::json!({
            "type": "service_account",
            "client_email": "someone@x.example",
            "private_key": "-----BEGIN PRIVATE KEY-----\ncanary-line-0123456789\ncanary-more-0123456789\n",
            "private_key_id": "canary-id",
        });
        let deployment = deployment()
            .with_header("Authorization", "Bearer canary-header")
            .with_header("openai-organization", "org-canary")
            .with_param("client_secret", Secret::new("canary-param"))
            .with_param("client_id", Secret::new("public-id"))
            .with_param("vertex_credentials", Secret::new(file.to_string()));
        for secret in [
            "canary-header",
            "Bearer canary-header",
            "org-canary",
            "canary-param",
            "canary-line-0123456789",
            "canary-more-0123456789",
            "canary-id",
        ] {
            assert_eq!(blotted(&deployment, &format!("<{secret}>")), "<***>");
            assert!(
                Secrets::of(&deployment).are_in(secret.as_bytes()),
                "{secret}"
            );
        }
        let public = "public-id of someone@x.example";
        assert_eq!(blotted(&deployment, public), public);
        let given = with_token(
            &deployment,
            &HeaderValue::from_static("Bearer canary-token"),
        );
        assert_eq!(blotted(&given, "<canary-token>"), "<***>");
    }

    #[test]
    fn headers_that_hold_a_secret_are_removed() {
        let deployment = deployment().with_credential(Secret::new("sk-canary-0123"));
        let header = |name: &'static str, value: &'static str| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let mut headers = HeaderMap::from_iter([
            header("x-request-id", "for sk-canary-0123"),
            header("request-id", "for token-canary"),
            header("content-type", "application/json"),
        ]);
        let token = HeaderValue::from_static("Bearer token-canary");
        Secrets::of(&deployment).remove_from(&mut headers, Some(&token));
        assert_eq!(headers.len(), 1, "{headers:?}");
        assert!(headers.contains_key("content-type"));
    }

    #[test]
    fn words_are_no_secrets_because_they_are_a_short_one() {
        let deployment = deployment().with_credential(Secret::new("none"));
        assert_eq!(blotted(&deployment, "none of them"), "none of them");
    }

    proptest! {
        #[test]
        fn no_secret_is_left_wherever_it_stands(
            secret in "[!-~é]{6,40}", before in "[ -~é]{0,9}", after in "[ -~é]{0,9}",
        ) {
            prop_assume!(!secret.starts_with('*'));
            let deployment = deployment().with_credential(Secret::new(secret.clone()));
            let text = format!("{before}{secret}{after}");
            let base64 = STANDARD_NO_PAD.encode(&text);
            prop_assert!(!blotted(&deployment, &text).contains(&secret));
            let left = blotted(&deployment, &base64);
            let letters = (before.len() + after.len()) * 8 / 6 + 10;
            prop_assert!(left.len() <= letters, "{left}");
        }
    }
}
