//! What a check asks, and what it makes of the answer.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::{
    join,
    time::{advance, sleep},
};
use ziggurat_core::{Deployment, ErrorKind, HealthCheck, Mode, Snapshot};
use ziggurat_health::{Checkup, HealthPolicy};

use crate::world::{Says, World, gpt, secs};

/// What one check asks, and whether the deployment is healthy then.
async fn check(
    policy: HealthPolicy,
    deployment: Deployment,
    probe: Says<Option<bool>>,
    call: Says<()>,
) -> (Vec<String>, Option<bool>) {
    let id = deployment.id().to_string();
    let world = World::new(policy, [deployment]);
    world.probe_says(&id, probe);
    world.call_says(&id, call);
    world.check().await;
    (world.asked(), world.is_healthy(&id))
}

fn asked(what: &[&str]) -> Vec<String> {
    what.iter().map(ToString::to_string).collect()
}

const LISTED: Says<Option<bool>> = Says::This(Some(true));
const UNLISTED: Says<Option<bool>> = Says::This(Some(false));
const CANNOT_TELL: Says<Option<bool>> = Says::This(None);
const FINE: Says<()> = Says::This(());
const DOWN: Says<()> = Says::Error(ErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn the_cheapest_question_comes_first_and_often_is_enough() {
    let (probe, both) = (asked(&["probe a"]), asked(&["probe a", "call a"]));
    for (says, call, calls, expected) in [
        (LISTED, DOWN, false, (&probe, Some(true))),
        (LISTED, FINE, true, (&both, Some(true))),
        (LISTED, DOWN, true, (&both, Some(false))),
        (UNLISTED, FINE, false, (&both, Some(true))),
        (UNLISTED, DOWN, false, (&both, Some(false))),
        (CANNOT_TELL, FINE, false, (&both, Some(true))),
        (CANNOT_TELL, DOWN, false, (&both, Some(false))),
        (
            Says::Error(ErrorKind::Authentication),
            FINE,
            true,
            (&probe, Some(false)),
        ),
    ] {
        let policy = HealthPolicy::new().calls(calls);
        let (asked, healthy) = check(policy, gpt("a"), says, call).await;
        assert_eq!((&asked, healthy), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_called_is_probed_and_no_more() {
    let calls = HealthPolicy::new().calls(true);
    let probe = asked(&["probe a"]);
    let images = || gpt("a").with_mode(Mode::ImageGeneration);
    for (says, healthy) in [
        (LISTED, Some(true)),
        (UNLISTED, Some(false)),
        (CANNOT_TELL, None),
    ] {
        let found = check(calls.clone(), images(), says, FINE).await;
        assert_eq!(found, (probe.clone(), healthy));
    }
    let wild = || Deployment::new("a", "any/*", "*");
    for (says, healthy) in [(UNLISTED, Some(true)), (CANNOT_TELL, None)] {
        let found = check(calls.clone(), wild(), says, DOWN).await;
        assert_eq!(found, (probe.clone(), healthy));
    }
    let mut named = HealthCheck::default();
    named.model = Some(Arc::from("small"));
    let wild = wild().with_health_check(named);
    let found = check(calls, wild, LISTED, FINE).await;
    assert_eq!(found, (asked(&["probe a", "call a"]), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_mock_answer_is_called_for_and_its_provider_not_probed() {
    let mock = gpt("a").with_mock_response("hello");
    let found = check(HealthPolicy::new(), mock, UNLISTED, FINE).await;
    assert_eq!(found, (asked(&["call a"]), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_blames_the_request_speaks_for_the_deployment() {
    for (kind, healthy) in [
        (ErrorKind::BadRequest, true),
        (ErrorKind::ContentPolicy, true),
        (ErrorKind::Authentication, false),
        (ErrorKind::NotFound, false),
        (ErrorKind::Connect, false),
        (ErrorKind::BadAnswer, false),
    ] {
        let world = World::new(HealthPolicy::new(), [gpt("a")]);
        world.probe_says("a", CANNOT_TELL);
        world.call_says("a", Says::Error(kind));
        world.check().await;
        let verdict = world.verdict("a").expect("is known");
        assert_eq!(verdict.is_healthy(), healthy, "{kind}");
        assert_eq!(verdict.error_kind(), Some(kind));
        assert_eq!(verdict.error_message(), Some("failed"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_only_busy_may_be_healthy() {
    use ziggurat_core::Clock;
    for (kind, healthy) in [
        (ErrorKind::RateLimited, true),
        (ErrorKind::Timeout(Clock::Attempt), true),
        (ErrorKind::Timeout(Clock::Connect), false),
        (ErrorKind::Overloaded, false),
    ] {
        for ignore in [true, false] {
            let policy = HealthPolicy::new().ignore_transient(ignore);
            let (_, found) = check(policy, gpt("a"), Says::Error(kind), FINE).await;
            assert_eq!(found, Some(healthy && ignore), "{kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_unhealthy_after_the_time_limit() {
    let mut own = HealthCheck::default();
    own.timeout = Some(secs(7));
    let policy = HealthPolicy::new().ignore_transient(true);
    let world = World::new(policy, [gpt("a"), gpt("b").with_health_check(own)]);
    for id in ["a", "b"] {
        world.probe_says(id, Says::Nothing);
    }
    world.check().await;
    let took = |id| {
        let verdict = world.verdict(id).expect("is known");
        (verdict.is_healthy(), verdict.took())
    };
    assert_eq!(took("a"), (false, secs(60)));
    assert_eq!(took("b"), (false, secs(7)));
    assert_eq!(world.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_a_panic_change_nothing() {
    let world = World::new(HealthPolicy::new(), [gpt("a")]);
    world.probe_says("a", Says::Rejects);
    assert_eq!(world.check().await.unknown().len(), 1);
    world.probe_says("a", Says::Error(ErrorKind::Internal));
    world.check().await;
    for says in [Says::Rejects, Says::Panics] {
        world.probe_says("a", says);
        advance(secs(1)).await;
        world.check().await;
        let verdict = world.verdict("a").expect("is known");
        assert_eq!(verdict.error_kind(), Some(ErrorKind::Internal));
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_share_a_target_share_a_check() {
    let of = |id, group, model| Deployment::new(id, group, model);
    let all = [
        of("b", "gpt", "m"),
        of("a", "fast", "m"),
        of("c", "gpt", "n"),
    ];
    let world = World::new(HealthPolicy::new(), all);
    world.probe_says("a", Says::Error(ErrorKind::NotFound));
    let report = world.check().await;
    assert_eq!(world.asked(), ["probe a", "probe c"]);
    let ids = |list: &[Checkup]| {
        let ids = list.iter().map(|it| it.deployment().id().to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(report.unhealthy()), ["a", "b"]);
    assert_eq!(ids(report.healthy()), ["c"]);
    let verdict = report.unhealthy()[1].verdict().expect("is known");
    assert_eq!(verdict.error_kind(), Some(ErrorKind::NotFound));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_checked_is_not() {
    let mut disabled = HealthCheck::default();
    disabled.disabled = true;
    let policy = HealthPolicy::new().groups(["other"]);
    let world = World::new(
        policy,
        [
            gpt("a").with_health_check(disabled),
            gpt("b").with_blocked(true),
        ],
    );
    let report = world.check().await;
    assert_eq!(world.asked(), ["probe b"]);
    assert_eq!(report.unknown()[0].deployment().id().as_str(), "a");
}

#[tokio::test(start_paused = true)]
async fn all_are_checked_a_few_at_a_time() {
    let few = NonZeroUsize::new(3).expect("is over zero");
    let ids: Vec<_> = (0..10).map(|id| format!("{id}")).collect();
    let policy = HealthPolicy::new().concurrency(few);
    let world = World::new(policy, ids.iter().map(|id| gpt(id)));
    world.takes(secs(1));
    assert_eq!(world.check().await.healthy().len(), 10);
    assert_eq!((world.peak(), world.log().len()), (3, 10));
}

#[tokio::test(start_paused = true)]
async fn who_asks_meanwhile_shares_what_is_found() {
    let world = World::new(HealthPolicy::new(), [gpt("a"), gpt("b")]);
    world.takes(secs(1));
    let (first, second) = join!(world.check(), world.check());
    assert_eq!((first.healthy().len(), second.healthy().len()), (2, 2));
    assert_eq!(world.log().len(), 2);
    world.check().await;
    assert_eq!(world.log().len(), 2, "who asks later asks anew");
}

#[tokio::test(start_paused = true)]
async fn what_a_reload_took_away_is_forgotten() {
    let world = World::new(HealthPolicy::new(), [gpt("a"), gpt("b")]);
    world.probe_says("a", Says::Error(ErrorKind::NotFound));
    world.check().await;
    let moved = gpt("a").with_base_url("https://elsewhere.example");
    world.deployments.swap(Snapshot::new([moved]));
    assert_eq!(world.health.report().unknown().len(), 1);
    advance(secs(1)).await;
    world.probe_says("a", LISTED);
    assert_eq!(world.check().await.healthy().len(), 1);
    assert!(world.verdict("b").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_a_reload_overtakes_says_nothing_of_what_is_new() {
    let world = World::new(HealthPolicy::new(), [gpt("a"), gpt("b")]);
    world.takes(secs(5));
    let reload = async {
        sleep(secs(1)).await;
        let moved = gpt("a").with_base_url("https://elsewhere.example");
        world.deployments.swap(Snapshot::new([moved]));
    };
    let (report, ()) = join!(world.check(), reload);
    assert_eq!(report.unknown().len(), 1);
    assert!(world.verdict("a").is_none() && world.verdict("b").is_none());
}
