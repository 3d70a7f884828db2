//! Which deployments filters leave, and what is told where they leave none.

use proptest::prelude::*;
use ziggurat_core::{
    AccessWindow, Caller, Capabilities, Capability, Deployment, Deployments, Error, ErrorKind,
    FallbackList, LlmRequest, Mode, Operation, Reason, Rejection, Support,
};
use ziggurat_load_balance::{
    ContextWindowFilter, Filter, Filters, LoadBalanceLayer, Members, SimpleShuffle, TagFilter,
};

use crate::support::{Asked, balanced, member, request};

fn all_on() -> Filters {
    Filters::new()
        .tags(Some(TagFilter::match_any()))
        .region(true)
        .capabilities(true)
        .mode(true)
        .fields(true)
        .context_window(Some(ContextWindowFilter::new()))
}

fn chat(more: &str) -> LlmRequest {
    let body = format!(r#"{{"model":"gpt"{more}}}"#);
    LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("is valid")
}

fn refused(
    filters: Filters,
    request: &LlmRequest,
    members: impl IntoIterator<Item = Deployment>,
) -> Error {
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let chosen = layer.filter(filters).choose(request);
    chosen.expect_err("nobody is left")
}

fn reason(error: &Error) -> Option<Reason> {
    error.rejection().map(Rejection::reason)
}

#[test]
fn the_error_says_for_each_deployment_what_speaks_against_it() {
    let mut request = LlmRequest::chat("gpt", &"x".repeat(36_000));
    request.add_tags(["us"]);
    let tokens = request.estimated_input_tokens();
    let members = [
        member("a").with_tags(["us"]).with_max_input_tokens(8_192),
        member("b").with_tags(["eu"]),
        member("c").with_tags(["us"]).with_blocked(true),
    ];
    let error = refused(all_on(), &request, members);
    assert_eq!(
        error.message(),
        format!(
            "no deployment of `gpt` fits the request: a (context window: {tokens} tokens asked, \
             8192 fit), b (tags: has `eu`, not `us`), c (blocked: gets no requests for now)"
        )
    );
}

#[test]
fn where_many_do_not_fit_a_few_are_told() {
    let members = (0..1_000).map(|i| member(&i.to_string()).with_region("eu"));
    let error = refused(all_on(), &chat(r#","allowed_model_region":"us""#), members);
    assert!(
        error
            .message()
            .ends_with("7 (region: is in `eu`) and 992 more"),
        "{error}"
    );
}

#[test]
fn of_several_things_the_first_in_order_is_told() {
    let tools =
        r#","tools":[{"type":"function"}],"seed":1,"allowed_model_region":"us","tags":["x"]"#;
    let long = format!(
        r#"{tools},"messages":[{{"role":"user","content":"{}"}}]"#,
        "x".repeat(4_000)
    );
    let unable = Capabilities::default().with(Capability::Tools, false);
    let mut worst = member("a")
        .with_team("red", None)
        .with_blocked(true)
        .with_tags(["x-not"])
        .with_region("eu")
        .with_capabilities(unable)
        .with_mode(Mode::Embedding)
        .with_fields(["tools"].into_iter().collect())
        .with_max_input_tokens(10);
    let mut told = Vec::new();
    let well: [fn(Deployment) -> Deployment; 8] = [
        |it| rebuilt(&it).with_blocked(true),
        |it| it.with_blocked(false),
        |it| it.with_tags(["x"]),
        |it| it.with_region("us"),
        |it| it.with_capabilities(Capabilities::default()),
        |it| it.with_mode(Mode::Chat),
        |it| it.with_fields(["tools", "seed", "messages"].into_iter().collect()),
        |it| it.with_max_input_tokens(10_000),
    ];
    for make_well in well {
        let error = refused(all_on(), &chat(&long), [worst.clone(), other()]);
        let text = error.message().split("a (").nth(1).unwrap_or_default();
        told.push(text.split(':').next().unwrap_or_default().to_owned());
        worst = make_well(worst);
    }
    assert_eq!(
        told,
        [
            "team",
            "blocked",
            "tags",
            "region",
            "capabilities",
            "mode",
            "fields",
            "context window"
        ]
    );
    let layer = LoadBalanceLayer::new(Deployments::from_iter([worst]), SimpleShuffle);
    layer
        .filter(all_on())
        .choose(&chat(&long))
        .expect("it fits now");
}

/// The tag that is asked for is known to the group, and its carrier never serves.
fn other() -> Deployment {
    member("other").with_tags(["x"]).with_blocked(true)
}

/// The same without a team.
fn rebuilt(worst: &Deployment) -> Deployment {
    member("a")
        .with_tags(worst.tags().iter().cloned())
        .with_region(worst.region().unwrap_or_default().to_owned())
        .with_capabilities(worst.capabilities())
        .with_mode(worst.mode().expect("has one"))
        .with_fields(worst.fields().expect("has some"))
        .with_max_input_tokens(10)
}

#[test]
fn what_is_refused_for_its_size_alone_may_fall_back_to_larger_models() {
    let long = LlmRequest::chat("gpt", &"x".repeat(8_000));
    let small = || member("small").with_max_input_tokens(1_000);
    let error = refused(all_on(), &long, [small()]);
    assert_eq!(error.kind(), ErrorKind::ContextWindow);
    assert_eq!(error.kind().rule().fallback, FallbackList::ContextWindow);
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (400, "context_length_exceeded")
    );
    assert!(error.rejection().is_none() && error.deployment().is_none());

    let error = refused(all_on(), &long, [small(), member("b").with_blocked(true)]);
    assert_eq!(
        error.kind(),
        ErrorKind::ContextWindow,
        "were it shorter, it would be served"
    );
    let embeds = small().with_mode(Mode::Embedding);
    let error = refused(all_on(), &long, [embeds]);
    assert_eq!(
        reason(&error),
        Some(Reason::Filtered),
        "no other size would help"
    );
}

#[test]
fn where_all_that_fit_are_blocked_it_is_not_the_request_that_is_wrong() {
    let blocked = || member("a").with_blocked(true);
    let error = refused(all_on(), &request(), [blocked()]);
    assert_eq!(
        (error.status().as_u16(), reason(&error)),
        (503, Some(Reason::NoCandidate))
    );
    let error = refused(all_on(), &request(), [member("b").with_team("red", None)]);
    assert_eq!(
        (error.status().as_u16(), reason(&error)),
        (400, Some(Reason::Filtered))
    );
    assert!(!error.message().contains("red"), "{error}");
}

#[test]
fn reasons_are_made_only_where_nothing_is_left() {
    struct Watches;
    impl Filter<LlmRequest> for Watches {
        fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
            let keeps = request.user().is_none();
            members.retain(
                "watch",
                |member| keeps && member.id().as_str() == "b",
                |_| {
                    assert!(!keeps, "something is left");
                    "was asked".into()
                },
            );
        }
    }
    let members = || [member("a"), member("b")];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members()), SimpleShuffle);
    let chosen = layer.filter(Watches).choose(&request()).expect("b is left");
    assert_eq!(chosen.id().as_str(), "b");
    let error = refused(
        Filters::new().own(Watches),
        &chat(r#","user":"u""#),
        members(),
    );
    assert!(
        error
            .message()
            .ends_with("a (watch: was asked), b (watch: was asked)"),
        "{error}"
    );
}

#[test]
fn a_filter_by_member_and_one_by_traits_go_together() {
    let not_a = |_: &LlmRequest, member: &Deployment| member.id().as_str() != "a";
    let filters = Filters::new().own(not_a).region(true);
    let members = [
        member("a").with_region("eu"),
        member("b").with_region("eu"),
        member("c"),
    ];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let layer = layer.filter(filters);
    let request = chat(r#","allowed_model_region":"eu""#);
    for _ in 0..20 {
        let chosen = layer.choose(&request).expect("one is left");
        assert_eq!(chosen.id().as_str(), "b");
    }
}

#[test]
fn where_something_is_left_filtering_allocates_nothing() {
    let members = (0..1_000).map(|i| {
        let member = member(&i.to_string()).with_max_input_tokens(1_000);
        match i % 4 {
            0 => member.with_blocked(true),
            1 => member.with_tags(["us", "default"]).with_region("us"),
            2 => member.with_tags(["eu"]).with_team("red", None),
            _ => member
                .with_access_window(
                    AccessWindow::new(0, 1_440, "Europe/Berlin", Vec::new()).expect("is one"),
                )
                .with_tags(["default"]),
        }
    });
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let layer = layer.filter(all_on());
    let mut request = chat(r#","allowed_model_region":"us","tools":[{"type":"function"}]"#)
        .with_caller(Caller::new().with_team("blue"));
    request.add_tags(["us", "!eu", "route"]);
    layer.choose(&request).expect("one is left");
    let counted = allocation_counter::measure(|| {
        layer.choose(&request).expect("one is left");
    });
    assert_eq!(counted.count_total, 0);
}

#[tokio::test(start_paused = true)]
async fn what_filters_leave_out_is_never_asked() {
    use tower::ServiceExt as _;

    let asked = Asked::default();
    let members = [
        member("a").with_order(0).with_blocked(true),
        member("b").with_order(1),
    ];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let layer = layer.filter(all_on());
    let stack = balanced(&layer, &asked, |_| {
        Err(Error::new(ErrorKind::Internal, "broken"))
    });
    let request = request();
    for _ in 0..3 {
        stack
            .clone()
            .oneshot(request.clone())
            .await
            .expect_err("b fails");
    }
    assert_eq!(asked.take(), ["b", "b", "b"]);
}

/// A member, as numbers that say what it is.
type Drawn = (Option<u8>, bool, u8, Option<u8>, Option<u64>, u8, u8);

fn built(id: usize, drawn: &Drawn) -> Deployment {
    let (team, blocked, tags, region, window, tools, mode) = drawn;
    let names = ["x", "y", "default"];
    let tags = (0..3)
        .filter(|bit| tags >> bit & 1 == 1)
        .map(|bit| names[bit]);
    let mut it = member(&id.to_string())
        .with_blocked(*blocked)
        .with_tags(tags);
    if let Some(team) = team {
        it = it.with_team(team.to_string(), None);
    }
    if let Some(region) = region {
        it = it.with_region(region.to_string());
    }
    if let Some(window) = window {
        it = it.with_max_input_tokens(*window);
    }
    let listed = Capabilities::listed(Default::default(), Default::default());
    it = it.with_capabilities(match tools {
        0 => Capabilities::default(),
        1 => listed,
        2 => listed.with(Capability::Tools, true),
        _ => listed.with(Capability::Tools, false),
    });
    match mode {
        0 => it,
        1 => it.with_mode(Mode::Chat),
        _ => it.with_mode(Mode::Embedding),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_leave_nobody_whom_a_naive_look_refuses_and_everybody_else(
        members in prop::collection::vec(
            (
                prop::option::weighted(0.3, 0..2_u8),
                prop::bool::weighted(0.2),
                0..8_u8,
                prop::option::of(0..2_u8),
                prop::option::of(prop::sample::select(vec![10_u64, 100, 10_000])),
                0..4_u8,
                0..3_u8,
            ),
            1..12,
        ),
        caller in prop::option::of((prop::option::of(0..2_u8), prop::bool::weighted(0.2))),
        tags in 0..8_u8,
        region in prop::option::of(0..2_u8),
        needs_tools in any::<bool>(),
        letters in prop::sample::select(vec![4_usize, 200, 4_000]),
    ) {
        let members: Vec<_> = members.iter().enumerate().map(|(i, it)| built(i, it)).collect();
        let mut more = format!(
            r#","messages":[{{"role":"user","content":"{}"}}]"#,
            "a".repeat(letters)
        );
        if needs_tools {
            more += r#","tools":[{"type":"function"}]"#;
        }
        if let Some(region) = region {
            more += &format!(r#","allowed_model_region":"{region}""#);
        }
        let mut request = chat(&more);
        let asked: Vec<_> = (0..3)
            .filter(|bit| tags >> bit & 1 == 1)
            .map(|bit| ["x", "!y", "&default"][bit])
            .collect();
        request.add_tags(asked.iter().copied());
        let (team, admin) = caller.unwrap_or((None, false));
        if caller.is_some() {
            let mut caller = Caller::new();
            caller.team = team.map(|team| team.to_string().into());
            caller.is_admin = admin;
            request = request.with_caller(caller);
        }

        // The naive look: one deployment at a time, one rule after the other.
        let has = |it: &Deployment, tag: &str| it.tags().iter().any(|has| &**has == tag);
        let team = team.map(|team| team.to_string());
        let region = region.map(|region| region.to_string());
        let is_open = |it: &Deployment| {
            (it.team().is_none() || admin || it.team() == team.as_deref()) && !it.is_blocked()
        };
        let excluded = |it: &Deployment| asked.contains(&"!y") && has(it, "y");
        let unmet = |it: &Deployment| asked.contains(&"&default") && !has(it, "default");
        let in_pool = |it: &Deployment| is_open(it) && !excluded(it) && !unmet(it);
        let tag_pool = |it: &Deployment| -> bool {
            if asked.contains(&"x") {
                if members.iter().any(|it| in_pool(it) && has(it, "x")) {
                    has(it, "x")
                } else {
                    !members.iter().any(|it| has(it, "x")) && has(it, "default")
                }
            } else if !asked.contains(&"&default") && members.iter().any(|it| has(it, "default")) {
                has(it, "default")
            } else {
                true
            }
        };
        let tokens = request.estimated_input_tokens();
        let support = |it: &Deployment| it.capabilities().get(Capability::Tools);
        let fits = |it: &&Deployment| {
            in_pool(it)
                && tag_pool(it)
                && (region.is_none() || it.region() == region.as_deref())
                && (!needs_tools || support(it) != Support::No)
                && it.mode() != Some(Mode::Embedding)
                && it.max_input_tokens().is_none_or(|window| tokens <= window)
        };
        let mut expected: Vec<_> = members.iter().filter(fits).collect();
        if needs_tools && expected.iter().any(|it| support(it) == Support::Yes) {
            expected.retain(|it| support(it) != Support::Unlisted);
        }

        let layer = LoadBalanceLayer::new(Deployments::from_iter(members.clone()), SimpleShuffle);
        let explanation = layer.filter(all_on()).explain(&request).expect("there is a group");
        let mut left: Vec<_> = explanation
            .members()
            .iter()
            .filter(|it| it.may_serve())
            .map(|it| it.deployment().id().clone())
            .collect();
        let mut expected: Vec<_> = expected.iter().map(|it| it.id().clone()).collect();
        left.sort();
        expected.sort();
        prop_assert_eq!(&left, &expected);
        prop_assert_eq!(explanation.chosen().is_ok(), !expected.is_empty());
    }
}
