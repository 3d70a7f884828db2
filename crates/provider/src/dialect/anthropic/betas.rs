//! What has to be asked for by the name of a beta.

use serde_json::{Map, Value};
use ziggurat_core::{Deployment, Error, ErrorKind};

/// The header of their names.
pub(super) const HEADER: &str = "anthropic-beta";
/// Of OAuth tokens.
pub(super) const OAUTH: &str = "oauth-2025-04-20";
/// Of files that are named by their id.
pub(super) const FILES: &str = "files-api-2025-04-14";

/// How many a request may name.
const MAX: usize = 64;

/// Tools of Anthropic's own that need one.
const TOOLS: &[(&str, &str)] = &[
    ("computer_20241022", "computer-use-2024-10-22"),
    ("computer_20250124", "computer-use-2025-01-24"),
    ("computer_20251124", "computer-use-2025-11-24"),
    ("code_execution_20250522", "code-execution-2025-05-22"),
    ("code_execution_20250825", "code-execution-2025-08-25"),
    ("web_fetch_20250910", "web-fetch-2025-09-10"),
];

/// The names of betas, each once.
#[derive(Debug, Default)]
pub(super) struct Betas(Vec<String>);

impl Betas {
    /// Those of the deployment's headers, and those that the request names in `betas` or
    /// `anthropic_beta`, which are taken out of its fields.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if they are no names.
    pub(super) fn read(
        deployment: &Deployment,
        fields: &mut Map<String, Value>,
    ) -> Result<Self, Error> {
        let mut betas = Self::default();
        for (name, value) in deployment.headers() {
            if name.eq_ignore_ascii_case(HEADER) {
                value.split(',').for_each(|beta| betas.add(beta));
            }
        }
        for name in ["betas", "anthropic_beta"] {
            let named = match fields.remove(name) {
                Some(Value::String(names)) => vec![Value::String(names)],
                Some(Value::Array(names)) => names,
                Some(_) => return Err(no_names(name)),
                None => continue,
            };
            for names in named {
                let names = names.as_str().filter(|names| names.bytes().all(is_plain));
                let names = names.ok_or_else(|| no_names(name))?;
                names.split(',').for_each(|beta| betas.add(beta));
            }
            if betas.0.len() > MAX {
                return Err(no_names(name));
            }
        }
        Ok(betas)
    }

    pub(super) fn add(&mut self, beta: &str) {
        let beta = beta.trim();
        if !beta.is_empty() && !self.0.iter().any(|known| known == beta) {
            self.0.push(beta.to_owned());
        }
    }

    /// Adds what a tool of that type needs.
    pub(super) fn add_for_tool(&mut self, kind: &str) {
        if let Some((_, beta)) = TOOLS.iter().find(|(tool, _)| *tool == kind) {
            self.add(beta);
        }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.0
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_., ".contains(&byte)
}

fn no_names(field: &str) -> Error {
    let message = format!("`{field}` must be a list of at most {MAX} names");
    Error::new(ErrorKind::BadRequest, message).with_param(field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: Value) -> Result<Vec<String>, Error> {
        let deployment =
            Deployment::new("a", "claude", "m").with_header("Anthropic-Beta", "one, two");
        let Value::Object(mut fields) = fields else {
            panic!("an object")
        };
        let betas = Betas::read(&deployment, &mut fields)?;
        assert!(fields.is_empty());
        Ok(betas.into_names())
    }

    #[test]
    fn betas_of_the_deployment_and_the_request_come_together() {
        let betas = read(json!({"betas": ["two", "three"], "anthropic_beta": "four,one"}));
        assert_eq!(betas.expect("are names"), ["one", "two", "three", "four"]);
    }

    #[test]
    fn what_no_header_may_hold_is_refused() {
        for betas in [
            json!(7),
            json!([7]),
            json!(["a\r\nx-api-key: b"]),
            json!("ä"),
        ] {
            let error = read(json!({"betas": betas})).expect_err("are no names");
            assert_eq!(error.param(), Some("betas"));
        }
        let many: Vec<_> = (0..100).map(|n| format!("b{n}")).collect();
        assert!(read(json!({ "betas": many })).is_err());
    }
}
