//! The filter by which paths deployments take.

use ziggurat_core::{LlmRequest, Passed};

use super::{Filter, Members};

/// Leaves out the deployments that take no request for any path of their provider, for one.
///
/// It protects the account of a deployment, and so holds for one that is named by its id too.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyPathFilter;

impl Filter<LlmRequest> for AnyPathFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        if request.passed().is_none_or(Passed::is_stored) {
            return;
        }
        members.retain(
            "path",
            |member| member.takes_any_path(),
            |_| "takes no requests for any path".into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use ziggurat_core::Deployment;

    use super::*;
    use crate::filter::members::left;

    #[test]
    fn any_path_is_for_those_that_take_it_and_stored_objects_for_all() {
        let members = || {
            [
                Deployment::new("closed", "g", "m"),
                Deployment::new("open", "g", "m").with_any_path(true),
            ]
        };
        let request = Request::get("/files").body(Default::default());
        let request = request.expect("is a request");
        for (passed, expected) in [
            (Passed::any(&request), &["open"][..]),
            (Passed::stored(&request, &[]), &["closed", "open"]),
        ] {
            let passed = passed.expect("is valid");
            let request = LlmRequest::pass_through("g", passed).expect("has a model");
            let (left, _) = left(&AnyPathFilter, &request, members());
            assert_eq!(left, expected);
        }
    }
}
