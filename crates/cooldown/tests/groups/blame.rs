//! Whom else a failure concerns.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, advance};
use ziggurat_cooldown::{CooldownPolicy, State};
use ziggurat_core::{
    Blame, ClientCredentials, Deployment, Error, ErrorKind, RoutingGroup, Secret, Snapshot,
};

use crate::{Test, gpt};

/// A deployment of an account.
fn of(id: &str, group: &str, model: &str, key: &str) -> Deployment {
    Deployment::new(id, group, model).with_credential(Secret::new(key))
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
        is_owners: false,
    };
    assert!(serves(Arc::new(made("other").for_client(&client))));
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

#[tokio::test(start_paused = true)]
async fn ten_deployments_with_one_revoked_key_all_rest_after_one_401() {
    let ids: Vec<_> = (0..10).map(|i| format!("d{i}")).collect();
    let dead = |id: &String| of(id, "gpt", id, "revoked");
    let alive = of("alive", "gpt", "m", "other");
    let test = Test::new(ids.iter().map(dead).chain([alive]));
    test.fails("d3", ErrorKind::Authentication);
    assert_eq!(test.resting(), ids);
    test.answers("alive");
}

#[tokio::test(start_paused = true)]
async fn a_dead_key_is_probed_as_rarely_as_a_single_deployment_is() {
    let ids: Vec<_> = (0..10).map(|i| format!("d{i}")).collect();
    let dead = |id: &String| of(id, "gpt", id, "revoked");
    let alive = of("alive", "gpt", "m", "other");
    let test = Test::new(ids.iter().map(dead).chain([alive]));
    let began = Instant::now();
    let mut asked = Vec::new();
    for second in 0..120 {
        // Another one is asked first each time.
        for id in ids.iter().cycle().skip(second % 10).take(10) {
            let answer = test.sends(0, test.find(id), Err(ErrorKind::Authentication));
            if answer.expect_err("fails").rejection().is_none() {
                asked.push(began.elapsed().as_secs());
            }
        }
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(asked, [0, 5, 25, 65, 105]);
}

#[tokio::test(start_paused = true)]
async fn a_429_rests_whoever_draws_on_the_same_quota_in_every_group_until_the_same_time() {
    let test = Test::new([
        of("a", "gpt", "m", "k"),
        of("b", "gpt", "m", "k").with_cooldown_time(Duration::from_secs(60)),
        of("other account", "gpt", "m", "l"),
        of("other group", "cheap", "m", "k"),
        of("other model", "cheap", "n", "k"),
        of("last of its group", "lonely", "m", "k"),
        of("steady", "gpt", "m", "k").with_cooldown_time(Duration::ZERO),
        of("elsewhere", "gpt", "m", "k").with_base_url("https://eu.example"),
    ]);
    let throttled = |secs| {
        let error = Error::new(ErrorKind::RateLimited, "slow down");
        let error = error.with_retry_after(Duration::from_secs(secs));
        test.begins(0, test.find("a"), Err(error))
    };
    let (first, second) = (throttled(7), throttled(30));
    first.await.expect_err("fails");
    let until = |secs| Some(Instant::now() + Duration::from_secs(secs));
    let resting = ["a", "b", "other group"];
    assert_eq!(test.resting(), resting);
    assert_eq!(resting.map(|id| test.until(id)), [until(7); 3]);
    second.await.expect_err("fails");
    assert_eq!(resting.map(|id| test.until(id)), [until(30); 3]);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_rest_itself_still_tells_the_other_groups() {
    let test = Test::new([
        of("last", "lonely", "m", "k"),
        of("a", "gpt", "m", "k"),
        of("b", "gpt", "m", "l"),
    ]);
    test.fails("last", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn where_a_failed_request_may_go_is_of_use_to_its_own_group_only() {
    let test = Test::new([of("a", "gpt", "m", "k"), of("b", "lonely", "m", "k")]);
    test.fails_with(1, "a", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_overloaded_provider_rests_is_the_model_whatever_the_account() {
    let test = Test::new([
        of("a", "gpt", "m", "k"),
        of("b", "gpt", "m", "l"),
        of("c", "gpt", "n", "k"),
        of("d", "gpt", "m", "k").with_provider("anthropic"),
    ]);
    for _ in 0..2 {
        test.fails("a", ErrorKind::Overloaded);
    }
    assert!(test.resting().is_empty(), "a rest is not due");
    test.fails("a", ErrorKind::Overloaded);
    assert_eq!(test.resting(), ["a", "b"]);
    assert_eq!(test.until("a"), test.until("b"));
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_is_to_blame_for_rests_it_alone() {
    for kind in ErrorKind::ALL {
        if kind.rule().blame != Blame::Deployment {
            continue;
        }
        let policy = CooldownPolicy::new().allowed_fails(0);
        let test = Test::with(policy, ["a", "b", "c"].map(|id| of(id, "gpt", "m", "k")));
        test.fails("a", kind);
        assert_eq!(test.resting(), ["a"], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_that_counts_by_name_speaks_against_nobody_else() {
    let policy = CooldownPolicy::new().allowed_fails_of(ErrorKind::BadRequest, 0);
    let test = Test::with(policy, ["a", "b", "c"].map(|id| of(id, "gpt", "m", "k")));
    test.fails("a", ErrorKind::BadRequest);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_knows_better_whom_it_speaks_against_goes_before_its_kind() {
    let test = Test::new(["a", "b", "c"].map(|id| of(id, "gpt", "m", "k")));
    let own = Error::new(ErrorKind::RateLimited, "slow down").with_blame(Blame::Deployment);
    let answer = test.begins(0, test.find("a"), Err(own));
    answer.await.expect_err("fails");
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_shared_with_what_a_wildcard_serves_by_the_same_model() {
    let test = Test::new([
        of("a", "gpt", "m", "k"),
        of("b", "gpt", "m", "l"),
        of("wild", "any/*", "*", "k"),
        of("wilder", "any/*", "*", "k"),
        of("other account", "any/*", "*", "l"),
    ]);
    let serves = |id: &str, model: &str| {
        let made = Arc::new(test.find(id).for_model(model));
        test.sends(0, made, Ok(())).is_ok()
    };
    test.fails("a", ErrorKind::RateLimited);
    assert!(!serves("wild", "m") && !serves("wilder", "m"));
    assert!(serves("wild", "n") && serves("other account", "m"));

    let made = Arc::new(test.find("wild").for_model("n"));
    let answer = test.sends(0, made, Err(ErrorKind::RateLimited));
    assert!(answer.is_err());
    assert!(!serves("wild", "n") && !serves("wilder", "n"));
    assert_eq!(test.resting(), ["a"], "the wildcards as such do not rest");
}

#[tokio::test(start_paused = true)]
async fn what_a_clients_own_account_meets_says_nothing_of_ours() {
    let ours = |id| of(id, "gpt", "m", "ours").with_client_credentials(true);
    for kind in [
        ErrorKind::Authentication,
        ErrorKind::RateLimited,
        ErrorKind::Overloaded,
    ] {
        let policy = CooldownPolicy::new().allowed_fails(0);
        let test = Test::with(policy, ["a", "b", "c"].map(ours));
        let client = ClientCredentials {
            api_key: Some(Secret::new("of the client")),
            base_url: None,
            is_owners: false,
        };
        let made = Arc::new(test.find("a").for_client(&client));
        let answer = test.sends(0, Arc::clone(&made), Err(kind));
        assert!(answer.is_err());
        assert_ne!(test.layer.state(made.id()), State::Closed, "{kind}");
        assert!(test.resting().is_empty(), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_our_account_meets_concerns_a_clients_if_the_provider_is_to_blame() {
    let client = ClientCredentials {
        api_key: Some(Secret::new("of the client")),
        base_url: None,
        is_owners: false,
    };
    for (kind, serves) in [
        (ErrorKind::Authentication, true),
        (ErrorKind::RateLimited, true),
        (ErrorKind::Overloaded, false),
    ] {
        let policy = CooldownPolicy::new().allowed_fails(0);
        let test = Test::with(policy, ["a", "b"].map(|id| of(id, "gpt", id, "ours")));
        test.fails("a", kind);
        let made = Arc::new(test.find("a").for_client(&client));
        assert_eq!(test.sends(0, made, Ok(())).is_ok(), serves, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_rests_for_a_quota_is_back_with_another_credential() {
    let list = |key: &str| Snapshot::new([of("a", "gpt", "m", key), of("b", "gpt", "m", "l")]);
    let test = Test::new([of("a", "gpt", "m", "k"), of("b", "gpt", "m", "l")]);
    test.fails("a", ErrorKind::RateLimited);
    test.deployments.swap(list("new"));
    assert!(test.sends(0, test.find("a"), Ok(())).is_ok());
    assert_eq!(test.layer.back_since(&"a".into()), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_of_a_deployment_does_not_inherit_the_rest_of_the_credential_before() {
    let wild = |id, key| of(id, "any/*", "*", key);
    let test = Test::new([wild("a", "old"), wild("b", "l")]);
    let made = |model| Arc::new(test.find("a").for_model(model));
    let answer = test.sends(0, made("m"), Err(ErrorKind::Authentication));
    assert!(answer.is_err());
    assert!(test.sends(0, made("n"), Ok(())).is_err());
    test.deployments
        .swap(Snapshot::new([wild("a", "new"), wild("b", "l")]));
    assert!(test.sends(0, made("n"), Ok(())).is_ok());
    assert!(test.sends(0, made("m"), Ok(())).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_credential_ends_no_rest_that_has_another_reason() {
    let list = |key: &str| Snapshot::new([of("a", "gpt", "m", key), of("b", "gpt", "m", "l")]);
    let test = Test::new([of("a", "gpt", "m", "k"), of("b", "gpt", "m", "l")]);
    test.fails("a", ErrorKind::NotFound);
    test.deployments.swap(list("new"));
    assert!(test.sends(0, test.find("a"), Ok(())).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_floor_is_that_of_the_group_and_not_of_a_routing_group_around_it() {
    let both = RoutingGroup {
        name: Arc::from("both"),
        models: vec![(Arc::from("gpt"), None), (Arc::from("lonely"), Some(2))],
    };
    let test = Test::new([]);
    let list = [
        of("a", "gpt", "m", "k"),
        of("b", "gpt", "m", "l"),
        of("c", "lonely", "m", "k"),
    ];
    let list = Snapshot::new(list).with_routing_groups([both]);
    test.deployments.swap(list);
    test.fails("a", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_those_that_rest_with_another_too() {
    let test = Test::new(["a", "b", "c"].map(|id| of(id, "gpt", id, "k")));
    let health = |id: &str| test.layer.health(&id.into());
    let unknown = health("unknown");
    test.fails("a", ErrorKind::Authentication);
    assert_eq!((health("a").failures, health("a").rests), (1, 1));
    assert_eq!((health("b").failures, health("b").rests), (0, 1));
    assert_eq!(health("a").state, health("b").state);
    assert_eq!(health("c"), unknown, "it is the last");
    assert_eq!(test.layer.last_back(), None);

    advance(Duration::from_secs(5)).await;
    test.answers("b");
    let now = Some(Instant::now());
    advance(Duration::from_secs(1)).await;
    let back = |id: &str| test.layer.back_since(&id.into());
    assert_eq!((back("a"), back("b"), back("c")), (None, now, None));
    assert_eq!(health("b").back_since, now);
    assert_eq!(test.layer.last_back(), now);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_the_requests_doing_changes_the_health_of_anybody() {
    let test = Test::new(["a", "b", "c"].map(|id| of(id, "gpt", "m", "k")));
    let unknown = test.layer.health(&"unknown".into());
    for kind in ErrorKind::ALL {
        for _ in 0..20 {
            let error = Error::new(kind, "failed").with_blame(Blame::Request);
            let answer = test.begins(0, test.find("a"), Err(error)).now_or_never();
            assert!(answer.expect("nothing waits").is_err());
        }
    }
    for id in ["a", "b", "c"] {
        assert_eq!(test.layer.health(&id.into()), unknown);
    }
}
