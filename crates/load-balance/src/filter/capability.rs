//! The filter by what models can do.

use ziggurat_core::{CapabilitySet, LlmRequest, Support, Traits};

use super::{Filter, Members};

const CAPABILITIES: &str = "capabilities";

/// Leaves out the deployments whose model cannot do what the request
/// [needs](LlmRequest::needs): call tools, read images.
///
/// A model that is known not to have a capability is left out. One whose list of capabilities does
/// not name it serves only where no model is known to have all that is needed: such lists are
/// seldom complete. One of which nothing is known serves. A request that names its deployment by id
/// is left alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct CapabilityFilter;

impl CapabilityFilter {
    /// Leaves out who cannot do it.
    pub(crate) fn able(needs: CapabilitySet, members: &mut Members<'_>) {
        if needs.is_empty() || members.is_by_id() {
            return;
        }
        members.retain_traits(
            CAPABILITIES,
            |member| member.capabilities.no().and(needs).is_empty(),
            |member| lacks(member.capabilities.no().and(needs)),
        );
    }

    /// Leaves out those of which nobody says that they can, where one is left of which somebody
    /// does. Never leaves none.
    pub(crate) fn known(needs: CapabilitySet, members: &mut Members<'_>) {
        let has_all = |member: &Traits<'_>| needs.without(member.capabilities.yes()).is_empty();
        if needs.is_empty() || members.is_by_id() || !members.traits().any(|it| has_all(&it)) {
            return;
        }
        members.retain_traits(
            CAPABILITIES,
            |member| unlisted(member, needs).is_empty(),
            |member| lacks(unlisted(member, needs)),
        );
    }
}

impl Filter<LlmRequest> for CapabilityFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        Self::able(request.needs(), members);
        Self::known(request.needs(), members);
    }
}

/// What of the needs a list of what the model can do does not name.
fn unlisted(member: &Traits<'_>, needs: CapabilitySet) -> CapabilitySet {
    let unlisted = |it: &_| member.capabilities.get(*it) == Support::Unlisted;
    needs.iter().filter(unlisted).collect()
}

fn lacks(what: CapabilitySet) -> String {
    let names: Vec<_> = what.iter().map(|it| it.as_str()).collect();
    format!("lacks {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Capabilities, Capability, Deployment, Operation};

    use super::*;
    use crate::filter::members::left;

    fn set(names: &[Capability]) -> CapabilitySet {
        names.iter().copied().collect()
    }

    #[test]
    fn who_cannot_do_it_does_not_serve_and_who_surely_can_goes_before_who_may() {
        use Capability::{Tools, Vision};
        let listed = |yes: &[Capability]| Capabilities::listed(set(yes), set(&[]));
        let unknown = Capabilities::default();
        let tools = r#","tools":[{"type":"function"}]"#;
        let both = r#","tools":[{"type":"function"}],
            "messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]"#;
        for (more, abilities, expected) in [
            // Nothing is needed.
            ("", &[unknown.with(Tools, false)][..], &["0"][..]),
            (tools, &[unknown.with(Tools, false), unknown], &["1"]),
            (
                tools,
                &[listed(&[Tools]), listed(&[]), unknown],
                &["0", "2"],
            ),
            (tools, &[listed(&[]), unknown], &["0", "1"]),
            (tools, &[listed(&[]), listed(&[Vision])], &["0", "1"]),
            // Neither has both, so both may.
            (both, &[listed(&[Tools]), listed(&[Vision])], &["0", "1"]),
            (both, &[listed(&[Tools]), listed(&[Vision, Tools])], &["1"]),
            (
                both,
                &[unknown.with(Tools, false), unknown.with(Vision, false)],
                &[],
            ),
        ] {
            let body = format!(r#"{{"model":"g"{more}}}"#);
            let request = LlmRequest::from_bytes(Operation::ChatCompletions, body);
            let members = abilities.iter().enumerate().map(|(i, abilities)| {
                Deployment::new(i.to_string().as_str(), "g", "m").with_capabilities(*abilities)
            });
            let (left, refused) = left(&CapabilityFilter, &request.expect("is valid"), members);
            assert_eq!(left, expected, "{more}");
            if expected.is_empty() {
                let why = [
                    "0 (capabilities: lacks function_calling)",
                    "1 (capabilities: lacks vision)",
                ];
                assert_eq!(refused, why);
            }
        }
    }
}
