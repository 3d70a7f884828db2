//! Values of JSON, of the type that a field must have.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

use crate::{
    Error, ErrorKind,
    scan::{Malformed, Scanner, Shape},
};

/// Why a body could not be read.
pub(crate) enum Wrong {
    Json(Malformed),
    Field(Error),
}

impl From<Malformed> for Wrong {
    fn from(malformed: Malformed) -> Self {
        Self::Json(malformed)
    }
}

impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Field(error) => error,
            Wrong::Json(malformed) => Self::new(
                ErrorKind::BadRequest,
                format!("the body is not valid JSON: {malformed}"),
            )
            .with_code("invalid_json"),
        }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Wrong::Json(malformed).into()
    }
}

pub(crate) fn field(name: &str, expected: &str) -> Wrong {
    let error = Error::new(
        ErrorKind::BadRequest,
        format!("`{name}` must be {expected}"),
    );
    Wrong::Field(error.with_param(name).with_code("invalid_type"))
}

pub(crate) fn boolean(s: &mut Scanner<'_>, name: &str) -> Result<Option<bool>, Wrong> {
    match s.shape()? {
        Shape::Bool => Ok(Some(s.bool()?)),
        Shape::Null => Ok(s.skip().map(|()| None)?),
        _ => Err(field(name, "true or false")),
    }
}

pub(crate) fn string(s: &mut Scanner<'_>, name: &str) -> Result<Option<Arc<str>>, Wrong> {
    match s.shape()? {
        Shape::String => Ok(Some(Arc::from(s.string()?))),
        Shape::Null => Ok(s.skip().map(|()| None)?),
        _ => Err(field(name, "a string")),
    }
}

pub(crate) fn integer(s: &mut Scanner<'_>, name: &str) -> Result<Option<u64>, Wrong> {
    match s.shape()? {
        Shape::Number => Ok(Some(
            s.number()?
                .parse()
                .map_err(|_| field(name, "a whole number from 0"))?,
        )),
        Shape::Null => Ok(s.skip().map(|()| None)?),
        _ => Err(field(name, "a whole number from 0")),
    }
}

pub(crate) fn typed<T: for<'a> Deserialize<'a>>(
    s: &mut Scanner<'_>,
    name: &str,
    expected: &str,
) -> Result<T, Wrong> {
    serde_json::from_str(s.raw()?).map_err(|_| field(name, expected))
}

/// A duration over zero and under a year, from its text in seconds.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds > 0.0 && seconds < 31_536_000.0).then(|| Duration::from_secs_f64(seconds))
}
