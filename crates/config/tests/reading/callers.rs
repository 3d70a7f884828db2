//! Keys, teams and users.

use std::time::Duration;

use ziggurat_config::{BudgetDuration, KeyHash, Plan};
use ziggurat_core::Money;

const FILE: &str = r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: sk-live}
general_settings: {master_key: sk-the-master-key, global_max_parallel_requests: 50}
litellm_settings:
  max_budget: 100
  budget_duration: 30d
  max_end_user_budget: 0.5
  max_internal_user_budget: 5
  internal_user_budget_duration: 1mo
ziggurat_settings:
  keys:
    - name: alice
      key: os.environ/ALICE_KEY
      models: [gpt, "openai/*"]
      team: red
      user: alice@example.com
      tags: [a]
      priority: -1
      rpm_limit: 10
      tpm_limit: "1_000"
      max_parallel_requests: 3
      max_budget: 2.5
      soft_budget: 2
      budget_duration: 24h
      model_rpm_limit: {gpt: 3}
      model_max_budget: {gpt: {budget_limit: 1, time_period: 7d}, o3: 4}
      expires: 2027-01-01
    - {name: bob, hash: os.environ/BOB_HASH, models: gpt, blocked: true}
    - {name: carol, key: sk-carol-0123456789, models: [all-proxy-models]}
  teams:
    - {team_id: red, models: [gpt], otpm_limit: 7}
  users:
    - {user_id: alice@example.com, models: [gpt, "openai/*"], itpm_limit: 8}
"#;

fn plan() -> Plan {
    let environment = |name: &str| match name {
        "ALICE_KEY" => Some("sk-alice-0123456789".to_owned()),
        "BOB_HASH" => Some(KeyHash::of(b"sk-bob").reveal()),
        _ => None,
    };
    Plan::parse(FILE, "config.yaml", environment).unwrap_or_else(|problems| panic!("{problems}"))
}

fn dollars(amount: f64) -> Option<Money> {
    Money::from_dollars(amount)
}

#[test]
fn who_may_ask_for_what_is_read_whole() {
    let plan = plan();
    let callers = &plan.callers;
    let alice = callers.key("alice").expect("is there");
    assert_eq!(alice.hash, KeyHash::of(b"sk-alice-0123456789"));
    let limits = &alice.limits;
    assert_eq!((limits.rpm, limits.tpm), (Some(10), Some(1000)));
    assert_eq!((limits.itpm, limits.otpm), (None, None));
    assert_eq!(limits.max_parallel, Some(3));
    assert_eq!(
        (limits.max_budget, limits.soft_budget),
        (dollars(2.5), dollars(2.0))
    );
    let day = Duration::from_secs(86_400);
    assert_eq!(limits.budget_duration, Some(BudgetDuration::Seconds(day)));
    let [(gpt, of_gpt), (o3, of_o3)] = limits.models.as_slice() else {
        panic!("{limits:?}");
    };
    assert_eq!(
        (&**gpt, of_gpt.rpm, of_gpt.max_budget),
        ("gpt", Some(3), dollars(1.0))
    );
    assert_eq!(
        of_gpt.budget_duration.map(|it| it.to_string()).as_deref(),
        Some("7d")
    );
    assert_eq!(
        (&**o3, of_o3.max_budget, of_o3.budget_duration),
        ("o3", dollars(4.0), None)
    );
    let bob = callers.key("bob").expect("is there");
    assert!(bob.is_blocked && bob.limits.is_none() && bob.hash == KeyHash::of(b"sk-bob"));
    assert_eq!(callers.team("red").and_then(|it| it.limits.otpm), Some(7));
    assert_eq!(
        callers
            .user("alice@example.com")
            .and_then(|it| it.limits.itpm),
        Some(8)
    );
    let all = &callers.everybody;
    assert_eq!(
        (all.max_budget, all.max_parallel),
        (dollars(100.0), Some(50))
    );
    assert_eq!(callers.each_user.max_budget, dollars(5.0));
    assert_eq!(callers.each_end_user.max_budget, dollars(0.5));
    assert_eq!(plan.warnings(), []);
}

#[test]
fn a_caller_has_the_lists_of_its_key_its_team_and_its_user() {
    let callers = plan().callers;
    let caller = |name: &str| callers.caller(callers.key(name).expect("is there"));
    let alice = caller("alice");
    assert_eq!(
        (alice.key.as_deref(), alice.team.as_deref()),
        (Some("alice"), Some("red"))
    );
    assert_eq!(
        (alice.priority, alice.tags.len(), alice.is_admin),
        (Some(-1), 1, false)
    );
    let lists = alice.models.iter();
    let lists: Vec<_> = lists
        .map(|it| (it.whose().as_str(), it.names().len()))
        .collect();
    assert_eq!(lists, [("key", 2), ("team", 1), ("user", 2)]);
    assert_eq!(caller("bob").models[0].names().len(), 1);
    assert!(caller("carol").models.is_empty());
}

#[test]
fn neither_a_key_nor_its_hash_is_shown_or_kept() {
    let plan = plan();
    let shown = format!("{plan:?} {} {}", plan.explanation(), plan.settings());
    assert!(shown.contains("key of key alice"));
    for secret in ["sk-alice", "sk-bob", "sk-carol", "sk-the-master", "sk-live"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    for key in &plan.callers.keys {
        let hash = key.hash.reveal();
        assert!(
            !shown.contains(&hash["sha256:".len()..][..8]),
            "{}",
            key.name
        );
    }
    let changed = plan.with_settings(&serde_json::Map::from_iter([(
        "num_retries".to_owned(),
        1.into(),
    )]));
    let changed = changed.expect("is valid");
    assert_eq!(changed.callers.keys.len(), 3);
    assert!(
        changed
            .explanation()
            .to_string()
            .contains("rpm_limit of key alice")
    );
}

#[test]
fn whoever_configures_keys_and_no_master_key_is_told_what_is_closed_then() {
    let file = "ziggurat_settings: {keys: [{name: a, key: sk-0123456789abcdef}]}";
    let plan = Plan::parse(file, "config.yaml", |_| None).expect("is valid");
    let told = |it: &ziggurat_config::Problem| it.message().contains("master_key");
    assert!(plan.warnings().iter().any(told));
}
