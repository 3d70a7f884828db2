//! The filter by what models can do.

use ziggurat_core::{Capability, CapabilitySet, LlmRequest, Support, Traits};

use super::{Filter, Members};

const CAPABILITIES: &str = "capabilities";

/// Leaves out the deployments whose model cannot do what the request
/// [needs](LlmRequest::needs): call tools, read images.
///
/// A model that is known not to have a capability is left out. One whose list of capabilities does
/// not name it serves only where no model is known to have all that is needed: such lists are
/// seldom complete. One of which nothing is known serves. A request that names its deployment by id
/// is left alone.
///
/// A request that goes on with a broken answer ([`AssistantPrefill`](Capability::AssistantPrefill),
/// [`Continuation`](Capability::Continuation)) is served only by who is known to be able to, also
/// where it names a deployment by id: another would begin anew in the middle of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct CapabilityFilter;

impl CapabilityFilter {
    /// Of what goes on with a broken answer, leaves out who is not known to be able to.
    pub(crate) fn sure(needs: CapabilitySet, members: &mut Members<'_>) {
        let goes_on = [Capability::AssistantPrefill, Capability::Continuation];
        let needs = needs.and(goes_on.into_iter().collect());
        if needs.is_empty() {
            return;
        }
        members.retain_traits(
            CAPABILITIES,
            |member| needs.without(member.capabilities.yes()).is_empty(),
            |member| lacks(needs.without(member.capabilities.yes())),
        );
    }

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
        Self::sure(request.needs(), members);
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
    use crate::filter::{Filters, members::left};

    fn set(names: &[Capability]) -> CapabilitySet {
        names.iter().copied().collect()
    }

    #[test]
    fn only_who_surely_can_goes_on_with_an_answer() {
        use Capability::{AssistantPrefill, Continuation, Tools};
        let listed = |yes: &[Capability]| Capabilities::listed(set(yes), set(&[]));
        let unknown = Capabilities::default();
        let abilities = [
            unknown,
            listed(&[Tools]),
            unknown.with(AssistantPrefill, true),
            unknown
                .with(AssistantPrefill, false)
                .with(Continuation, true),
        ];
        let members = || {
            abilities.iter().enumerate().map(|(i, abilities)| {
                Deployment::new(i.to_string().as_str(), "g", "m").with_capabilities(*abilities)
            })
        };
        for (needs, expected) in [(AssistantPrefill, "2"), (Continuation, "3")] {
            let request = LlmRequest::chat("g", "hi").requiring(needs);
            let (alone, refused) = left(&CapabilityFilter, &request, members());
            assert_eq!(alone, [expected]);
            assert_eq!(refused[0], format!("0 (capabilities: lacks {needs})"));
            let (bundled, _) = left(&Filters::new(), &request, members());
            assert_eq!(
                bundled,
                [expected],
                "also where other needs are not looked at"
            );
        }
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
