//! LiteLLM's classes of errors, as kinds of ours.

use std::fmt::Write;

use serde_json::{Map, Value as Json};
use ziggurat_core::{Clock, ErrorKind};

use crate::{
    problem::Report,
    read::{Range, Section},
};

/// The fields of a policy, each with the kind that it is for first of all.
pub(crate) type Fields = [(&'static str, ErrorKind)];

/// The kinds whose field holds for a kind, the nearest first: its own, or that of the class which
/// LiteLLM would see, then of the class above that one.
const fn fields_of(kind: ErrorKind) -> &'static [ErrorKind] {
    use ErrorKind::{
        Authentication, BadAnswer, BadRequest, Connect, ContentPolicy, ContextWindow, Internal,
        NotFound, Overloaded, RateLimited, StreamBroken, Timeout, Unavailable, Unprocessable,
    };
    match kind {
        Authentication => &[Authentication],
        BadRequest | ContextWindow | Unprocessable => &[BadRequest],
        ContentPolicy => &[ContentPolicy, BadRequest],
        NotFound => &[NotFound],
        RateLimited => &[RateLimited],
        // Nothing can be done after the deadline of the request.
        Timeout(Clock::Total) => &[],
        Timeout(_) => &[Timeout(Clock::Attempt)],
        Unavailable | Overloaded => &[Unavailable],
        Internal | Connect => &[Internal],
        // `BadGateway`, of which retries have no field.
        StreamBroken | BadAnswer => &[BadAnswer, Internal],
        _ => &[],
    }
}

/// Reads the numbers of a policy: for each kind that one of the fields holds for.
pub(crate) fn read(
    policy: &Section<'_>,
    fields: &Fields,
    report: &mut Report,
) -> Vec<(ErrorKind, u32)> {
    let mut set = Vec::new();
    for (key, kind) in fields {
        if let Some(found) = policy.whole::<u32>(key, Range::NotNegative, report) {
            set.push((*kind, found.value));
        }
    }
    let number = |field| Some(set.iter().find(|(kind, _)| kind == field)?.1);
    let of = |kind| Some((kind, fields_of(kind).iter().find_map(number)?));
    ErrorKind::ALL.into_iter().filter_map(of).collect()
}

/// The numbers as a configuration writes them.
pub(crate) fn to_json(numbers: &[(ErrorKind, u32)], fields: &Fields) -> Map<String, Json> {
    let mut json = Map::new();
    for (key, kind) in fields {
        if let Some((_, number)) = numbers.iter().find(|(it, _)| it == kind) {
            json.insert((*key).to_owned(), (*number).into());
        }
    }
    json
}

/// The numbers as explanations tell them.
pub(crate) fn told(numbers: &[(ErrorKind, u32)]) -> String {
    let mut told = String::new();
    for (kind, number) in numbers {
        let comma = if told.is_empty() { "" } else { ", " };
        let _ = write!(told, "{comma}{kind} {number}");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_holds_for_the_kind_that_it_is_for() {
        for kind in ErrorKind::ALL {
            for field in fields_of(kind) {
                assert_eq!(fields_of(*field)[0], *field, "{kind}");
            }
        }
    }
}
