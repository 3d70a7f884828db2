//! Who rests when few are left, and whom a bad credential concerns.

use std::{
    sync::{Arc, Barrier},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy, State};
use ziggurat_core::{
    ClientCredentials, Deployment, Deployments, Error, ErrorKind, HasLedger, LlmRequest,
    LlmResponse, Routed, Secret, Snapshot,
};

#[tokio::test(start_paused = true)]
async fn the_last_of_a_group_does_not_rest() {
    let test = Test::new([gpt("a"), gpt("b"), Deployment::new("c", "claude", "m")]);
    for _ in 0..9 {
        test.fails("a", ErrorKind::RateLimited);
        test.fails("b", ErrorKind::RateLimited);
        test.fails("c", ErrorKind::Authentication);
    }
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_group_rests_if_the_request_can_go_to_another_group() {
    let test = Test::new([gpt("a")]);
    test.fails_with(1, "a", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_group_rests_when_another_is_back() {
    let test = Test::new([gpt("a"), gpt("b")]);
    test.fails("a", ErrorKind::RateLimited);
    advance(Duration::from_secs(5)).await;
    test.fails("b", ErrorKind::RateLimited);
    assert!(test.resting().is_empty(), "a has not been probed");
    test.answers("a");
    test.fails("b", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_serves_on_if_nobody_else_does() {
    let test = Test::new([gpt("a"), gpt("b")]);
    test.fails("a", ErrorKind::RateLimited);
    advance(Duration::from_secs(5)).await;
    test.fails_with(1, "b", ErrorKind::RateLimited);
    test.fails("a", ErrorKind::Internal);
    assert_eq!(test.layer.state(&"a".into()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_of_a_deployment_rests_with_its_credential_and_alone_for_all_else() {
    let wild = |id: &str| Deployment::new(id, "any/*", "*").with_credential(Secret::new(id));
    let test = Test::new([wild("a"), wild("b")]);
    let made = |model: &str| Arc::new(test.find("a").for_model(model));
    let serves = |deployment: Arc<Deployment>| test.sends(0, deployment, Ok(())).is_ok();

    assert!(
        test.sends(0, made("none"), Err(ErrorKind::NotFound))
            .is_err()
    );
    assert!(!serves(made("none")), "it rests");
    assert!(serves(made("some")), "another model does not");

    assert!(
        test.sends(0, made("some"), Err(ErrorKind::Authentication))
            .is_err()
    );
    assert!(!serves(made("other")), "it presents the same credential");
    let client = ClientCredentials {
        api_key: Some(Secret::new("of the client")),
        base_url: None,
    };
    assert!(serves(Arc::new(made("other").for_client(&client))));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_never_rests_serves() {
    let steady = gpt("a").with_cooldown_time(Duration::ZERO);
    let test = Test::new([steady, gpt("b")]);
    test.fails("a", ErrorKind::RateLimited);
    test.fails("b", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn wildcard_groups_have_a_floor_too() {
    let wildcard = |id| Deployment::new(id, "openai/*", "*");
    let test = Test::new([wildcard("a"), wildcard("b"), Deployment::new("c", "*", "*")]);
    for id in ["a", "b", "c"] {
        test.fails(id, ErrorKind::RateLimited);
    }
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_may_take_away_what_fails() {
    let test = Test::new([gpt("a"), gpt("b")]);
    let gone = test.find("a");
    test.deployments.swap(Snapshot::new([gpt("b")]));
    let error = test.sends(0, gone, Err(ErrorKind::RateLimited));
    assert!(error.is_err());
    test.fails("b", ErrorKind::RateLimited);
    assert!(test.resting().is_empty(), "b is the last");
}

#[tokio::test(start_paused = true)]
async fn without_the_list_everybody_rests() {
    let mut test = Test::new([gpt("a")]);
    test.layer = CooldownLayer::new(CooldownPolicy::new());
    test.fails("a", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[test]
fn two_that_fail_at_the_same_time_do_not_both_rest() {
    for _ in 0..500 {
        let test = Test::new([gpt("a"), gpt("b")]);
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for id in ["a", "b"] {
                let (test, barrier) = (&test, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    test.fails(id, ErrorKind::RateLimited);
                });
            }
        });
        assert_eq!(test.resting().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_credential_rests_who_presents_it_at_the_same_place() {
    let key = |id, group, key: &str, url: &str| {
        Deployment::new(id, group, "m")
            .with_credential(Secret::new(key))
            .with_base_url(url)
    };
    let test = Test::new([
        key("a", "gpt", "old", "https://one.example"),
        key("b", "gpt", "old", "https://two.example"),
        key("c", "gpt", "new", "https://one.example"),
        key("d", "claude", "old", "https://one.example"),
        key("e", "claude", "old", "https://two.example"),
        key("f", "o3", "old", "https://one.example"),
        key("g", "gpt", "old", "https://one.example").with_provider("anthropic"),
        gpt("h"),
    ]);
    test.fails("a", ErrorKind::Authentication);
    assert_eq!(test.resting(), ["a", "d"], "f is the last of its group");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_credential_concerns_nobody_else() {
    let test = Test::new([gpt("a"), gpt("b"), gpt("c")]);
    test.fails("a", ErrorKind::Authentication);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_rests_for_a_credential_is_back_with_another() {
    let with = |key: &str| gpt("a").with_credential(Secret::new(key));
    let test = Test::new([with("old"), gpt("b")]);
    test.fails("a", ErrorKind::Authentication);
    let before = test.find("a");
    test.deployments
        .swap(Snapshot::new([with("new"), gpt("b")]));
    assert!(test.sends(0, before, Ok(())).is_err());
    assert!(test.sends(0, test.find("a"), Ok(())).is_ok());
}

fn gpt(id: &str) -> Deployment {
    Deployment::new(id, "gpt", "m")
}

struct Test {
    deployments: Deployments,
    layer: CooldownLayer,
}

impl Test {
    fn new<const N: usize>(deployments: [Deployment; N]) -> Self {
        let deployments = Deployments::new(Snapshot::new(deployments));
        let layer = CooldownLayer::new(CooldownPolicy::new()).deployments(deployments.clone());
        Self { deployments, layer }
    }

    fn find(&self, id: &str) -> Arc<Deployment> {
        let snapshot = self.deployments.load();
        Arc::clone(snapshot.get(&id.into()).expect("is listed"))
    }

    /// Sends a request that could go to so many other groups.
    fn sends(
        &self,
        fallbacks_left: u32,
        to: Arc<Deployment>,
        answer: Result<(), ErrorKind>,
    ) -> Result<LlmResponse, Error> {
        let request = LlmRequest::chat("gpt", "hi");
        let ledger = request.ledger().expect("has one");
        ledger.set_fallbacks_left(fallbacks_left);
        let leaf = service_fn(move |_| async move {
            answer
                .map(|()| LlmResponse::complete("{}", None))
                .map_err(|kind| Error::new(kind, "failed"))
        });
        let response = self.layer.layer(leaf).oneshot(Routed::new(request, to));
        response.now_or_never().expect("nothing waits")
    }

    fn fails_with(&self, fallbacks_left: u32, id: &str, kind: ErrorKind) {
        let error = self.sends(fallbacks_left, self.find(id), Err(kind));
        assert!(error.is_err());
    }

    fn fails(&self, id: &str, kind: ErrorKind) {
        self.fails_with(0, id, kind);
    }

    fn answers(&self, id: &str) {
        self.sends(0, self.find(id), Ok(()))
            .expect("is not refused");
    }

    /// The deployments of the list that rest.
    fn resting(&self) -> Vec<String> {
        let snapshot = self.deployments.load();
        let rests = |id| matches!(self.layer.state(id), State::Resting { .. });
        let ids = snapshot.deployments().map(|deployment| deployment.id());
        let mut ids: Vec<_> = ids
            .filter(|id| rests(id))
            .map(ToString::to_string)
            .collect();
        ids.sort();
        ids
    }
}
