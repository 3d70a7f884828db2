//! How to speak of what stands in a file without telling a secret.

use crate::{
    problem::Report,
    read::number,
    yaml::{Node, Scalar, Value},
};

/// Reports that a value is not what its key takes. A key with a space in it is a description.
pub(crate) fn wanted<T>(node: &Node, key: &str, what: &str, report: &mut Report) -> Option<T> {
    let label = if key.contains(' ') {
        key.to_owned()
    } else {
        name(key)
    };
    let message = match &node.value {
        Value::Unset(variable) if variable.is_empty() => {
            format!("{label}: `os.environ/` names no variable")
        }
        Value::Unset(variable) => {
            let variable = name(variable);
            format!("{label}: the environment variable {variable} is not set")
        }
        _ => format!("{label} must be {what}, got {}", got(node, key)),
    };
    report.error(node.at, message);
    None
}

/// How to speak of a value without telling a secret.
fn got(node: &Node, key: &str) -> String {
    match &node.value {
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        _ if node.is_null() => "nothing".to_owned(),
        Value::Unset(_) => "nothing".to_owned(),
        Value::Scalar(Scalar {
            variable: Some(variable),
            ..
        }) => format!("what is in {}", name(variable)),
        Value::Scalar(scalar)
            if is_secret(key) || looks_secret(&scalar.text) || scalar.text.contains(['@', '?']) =>
        {
            "a string".to_owned()
        }
        Value::Scalar(scalar) if scalar.plain && number(&scalar.text).is_some() => {
            cut(&scalar.text)
        }
        Value::Scalar(scalar) => format!("\"{}\"", cut(&scalar.text)),
    }
}

/// A name in backquotes, cut and escaped.
pub(crate) fn name(text: &str) -> String {
    format!("`{}`", cut(text))
}

fn cut(text: &str) -> String {
    if looks_secret(text) {
        return "…".to_owned();
    }
    let mut cut: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        cut.push('…');
    }
    cut
}

/// Whether a key holds a credential.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let one_of = [
        "secret",
        "password",
        "credential",
        "authorization",
        "header",
    ];
    key.ends_with("_key")
        || (key.ends_with("token") && !key.contains("_per_"))
        || one_of.iter().any(|word| key.contains(word))
}

/// Whether a text is a credential by its looks, whatever it stands under.
pub(crate) fn looks_secret(text: &str) -> bool {
    text.starts_with("sk-") || text.starts_with("Bearer ")
}
