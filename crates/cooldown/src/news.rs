//! What one instance tells the others, and how it is written.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ziggurat_core::{Blame, Deployment, DeploymentId, ErrorKind, Snapshot};

use crate::breaker::{MAX_GROWTH, Rest};

/// How blame is written.
const BLAMES: [(Blame, &str); 5] = [
    (Blame::Request, "request"),
    (Blame::Credential, "credential"),
    (Blame::Deployment, "deployment"),
    (Blame::Quota, "quota"),
    (Blame::Provider, "provider"),
];

/// What news are about: a deployment, or all of them.
pub(crate) type Subject = Option<DeploymentId>;

#[derive(Clone, Debug)]
pub(crate) enum News {
    /// A rest began, or got longer.
    Rests(Arc<Deployment>, Rest),
    /// A probe succeeded.
    Back(Arc<Deployment>),
    /// Somebody has ended a rest by hand.
    Reset(DeploymentId),
    /// Somebody has ended all rests by hand.
    ResetAll,
}

impl News {
    pub(crate) fn rests(deployment: &Arc<Deployment>, rest: Rest) -> Option<Self> {
        is_ours(deployment).then(|| Self::Rests(Arc::clone(deployment), rest))
    }

    pub(crate) fn back(deployment: &Arc<Deployment>) -> Option<Self> {
        is_ours(deployment).then(|| Self::Back(Arc::clone(deployment)))
    }

    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Rests(deployment, _) | Self::Back(deployment) => Some(deployment.id().clone()),
            Self::Reset(id) => Some(id.clone()),
            Self::ResetAll => None,
        }
    }

    /// As they are written; `None` if the rest has ended meanwhile.
    pub(crate) fn write(&self, now: Instant) -> Option<String> {
        let entry = match self {
            Self::Rests(deployment, rest) => {
                let rest = Remaining::of(*rest, now)?;
                Entry::Rests {
                    of: Target::of(deployment),
                    rest,
                }
            }
            Self::Back(deployment) => Entry::Back {
                of: Target::of(deployment),
            },
            Self::Reset(id) => Entry::Reset {
                id: id.as_str().into(),
            },
            Self::ResetAll => Entry::ResetAll,
        };
        serde_json::to_string(&entry).ok()
    }
}

/// News as they are written. What a later version adds is not understood, and passed over.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub(crate) enum Entry<'a> {
    Rests {
        #[serde(flatten)]
        of: Target<'a>,
        #[serde(flatten)]
        rest: Remaining<'a>,
    },
    Back {
        #[serde(flatten)]
        of: Target<'a>,
    },
    Reset {
        id: Cow<'a, str>,
    },
    ResetAll,
}

/// The deployment that news are about.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Target<'a> {
    /// Its id as it is configured.
    id: Cow<'a, str>,
    /// The model for which it was made, if it stands for many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Cow<'a, str>>,
    /// Which credential it presented.
    credential: u16,
}

impl<'a> Target<'a> {
    fn of(deployment: &'a Arc<Deployment>) -> Self {
        let is_made = !Arc::ptr_eq(deployment.configured(), deployment);
        Self {
            id: deployment.public_id().as_str().into(),
            model: is_made.then(|| deployment.model().into()),
            credential: deployment.credential_fingerprint(),
        }
    }

    /// The deployment of a list that is meant.
    pub(crate) fn find(&self, list: &Snapshot) -> Option<Arc<Deployment>> {
        let configured = list.get(&DeploymentId::new(&*self.id))?;
        match &self.model {
            None => Some(Arc::clone(configured)),
            Some(model) if configured.model().contains('*') => {
                Some(Arc::new(configured.for_model(model)))
            }
            Some(_) => None,
        }
    }

    /// Whether a deployment presents the credential that the other one did.
    pub(crate) fn has_credential_of(&self, deployment: &Deployment) -> bool {
        self.credential == deployment.credential_fingerprint()
    }
}

/// A rest as it is written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remaining<'a> {
    /// How many microseconds it lasts from the moment at which it is told.
    left_us: u64,
    because: Cow<'a, str>,
    blame: Cow<'a, str>,
    growth: u32,
}

impl Remaining<'_> {
    fn of(rest: Rest, now: Instant) -> Option<Self> {
        let left = rest.until.checked_duration_since(now)?;
        let (_, blame) = BLAMES.iter().find(|(blame, _)| *blame == rest.blame)?;
        Some(Self {
            left_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
            because: rest.because.as_str().into(),
            blame: (*blame).into(),
            growth: rest.growth,
        })
    }

    /// The rest that was told so long ago, if it still runs; it is no longer than that.
    pub(crate) fn rest(&self, age: Duration, longest: Duration, now: Instant) -> Option<Rest> {
        let left = Duration::from_micros(self.left_us).checked_sub(age)?;
        let left = Some(left.min(longest)).filter(|left| !left.is_zero())?;
        let mut kinds = ErrorKind::ALL.into_iter();
        let (blame, _) = BLAMES.iter().find(|(_, name)| *name == self.blame)?;
        Some(Rest {
            until: now + left,
            because: kinds.find(|kind| kind.as_str() == self.because)?,
            blame: *blame,
            growth: self.growth.min(MAX_GROWTH),
        })
    }
}

/// Whether a deployment is one of ours, or made of one for a model: not for a client.
fn is_ours(deployment: &Arc<Deployment>) -> bool {
    let configured = deployment.configured();
    Arc::ptr_eq(configured, deployment)
        || deployment.credential() == configured.credential()
            && deployment.base_url() == configured.base_url()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ziggurat_core::{ClientCredentials, Secret};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn deployment(id: &str, model: &str) -> Arc<Deployment> {
        let deployment = Deployment::new(id, "gpt", model);
        Arc::new(deployment.with_credential(Secret::new("canary")))
    }

    fn read(text: &str) -> Entry<'_> {
        serde_json::from_str(text).expect("is an entry")
    }

    #[test]
    fn a_rest_is_read_as_it_was_written_less_its_age() {
        let now = Instant::now();
        for because in ErrorKind::ALL {
            for (blame, _) in BLAMES {
                let written = Rest {
                    until: now + 9 * SECOND,
                    because,
                    blame,
                    growth: 4,
                };
                let news = News::rests(&deployment("a", "m"), written).expect("is ours");
                let text = news.write(now).expect("runs");
                assert!(!text.contains("canary"));
                let Entry::Rests { of, rest } = read(&text) else {
                    panic!("is another: {text}");
                };
                assert!(of.has_credential_of(&deployment("b", "n")));
                let until = now + 7 * SECOND;
                let expected = Some(Rest { until, ..written });
                assert_eq!(rest.rest(2 * SECOND, 99 * SECOND, now), expected);
                assert_eq!(rest.rest(9 * SECOND, 99 * SECOND, now), None);
                let bounded = rest.rest(SECOND, 3 * SECOND, now).expect("runs");
                assert_eq!(bounded.until, now + 3 * SECOND);
                assert_eq!(news.write(now + 9 * SECOND + SECOND), None);
            }
        }
    }

    #[test]
    fn the_others_find_what_was_made_for_a_model_by_its_wildcard() {
        let wild = Deployment::new("wild", "*", "openai/*");
        let list = Snapshot::new([wild, Deployment::new("plain", "gpt", "m")]);
        let wild = list.get(&"wild".into()).expect("is listed");
        let made = Arc::new(wild.for_model("openai/gpt"));
        let text = News::back(&made).and_then(|news| news.write(Instant::now()));
        let text = text.expect("is told");
        let Entry::Back { of } = read(&text) else {
            panic!("is another: {text}");
        };
        assert_eq!(of.find(&list).expect("is found").id(), made.id());
        let found = |text: &str| match read(text) {
            Entry::Back { of } => of.find(&list).map(|it| it.id().to_string()),
            other => panic!("is another: {other:?}"),
        };
        let plain = r#"{"news":"back","id":"plain","credential":1,"later":[7]}"#;
        assert_eq!(found(plain), Some("plain".to_owned()));
        let unknown = r#"{"news":"back","id":"other","credential":1}"#;
        assert_eq!(found(unknown), None);
        let made = r#"{"news":"back","id":"plain","model":"n","credential":1}"#;
        assert_eq!(found(made), None, "it stands for itself alone");
    }

    #[test]
    fn what_the_credential_of_a_client_met_is_not_told() {
        let client = ClientCredentials {
            api_key: Some(Secret::new("theirs")),
            ..ClientCredentials::default()
        };
        let made = deployment("a", "m").for_client(&client);
        assert!(News::back(&Arc::new(made)).is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}", left: u64, age: u64, growth: u32) {
            drop(serde_json::from_str::<Entry<'_>>(&text));
            let rest = Remaining {
                left_us: left,
                because: "internal".into(),
                blame: "deployment".into(),
                growth,
            };
            let now = Instant::now();
            let rest = rest.rest(Duration::from_micros(age), 60 * SECOND, now);
            prop_assert_eq!(rest.is_some(), left > age);
            prop_assert!(rest.is_none_or(|it| it.until <= now + 60 * SECOND && it.growth <= MAX_GROWTH));
        }
    }
}
