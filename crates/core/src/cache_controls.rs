//! What a client says to the cache.

use std::{sync::Arc, time::Duration};

use crate::{
    scan::{Member, Scanner, Shape},
    value::{Wrong, boolean, field, string},
};

/// What a client says to the cache: the members of `cache`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheControls {
    /// Take no answer from it: `no-cache`.
    pub no_cache: bool,
    /// Keep no answer in it: `no-store`.
    pub no_store: bool,
    /// Use it, or not, whatever is configured: `use-cache`.
    pub use_cache: Option<bool>,
    /// How long the answer is kept: `ttl`, in seconds.
    pub ttl: Option<Duration>,
    /// How old an answer may be that is taken: `s-maxage` (or `s-max-age`), in seconds.
    pub max_age: Option<Duration>,
    /// What shares answers: `namespace`.
    pub namespace: Option<Arc<str>>,
}

impl CacheControls {
    /// Reads the member `cache` of a body. What it has besides is left to others to know.
    pub(crate) fn read(s: &mut Scanner<'_>) -> Result<Self, Wrong> {
        let mut said = Self::default();
        if s.shape()? == Shape::Null {
            s.skip()?;
            return Ok(said);
        }
        if s.shape()? != Shape::Object {
            return Err(field("cache", "an object"));
        }
        s.object(&mut Vec::new(), |s, key, _| {
            match key {
                "no-cache" => said.no_cache = boolean(s, "cache.no-cache")?.unwrap_or(false),
                "no-store" => said.no_store = boolean(s, "cache.no-store")?.unwrap_or(false),
                "use-cache" => said.use_cache = boolean(s, "cache.use-cache")?,
                "ttl" => said.ttl = seconds(s, "cache.ttl")?,
                "s-maxage" => said.max_age = seconds(s, "cache.s-maxage")?,
                "s-max-age" => said.max_age = seconds(s, "cache.s-max-age")?,
                "namespace" => said.namespace = string(s, "cache.namespace")?,
                _ => s.skip()?,
            }
            Ok::<_, Wrong>(Member::Keep)
        })?;
        Ok(said)
    }
}

/// A number of seconds from zero, under a year.
fn seconds(s: &mut Scanner<'_>, name: &str) -> Result<Option<Duration>, Wrong> {
    const EXPECTED: &str = "a number of seconds, 0 or more";
    match s.shape()? {
        Shape::Null => Ok(s.skip().map(|()| None)?),
        Shape::Number => {
            let seconds = s.number()?.parse().ok();
            let in_range = seconds.filter(|it| (0.0..31_536_000.0).contains(it));
            let seconds = in_range.ok_or_else(|| field(name, EXPECTED))?;
            Ok(Some(Duration::from_secs_f64(seconds)))
        }
        _ => Err(field(name, EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LlmRequest, Operation};

    #[test]
    fn what_is_said_to_the_cache_is_read_and_goes_no_further() {
        let read = |cache: &str| {
            let body = format!(r#"{{"model":"m","cache":{cache}}}"#);
            LlmRequest::from_bytes(Operation::ChatCompletions, body)
        };
        let request = read(
            r#"{"no-cache":true,"ttl":0.5,"s-maxage":60,"namespace":"mine","use-cache":true,"x":[]}"#,
        )
        .expect("is valid");
        let expected = CacheControls {
            no_cache: true,
            use_cache: Some(true),
            ttl: Some(Duration::from_millis(500)),
            max_age: Some(Duration::from_secs(60)),
            namespace: Some(Arc::from("mine")),
            ..CacheControls::default()
        };
        assert_eq!(request.controls().cache, expected);
        assert_eq!(request.upstream_body("m", false), r#"{"model":"m"}"#);
        assert!(read("null").is_ok());
        for wrong in [
            "true",
            r#"{"ttl":-1}"#,
            r#"{"no-store":"yes"}"#,
            r#"{"namespace":1}"#,
        ] {
            let error = read(wrong).expect_err("is wrong");
            assert!(error.param().is_some_and(|name| name.starts_with("cache")));
        }
    }
}
