//! Who is out, and who is back: by looking, now and then.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use ziggurat_core::{Deployment, DeploymentId, ErrorKind};

use crate::Event;

const MINUTE: Duration = Duration::from_secs(60);

/// What is seen of a deployment at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    deployment: Arc<Deployment>,
    is_out: bool,
    reason: Option<ErrorKind>,
}

impl Seen {
    /// It serves.
    #[must_use]
    pub const fn serving(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            is_out: false,
            reason: None,
        }
    }

    /// It gets no requests, for failures of that kind if that is known.
    #[must_use]
    pub const fn out(deployment: Arc<Deployment>, reason: Option<ErrorKind>) -> Self {
        Self {
            deployment,
            is_out: true,
            reason,
        }
    }
}

/// What was seen the last time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Since when deployments are out.
    out: HashMap<DeploymentId, Instant>,
    groups: HashMap<Arc<str>, Instant>,
    /// When deployments went out in the last minute, no more than make a storm.
    lately: VecDeque<Instant>,
    is_storm: bool,
}

impl Watch {
    /// Looks at all deployments, of which `storm` going out within a minute are a storm. Returns what
    /// has changed since the last look. Who is gone from the list is forgotten.
    pub(crate) fn look(&mut self, all: &[Seen], storm: usize, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        let mut out = HashMap::new();
        let mut groups: BTreeMap<&str, bool> = BTreeMap::new();
        for seen in all.iter().filter(|seen| !seen.deployment.is_blocked()) {
            let (deployment, id) = (&seen.deployment, seen.deployment.id());
            let serves = groups.entry(deployment.group()).or_default();
            *serves |= !seen.is_out;
            match (self.out.get(id), seen.is_out) {
                (None, true) => {
                    self.went_out(storm, now);
                    events.push(Event::deployment_out(deployment, seen.reason));
                }
                (Some(since), false) => {
                    let after = now.saturating_duration_since(*since);
                    events.push(Event::deployment_back(deployment, after));
                }
                _ => {}
            }
            if seen.is_out {
                let since = self.out.get(id).copied().unwrap_or(now);
                out.insert(id.clone(), since);
            }
        }
        self.out = out;
        self.look_at_groups(&groups, now, &mut events);
        events.extend(self.storm(storm, now));
        events
    }

    fn look_at_groups(
        &mut self,
        groups: &BTreeMap<&str, bool>,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        let mut out = HashMap::new();
        for (name, serves) in groups {
            match (self.groups.remove_entry(*name), serves) {
                (None, true) => {}
                (None, false) => {
                    let name: Arc<str> = (*name).into();
                    events.push(Event::group_out(Arc::clone(&name)));
                    out.insert(name, now);
                }
                (Some((name, since)), false) => {
                    out.insert(name, since);
                }
                (Some((name, since)), true) => {
                    let after = now.saturating_duration_since(since);
                    events.push(Event::group_back(name, after));
                }
            }
        }
        self.groups = out;
    }

    fn went_out(&mut self, storm: usize, now: Instant) {
        if self.lately.len() >= storm.max(1) {
            self.lately.pop_front();
        }
        self.lately.push_back(now);
    }

    /// A storm is told when it begins; it is over when it is one no longer.
    fn storm(&mut self, storm: usize, now: Instant) -> Option<Event> {
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= MINUTE;
        while self.lately.front().is_some_and(is_over) {
            self.lately.pop_front();
        }
        let is_storm = self.lately.len() >= storm.max(1);
        let was_storm = std::mem::replace(&mut self.is_storm, is_storm);
        (is_storm && !was_storm).then(|| Event::cooldown_storm(self.lately.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn deployment(id: &str, group: &str) -> Arc<Deployment> {
        Arc::new(Deployment::new(id, group, "m"))
    }

    /// The kinds of the events, and whom they are about.
    fn told(events: &[Event]) -> Vec<(Kind, &str)> {
        events
            .iter()
            .map(|event| {
                let deployment = event.deployment().map(|it| it.id().as_str());
                (
                    event.kind(),
                    deployment.or(event.group()).unwrap_or_default(),
                )
            })
            .collect()
    }

    #[test]
    fn a_change_is_told_once() {
        let (a, b) = (deployment("a", "gpt"), deployment("b", "gpt"));
        let (mut watch, now) = (Watch::default(), Instant::now());
        let all = |is_out: [bool; 2]| {
            let seen = |(it, is_out): (&Arc<Deployment>, bool)| match is_out {
                true => Seen::out(Arc::clone(it), Some(ErrorKind::Overloaded)),
                false => Seen::serving(Arc::clone(it)),
            };
            [(&a, is_out[0]), (&b, is_out[1])].map(seen)
        };
        use Kind::{DeploymentBack, DeploymentOut, GroupBack, GroupOut};
        let steps: [([bool; 2], &[(Kind, &str)]); 7] = [
            ([false, false], &[]),
            ([true, false], &[(DeploymentOut, "a")]),
            ([true, false], &[]),
            ([true, true], &[(DeploymentOut, "b"), (GroupOut, "gpt")]),
            ([true, true], &[]),
            ([true, false], &[(DeploymentBack, "b"), (GroupBack, "gpt")]),
            ([false, false], &[(DeploymentBack, "a")]),
        ];
        for (second, (is_out, expected)) in (0..).zip(steps) {
            let now = now + Duration::from_secs(second);
            let events = watch.look(&all(is_out), 100, now);
            assert_eq!(told(&events), expected, "second {second}");
        }
    }

    #[test]
    fn who_is_gone_or_blocked_is_not_told_of() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        let out = |it: Deployment| Seen::out(Arc::new(it), None);
        let blocked = Deployment::new("b", "other", "m").with_blocked(true);
        let events = watch.look(
            &[out(Deployment::new("a", "gpt", "m")), out(blocked)],
            9,
            now,
        );
        assert_eq!(
            told(&events),
            [(Kind::DeploymentOut, "a"), (Kind::GroupOut, "gpt")]
        );
        assert!(watch.look(&[], 9, now).is_empty());
        assert!(watch.out.is_empty() && watch.groups.is_empty());
    }

    #[test]
    fn many_that_go_out_within_a_minute_are_a_storm_which_is_told_once() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut storms = Vec::new();
        for second in 0..300 {
            // One goes out each second, and is back in the next; after a minute they rest for two.
            let id = format!("d{second}");
            let is_calm = (60..180).contains(&second);
            let serving = Seen::serving(deployment("z", "gpt"));
            let seen = match is_calm {
                true => vec![serving],
                false => vec![serving, Seen::out(deployment(&id, "gpt"), None)],
            };
            let events = watch.look(&seen, 5, start + Duration::from_secs(second));
            let is_storm = |event: &&Event| event.kind() == Kind::CooldownStorm;
            storms.extend(events.iter().filter(is_storm).map(|_| second));
        }
        assert_eq!(storms, [4, 184]);
        assert!(watch.lately.len() <= 5);
    }
}
