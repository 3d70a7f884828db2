//! A group offers all it has before another group is asked.

use serde_json::json;
use ziggurat_testkit::provider::Step;

use crate::{
    reliability::support::{asked, shapes},
    support::world,
};

#[tokio::test(start_paused = true)]
async fn the_tiers_of_a_group_come_before_other_groups_however_few_retries_there_are() {
    let groups: [(&str, &[&str]); 2] = [
        ("gpt", &["a order: 1", "b order: 2", "c order: 3"]),
        ("claude", &["d"]),
    ];
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}";
    for (path, body) in shapes() {
        for down in ["", "a", "ab", "abc"] {
            let world = world(&groups, settings);
            for name in down.chars() {
                world.providers.script(&name.to_string(), Step::status(500));
            }
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            assert_eq!(asked(&reply), "abcd"[..=down.len()], "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_weighted_failover_the_other_deployments_come_before_other_groups() {
    let groups: [(&str, &[&str]); 2] =
        [("gpt", &["a weight: 9", "b weight: 1"]), ("claude", &["c"])];
    for (failover, expected) in [(true, "ab"), (false, "ac")] {
        let settings = format!(
            "router_settings: {{num_retries: 0, enable_weighted_failover: {failover}, fallbacks: [{{gpt: [claude]}}]}}"
        );
        let world = world(&groups, &settings);
        world.providers.script("a", Step::status(500));
        let mut failed_over = 0;
        for _ in 0..20 {
            let reply = world.chat("gpt", json!({})).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            let order = asked(&reply);
            failed_over += usize::from(order == expected);
            assert!(order == expected || order == "b", "{order}");
        }
        assert!(failed_over > 0, "{expected} was never seen");
    }
}
