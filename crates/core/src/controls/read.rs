//! What a request says to the router, which goes no further.

use std::{sync::Arc, time::Duration};

use crate::{
    CacheControls, Controls, Error, ErrorKind, Fallbacks, ReadOptions, Secret,
    head::{MAX_LISTED, Reader},
    scan::{Member, Scanner, Shape},
    value::{Wrong, boolean, field, integer, parse_seconds, string, typed},
};

impl Reader {
    fn controls(&mut self) -> &mut Controls {
        self.head.controls.get_or_insert_default()
    }

    /// Reads what is to be played. What only its name is known of is an error of whoever allows it.
    fn mock(&mut self, s: &mut Scanner<'_>, key: &str) -> Result<(), Wrong> {
        let mocks = &mut self.controls().mocks;
        if mocks.names.len() < MAX_LISTED {
            mocks.names.push(Arc::from(key));
        }
        let switch = match key {
            "mock_testing_fallbacks" => &mut mocks.fallbacks,
            "mock_testing_context_fallbacks" => &mut mocks.context_window,
            "mock_testing_content_policy_fallbacks" => &mut mocks.content_policy,
            "mock_testing_rate_limit_error" => &mut mocks.rate_limit,
            "mock_timeout" => &mut mocks.timeout,
            "mock_response" => {
                mocks.response = string(s, key)?;
                return Ok(());
            }
            _ => return Ok(s.skip()?),
        };
        *switch = boolean(s, key)?.unwrap_or(false);
        Ok(())
    }

    /// Reads what is meant for the router only; anything else is the provider's.
    pub(crate) fn control(&mut self, s: &mut Scanner<'_>, key: &str) -> Result<Member, Wrong> {
        match key {
            "fallbacks" => {
                self.controls().fallbacks = fallbacks(s, key, self.options)?;
            }
            "context_window_fallbacks" => {
                self.controls().context_window_fallbacks = fallbacks(s, key, self.options)?;
            }
            "content_policy_fallbacks" => {
                self.controls().content_policy_fallbacks = fallbacks(s, key, self.options)?;
            }
            "include_fallback_errors" => {
                self.controls().include_fallback_errors = boolean(s, key)?.unwrap_or(false);
            }
            "disable_fallbacks" => {
                self.controls().disable_fallbacks = boolean(s, key)?.unwrap_or(false)
            }
            "max_fallbacks" => self.controls().max_fallbacks = small(s, key)?,
            "num_retries" => self.controls().num_retries = small(s, key)?,
            "timeout" | "request_timeout" => {
                let given = seconds(s, key)?;
                let timeout = &mut self.controls().timeout;
                *timeout = if key == "timeout" {
                    given.or(*timeout)
                } else {
                    timeout.or(given)
                };
            }
            "stream_timeout" => self.controls().stream_timeout = seconds(s, key)?,
            "priority" => {
                self.controls().priority = match s.shape()? {
                    Shape::Null => s.skip().map(|()| None)?,
                    Shape::Number => Some(
                        s.number()?
                            .parse()
                            .map_err(|_| field(key, "a whole number"))?,
                    ),
                    _ => return Err(field(key, "a whole number")),
                };
            }
            "tags" => self.tags(s, key)?,
            "cache" => self.controls().cache = CacheControls::read(s)?,
            "litellm_session_id" => self.head.session = string(s, key)?,
            "specific_deployment"
            | "caching_groups"
            | "litellm_trace_id"
            | "litellm_call_id"
            | "litellm_logging_obj"
            | "no-log"
            | "guardrails" => s.skip()?,
            "allowed_model_region" => self.head.region = string(s, key)?,
            "api_key" if self.options.allows_client_credentials() => {
                let key = string(s, key)?.map(|key| Secret::new(&*key));
                self.controls().client.get_or_insert_default().api_key = key;
            }
            "api_base" | "base_url" if self.options.allows_client_credentials() => {
                let url = string(s, key)?;
                self.controls().client.get_or_insert_default().base_url = url;
            }
            "api_key" | "api_base" | "base_url" | "api_version" | "custom_llm_provider" => {
                let error = Error::new(
                    ErrorKind::BadRequest,
                    format!("`{key}` cannot be chosen by a request; configure it for a deployment"),
                );
                return Err(Wrong::Field(
                    error.with_param(key).with_code("forbidden_parameter"),
                ));
            }
            _ if key.starts_with("mock_") => self.mock(s, key)?,
            _ => {
                s.skip()?;
                return Ok(Member::Keep);
            }
        }
        Ok(Member::Cut)
    }
}

fn small(s: &mut Scanner<'_>, name: &str) -> Result<Option<u32>, Wrong> {
    match integer(s, name)? {
        None => Ok(None),
        Some(value) => match u32::try_from(value) {
            Ok(value) if value <= 100 => Ok(Some(value)),
            _ => Err(field(name, "a whole number from 0 to 100")),
        },
    }
}

fn seconds(s: &mut Scanner<'_>, name: &str) -> Result<Option<Duration>, Wrong> {
    match s.shape()? {
        Shape::Number => parse_seconds(s.number()?)
            .map(Some)
            .ok_or_else(|| field(name, "a number of seconds over 0")),
        Shape::Null => Ok(s.skip().map(|()| None)?),
        _ => Err(field(name, "a number of seconds over 0")),
    }
}

fn fallbacks(
    s: &mut Scanner<'_>,
    name: &str,
    options: ReadOptions,
) -> Result<Option<Fallbacks>, Wrong> {
    const EXPECTED: &str = "a list of model names, or of {group: [names]}; at most 64";
    if s.shape()? == Shape::Null {
        return Ok(s.skip().map(|()| None)?);
    }
    let value: serde_json::Value = typed(s, name, EXPECTED)?;
    if !value.is_array() {
        return Err(field(name, EXPECTED));
    }
    let fallbacks = Fallbacks::from_json(value, options).map_err(|error| {
        let message = format!("`{name}` must be {EXPECTED}: {}", error.message());
        let error = Error::new(ErrorKind::BadRequest, message);
        Wrong::Field(error.with_param(name).with_code("invalid_type"))
    })?;
    if fallbacks.len() > MAX_LISTED {
        return Err(field(name, EXPECTED));
    }
    Ok(Some(fallbacks))
}
