//! What the request is.

use tower::Service as _;
use ziggurat::{
    Extract as _, HasLedger as _, Ledger, LlmRequest, Router, timeout::RequestDeadline,
};

use super::{About, secs};

impl About<'_> {
    pub(super) fn request(&self, router: &Router) -> Vec<(&'static str, String)> {
        let request = self.request;
        let controls = request.controls();
        let mut facts = Vec::new();
        let group = self.explanation.group();
        let model = request.model().escape_debug().to_string();
        facts.push(match *group == *model {
            true => ("model", format!("`{model}`")),
            false => ("model", format!("`{model}`, which leads to `{group}`")),
        });
        let streams = if request.is_stream() {
            ", streamed"
        } else {
            ""
        };
        facts.push((
            "operation",
            format!("{}{streams}", request.operation().as_str()),
        ));
        let tokens = request.estimated_input_tokens();
        facts.push(("input", format!("about {tokens} tokens")));
        if let Some(most) = request.max_output_tokens() {
            facts.push(("output", format!("at most {most} tokens")));
        }
        let needs: Vec<_> = request.needs().iter().map(|it| it.as_str()).collect();
        if !needs.is_empty() {
            facts.push(("needs", needs.join(", ")));
        }
        if !request.tags().is_empty() {
            facts.push(("tags", request.tags().join(", ").escape_debug().to_string()));
        }
        if let Some(session) = request.session() {
            facts.push(("session", session.escape_debug().to_string()));
        }
        if let Some(key) = request.caller().and_then(|caller| caller.key.as_deref()) {
            facts.push(("key", key.escape_debug().to_string()));
        }
        if let Some(team) = request.caller().and_then(|caller| caller.team.as_deref()) {
            facts.push(("team", team.escape_debug().to_string()));
        }
        let mut says: Vec<String> = Vec::new();
        for (name, time) in [
            ("timeout", controls.timeout),
            ("stream_timeout", controls.stream_timeout),
            ("first_token_timeout", controls.first_token_timeout),
            ("idle_timeout", controls.idle_timeout),
            ("deadline", controls.deadline),
        ] {
            says.extend(time.map(|time| format!("{name} {}", secs(time))));
        }
        says.extend(controls.num_retries.map(|it| format!("num_retries {it}")));
        says.extend(
            controls
                .max_fallbacks
                .map(|it| format!("max_fallbacks {it}")),
        );
        says.extend(controls.priority.map(|it| format!("priority {it}")));
        if controls.disable_fallbacks {
            says.push("disable_fallbacks".into());
        }
        if controls.client.is_some() {
            says.push("a credential or an endpoint of its own".into());
        }
        says.extend(controls.mocks.names.iter().map(ToString::to_string));
        if !says.is_empty() {
            facts.push(("asks for", says.join(", ")));
        }
        let deadline = RequestDeadline::new(self.plan.own.deadline).extract(request);
        facts.push(match deadline {
            Some(time) => ("deadline", secs(time)),
            None => ("deadline", "none".into()),
        });
        facts.push(("attempts", format!("at most {}", attempts(router, request))));
        facts
    }
}

/// How many attempts a request may make: the router says it to the ledger before anything is done,
/// and what it would do is dropped.
fn attempts(router: &Router, request: &LlmRequest) -> u32 {
    let request = request.clone().with_ledger(Ledger::new());
    let ledger = request.ledger().cloned();
    drop(router.clone().call(request));
    ledger.map_or(0, |ledger| ledger.attempts_left())
}
