//! Limits of the addresses that requests come from.

use serde_json::json;
use ziggurat_tests::{VirtualWorld, chat};

use crate::support::{CHAT, world};

const RULE: &str = "limits: {rules: [{for: ip, rpm: 1}]}";

async fn status(world: &VirtualWorld, header: &str, value: &str) -> u16 {
    let body = chat("gpt", json!({}));
    world.begin(CHAT, &body, &[(header, value)]).await.status
}

#[tokio::test(start_paused = true)]
async fn an_address_is_that_of_the_connection_whatever_a_client_says() {
    let world = world(
        &[("gpt", &["a"])],
        &format!("ziggurat_settings: {{{RULE}}}"),
    );
    assert_eq!(status(&world, "x-forwarded-for", "192.0.2.1").await, 200);
    assert_eq!(status(&world, "x-forwarded-for", "192.0.2.2").await, 429);
    assert_eq!(status(&world, "forwarded", "for=192.0.2.3").await, 429);
}

#[tokio::test(start_paused = true)]
async fn behind_a_trusted_proxy_it_is_the_clients_and_nobody_can_name_another() {
    let sections =
        format!("ziggurat_settings: {{trusted_proxies: [127.0.0.0/8, 10.0.0.0/8], {RULE}}}");
    let world = world(&[("gpt", &["a"])], &sections);
    for (value, expected) in [
        ("192.0.2.1", 200),
        ("192.0.2.1, 10.0.0.3", 429),
        ("192.0.2.9, 192.0.2.1", 429),
        ("192.0.2.2", 200),
        // Nobody knows who it is: the proxy, once.
        ("unknown", 200),
        ("192.0.2.5, unknown", 429),
    ] {
        let status = status(&world, "x-forwarded-for", value).await;
        assert_eq!(status, expected, "{value}");
    }
    assert_eq!(
        status(&world, "forwarded", "for=192.0.2.2;proto=https").await,
        429
    );
    assert_eq!(
        status(&world, "forwarded", "for=\"[2001:db8::1]:99\"").await,
        200
    );
}
