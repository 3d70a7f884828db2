//! The filter by region.

use ziggurat_core::LlmRequest;

use super::{Filter, Members};

/// Leaves to a request that names a [region](LlmRequest::region) the deployments in it.
///
/// A deployment of which no region is known is left out then. Case does not count. A request that
/// names its deployment by id is left alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionFilter;

impl Filter<LlmRequest> for RegionFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        let Some(region) = request.region().filter(|_| !members.is_by_id()) else {
            return;
        };
        members.retain_traits(
            "region",
            |member| {
                member
                    .region
                    .is_some_and(|it| it.eq_ignore_ascii_case(region))
            },
            |member| match member.region {
                Some(other) => format!("is in `{other}`"),
                None => "is in none that is known".into(),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Deployment, Operation};

    use super::*;
    use crate::filter::members::left;

    #[test]
    fn a_request_stays_in_its_region() {
        let members = || {
            let member = |id: &str| Deployment::new(id, "g", "m");
            [
                member("eu").with_region("eu"),
                member("us").with_region("us"),
                member("none"),
            ]
        };
        for (region, expected) in [
            (r#""eu""#, &["eu"][..]),
            (r#""EU""#, &["eu"]),
            (r#""mars""#, &[]),
            ("null", &["eu", "us", "none"]),
        ] {
            let body = format!(r#"{{"model":"g","allowed_model_region":{region}}}"#);
            let request = LlmRequest::from_bytes(Operation::ChatCompletions, body);
            let (left, refused) = left(&RegionFilter, &request.expect("is valid"), members());
            assert_eq!(left, expected, "{region}");
            if region == r#""eu""# {
                let why = [
                    "us (region: is in `us`)",
                    "none (region: is in none that is known)",
                ];
                assert_eq!(refused, why);
            }
        }
    }
}
