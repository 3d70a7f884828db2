//! The clocks of an attempt.

use std::sync::Arc;

use ziggurat::{
    Extract as _, Routed, Router,
    timeout::{Adaptive, AttemptClocks},
};

use super::{About, secs};

impl About<'_> {
    /// The clocks of an attempt at each deployment that may serve.
    pub(super) fn clocks(&self) -> Vec<String> {
        let clocks = Router::clocks(self.plan);
        let members = self.explanation.members().iter();
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        for member in members.filter(|it| it.may_serve()) {
            let deployment = member.deployment();
            let group = Arc::<str>::from(self.names[0]);
            let request = self.request.clone().with_group(group);
            let routed = Routed::new(request, Arc::clone(deployment));
            let text = clock_text(&clocks.extract(&routed));
            let id = format!("`{}`", deployment.id());
            match lines.iter_mut().find(|(same, _)| *same == text) {
                Some((_, ids)) => ids.push(id),
                None => lines.push((text, vec![id])),
            }
        }
        let lines = lines.into_iter();
        let mut lines: Vec<_> = lines
            .map(|(text, ids)| format!("{}: {text}", ids.join(", ")))
            .collect();
        let keys = [
            "timeout",
            "stream_timeout",
            "first_token_timeout",
            "idle_timeout",
        ];
        let of_group = keys.iter().flat_map(|key| {
            let mut names = self
                .names
                .iter()
                .map(move |name| format!("{key} of {}", name.escape_debug()));
            names.find_map(|name| self.set(&name))
        });
        let of_all = keys.iter().filter_map(|key| match self.setting(key) {
            told if told.starts_with("none") => None,
            told => Some(format!("{key} {told}")),
        });
        let source: Vec<_> = of_group.chain(of_all).collect();
        lines.extend(self.own(&keys));
        lines.push(format!("else {}", source.join(", ")));
        lines
    }
}

fn clock_text(clocks: &AttemptClocks) -> String {
    let mut says = Vec::new();
    says.extend(
        clocks
            .attempt
            .map(|it| format!("{} for the whole answer", secs(it))),
    );
    says.extend(
        clocks
            .first_token
            .map(|it| format!("{} to the first token", secs(it))),
    );
    says.extend(match clocks.adaptive {
        Some(Adaptive::AtLeast(time)) => Some(format!(
            "{} to it while somebody else could still answer, and longer where the deployment is known to take longer",
            secs(time)
        )),
        Some(Adaptive::Learned) => Some(
            "as long as is learned of the deployment while somebody else could still answer".into(),
        ),
        _ => None,
    });
    says.extend(
        clocks
            .idle
            .map(|it| format!("{} between two items", secs(it))),
    );
    match says.is_empty() {
        true => "no limit".into(),
        false => says.join("; "),
    }
}
