//! `GET /usage`: what groups and deployments did.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::Method,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use ziggurat::{
    Quantiles, Router,
    usage::{Histogram, Minute, Page, Tally},
};

use crate::{
    Gateway,
    app::error_response,
    key_info::Manager,
    listing::without_nulls,
    tell::{bad, missing},
};

/// How many minutes are told if nobody says it.
const MINUTES: usize = 5;

/// What is asked for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Asked {
    /// How many minutes back, the current one included.
    minutes: Option<usize>,
    /// One group alone, by its configured name.
    model_group: Option<String>,
    #[serde(default)]
    instances: Instances,
}

/// Whose usage is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Instances {
    /// That of all instances, as far as this one knows the others.
    #[default]
    All,
    /// That of this instance.
    This,
}

/// What is always that of this instance: the others say what they did minute by minute.
const OF_THIS_INSTANCE: [&str; 2] = ["totals", "in_flight"];

/// `GET /usage`: the last minutes of each group and each deployment, at all instances or at this one.
pub(crate) async fn usage(
    _: Manager,
    State(gateway): State<Gateway>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Some(router) = gateway.the_router() else {
        return missing(Method::GET, "/usage").await;
    };
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return error_response(&bad(rejection.body_text())),
    };
    let most = router.usage().minutes();
    let minutes = asked.minutes.unwrap_or(MINUTES);
    if !(1..=most).contains(&minutes) {
        let message = format!("`minutes` must be a whole number from 1 to {most}");
        return error_response(&bad(message).with_param("minutes"));
    }
    let wanted = |group: &str| asked.model_group.as_deref().is_none_or(|it| it == group);
    Json(describe(router, minutes, asked.instances, wanted)).into_response()
}

fn describe(
    router: &Router,
    minutes: usize,
    instances: Instances,
    wanted: impl Fn(&str) -> bool,
) -> Value {
    let (book, now) = (router.usage(), SystemTime::now());
    let others = book
        .others_read_at()
        .filter(|_| instances == Instances::All);
    let lately = Lately {
        now,
        minutes,
        of_all: others.is_some(),
    };
    let snapshot = router.deployments().load();
    let groups = snapshot.groups().filter(|group| wanted(group.name()));
    let groups = groups.map(|group| {
        let told = json!({"model_group": group.name()});
        lately.add(told, book.group(group.name()).as_ref())
    });
    let deployments = snapshot.deployments().filter(|it| wanted(it.group()));
    let deployments = deployments.map(|deployment| {
        let told = json!({
            "model_id": deployment.id().as_str(),
            "model_group": deployment.group(),
            "provider": deployment.provider(),
            "model": deployment.model(),
            "in_flight": router.stats(deployment.id()).in_flight,
        });
        lately.add(told, book.deployment(deployment.id()).as_ref())
    });
    without_nulls(json!({
        "now": seconds_since_1970(now),
        "minutes": minutes,
        "instances": if lately.of_all { "all" } else { "this" },
        "others_read": others.map(seconds_since_1970),
        "of_this_instance": lately.of_all.then_some(OF_THIS_INSTANCE),
        "groups": groups.collect::<Vec<_>>(),
        "deployments": deployments.collect::<Vec<_>>(),
    }))
}

/// Which minutes are told, and whose.
#[derive(Clone, Copy)]
struct Lately {
    now: SystemTime,
    minutes: usize,
    of_all: bool,
}

impl Lately {
    /// Adds what was done: lately, since the start, and in each minute in which something was.
    fn add(self, mut told: Value, page: Option<&Page>) -> Value {
        let history = page.map_or_else(Vec::new, |page| self.history(page));
        let mut lately = Tally::default();
        history.iter().for_each(|(_, tally)| lately.merge(tally));
        let totals = page.map_or_else(Tally::default, Page::totals);
        let did_something = history.iter().filter(|(_, tally)| !tally.is_empty());
        told["history"] = did_something
            .map(|(minute, tally)| row(*minute, tally))
            .collect();
        told["lately"] = tally(&lately);
        told["totals"] = tally(&totals);
        told
    }

    fn history(self, page: &Page) -> Vec<(Minute, Tally)> {
        match self.of_all {
            true => page.of_all().history(self.now, self.minutes),
            false => page.history(self.now, self.minutes),
        }
    }
}

fn row(minute: Minute, of: &Tally) -> Value {
    let mut told = tally(of);
    told["minute"] = seconds_since_1970(minute.start()).into();
    told
}

fn tally(of: &Tally) -> Value {
    let errors = of.failures_by_kind();
    let errors: Map<_, _> = errors
        .map(|(kind, count)| (kind.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "requests": of.requests(),
        "successes": of.successes(),
        "failures": of.failures(),
        "errors": errors,
        "cancelled": of.cancelled(),
        "cached": of.cached(),
        "mocked": of.mocked(),
        "input_tokens": of.input_tokens(),
        "output_tokens": of.output_tokens(),
        "cost": of.cost().to_string(),
        "unpriced": of.unpriced(),
        "most_in_flight": of.most_in_flight(),
        "latency_ms": quantiles(of.latency()),
        "first_token_ms": quantiles(of.first_token()),
    })
}

fn quantiles(of: &Histogram) -> Value {
    let of = Quantiles::of(of);
    let [p50, p95, p99] = [of.p50, of.p95, of.p99].map(|it| it.map(|it| it.as_millis() as u64));
    without_nulls(json!({"p50": p50, "p95": p95, "p99": p99}))
}

fn seconds_since_1970(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
