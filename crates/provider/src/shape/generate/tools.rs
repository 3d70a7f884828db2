//! Tools, and which of them are to be called.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use super::{fields, object, schema, several, unsupported};
use crate::chat::{Fields, unsupported::Fit, wrong};

/// What the model is offered.
#[derive(Debug, Default)]
pub(super) struct Offered {
    /// As OpenAI writes them.
    pub(super) functions: Vec<Value>,
    /// Whether it may search the web.
    pub(super) searches: bool,
}

/// Names of a search of the web.
const SEARCHES: [&str; 3] = [
    "enterpriseWebSearch",
    "googleSearch",
    "googleSearchRetrieval",
];

/// Reads the tools.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), with the place of what is wrong; a refusal
/// of what only Google runs.
pub(super) fn tools(list: Vec<Value>, fit: Fit) -> Result<Offered, Error> {
    let mut offered = Offered::default();
    for (index, tool) in list.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        let mut tool = fields(Some(tool), &at)?;
        let declared = several(tool.take("functionDeclarations"));
        for (index, function) in declared.into_iter().enumerate() {
            let at = format!("{at}.functionDeclarations[{index}]");
            offered.functions.push(self::function(function, &at)?);
        }
        for name in SEARCHES {
            if let Some(search) = tool.take(name) {
                plain(search, &format!("{at}.{name}"), fit)?;
                offered.searches = true;
            }
        }
        for (name, tool) in tool.rest() {
            if !matches!(&tool, Value::Null) && tool != json!([]) {
                fit.without(|| unsupported(&at, &name))?;
            }
        }
    }
    Ok(offered)
}

/// A search of which nothing more is said: nobody else narrows it as Google does.
fn plain(search: Value, at: &str, fit: Fit) -> Result<(), Error> {
    let said = fields(Some(search), at)?.rest();
    let mut said = said.into_iter().filter(|(_, value)| !value.is_null());
    match said.next() {
        // When the model is to search, which it knows by itself.
        Some((name, _)) if name != "dynamicRetrievalConfig" => {
            fit.without(|| unsupported(at, &name))
        }
        _ => Ok(()),
    }
}

fn function(function: Value, at: &str) -> Result<Value, Error> {
    let mut function = fields(Some(function), at)?;
    let Some(name) = function.text("name")? else {
        return Err(wrong(&format!("{at}.name"), "a string"));
    };
    let mut out = Map::new();
    out.insert("name".to_owned(), name.into());
    if let Some(description) = function.text("description")? {
        out.insert("description".to_owned(), description.into());
    }
    let own = function.take("parameters").map(schema::usual);
    let parameters = function.take("parametersJsonSchema").or(own);
    let none = || json!({"type": "object", "properties": {}});
    out.insert("parameters".to_owned(), parameters.unwrap_or_else(none));
    Ok(object([
        ("type", "function".into()),
        ("function", out.into()),
    ]))
}

/// The choice of tools. Where only some may be called, only they are offered.
///
/// # Errors
///
/// As [`tools`].
pub(super) fn choice(
    config: Option<Value>,
    functions: &mut Vec<Value>,
) -> Result<Option<Value>, Error> {
    const AT: &str = "toolConfig.functionCallingConfig";
    let config = fields(config, "toolConfig")?.take("functionCallingConfig");
    let mut config = fields(config, AT)?;
    if functions.is_empty() {
        return Ok(None);
    }
    let mode = mode(&mut config)?;
    let choice = match mode.as_deref() {
        None | Some("MODE_UNSPECIFIED") => return Ok(None),
        Some("NONE") => return Ok(Some("none".into())),
        Some("AUTO" | "VALIDATED") => "auto",
        Some("ANY") => "required",
        _ => {
            return Err(wrong(
                &format!("{AT}.mode"),
                "`AUTO`, `ANY`, `VALIDATED` or `NONE`",
            ));
        }
    };
    let allowed = config.list("allowedFunctionNames")?;
    if allowed.is_empty() {
        return Ok(Some(choice.into()));
    }
    if let (&[Value::String(ref name)], "required") = (&allowed[..], choice) {
        let named = json!({"type": "function", "function": {"name": name}});
        return Ok(Some(named));
    }
    functions.retain(|function| allowed.contains(&function["function"]["name"]));
    if functions.is_empty() {
        let at = format!("{AT}.allowedFunctionNames");
        return Err(wrong(&at, "names of functions that are declared"));
    }
    Ok(Some(choice.into()))
}

/// The mode, which some clients write as its number.
fn mode(config: &mut Fields) -> Result<Option<String>, Error> {
    const MODES: [&str; 5] = ["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"];
    match config.take("mode") {
        Some(Value::Number(number)) => {
            let number = number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            let name = number.and_then(|number| MODES.get(number));
            Ok(Some(
                name.map_or_else(String::new, |name| (*name).to_owned()),
            ))
        }
        Some(Value::String(name)) => Ok(Some(name.to_ascii_uppercase())),
        Some(_) => Ok(Some(String::new())),
        None => Ok(None),
    }
}
