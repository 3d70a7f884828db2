//! Answers that are errors, and what they must not tell.

use std::{error::Error as _, time::Duration};

use crate::support::{
    Act, CANARY, Client, HEADER_CANARY, chat, chat_stream, content, finish, hang, role, routed,
    send,
};
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use ziggurat_core::{Clock, Deployment, Error, ErrorKind};

#[tokio::test(start_paused = true)]
async fn an_error_answer_keeps_what_the_provider_says() {
    let body = r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    for request in [chat(), chat_stream()] {
        let client = Client::json(429, body).header("retry-after", "2");
        let error = client.refusal(request).await;
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(
            (error.message(), error.error_type(), error.code()),
            ("Rate limit reached", "requests", "rate_limit_exceeded")
        );
        assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_answer_that_never_ends_is_not_awaited() {
    let start = Instant::now();
    let drip = (0..10_000).flat_map(|_| [send("x"), Act::Wait(Duration::from_secs(1))]);
    let client = Client::new(429, "application/json", drip).header("retry-after", "7");
    let error = client.refusal(chat()).await;
    assert!(
        start.elapsed() <= Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::RateLimited, Some(Duration::from_secs(7)))
    );

    let flood = (0..100_000).map(|_| send("x".repeat(1000))).chain([hang()]);
    let client = Client::new(503, "text/plain", flood);
    let error = client.refusal(chat()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().len() < 1000);
    assert_eq!(client.open_bodies(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_error() {
    for status in [301, 302, 307, 308] {
        let client = Client::json(status, "").header("location", "https://elsewhere.test/v1");
        let error = client.refusal(chat()).await;
        assert_eq!(
            (error.kind(), error.status().as_u16()),
            (ErrorKind::BadAnswer, 502)
        );
        assert_eq!(client.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_broken() {
    let client = Client::new(
        200,
        "application/json",
        [send("{\"choices\":[{"), Act::Break("reset")],
    );
    let error = client.refusal(chat()).await;
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
    assert!(error.is_replayable());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_fails_is_a_connection_that_broke() {
    let client = tower::service_fn(|_| async {
        Err::<http::Response<http_body_util::Full<bytes::Bytes>>, _>("refused")
    });
    let error = ziggurat_provider::LlmService::with_client(client)
        .oneshot(routed(chat()))
        .await
        .expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(
        error.source().map(ToString::to_string).as_deref(),
        Some("refused")
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_ours_from_the_client_passes_as_it_is() {
    let client = tower::service_fn(|_| async {
        Err::<http::Response<http_body_util::Full<bytes::Bytes>>, _>(Error::timeout(Clock::Connect))
    });
    let error = ziggurat_provider::LlmService::with_client(client)
        .oneshot(routed(chat()))
        .await
        .expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Connect));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_cannot_be_called_says_so() {
    let client = Client::json(200, "{}");
    let deployment = Deployment::new("b", "gpt", "m").with_provider("bedrock");
    let routed = ziggurat_core::Routed::new(chat(), deployment.into());
    let error = client.service().oneshot(routed).await.expect_err("fails");
    assert_eq!(error.deployment().map(|id| id.as_str()), Some("b"));
    assert_eq!(client.calls(), 0);
}

/// Everything that a log line about an error could hold.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {}", error.to_json());
    let mut cause = error.source();
    while let Some(current) = cause {
        text += &format!("{current} {current:?}");
        cause = current.source();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn no_failure_tells_a_credential() {
    let echo = format!("Incorrect key {CANARY}, header {HEADER_CANARY}");
    let json = format!(
        r#"{{"error":{{"message":"{echo}","type":"{CANARY}","code":"{HEADER_CANARY}","param":"{CANARY}"}}}}"#
    );
    let long = format!("{}{CANARY}", "x".repeat(290));
    let mut clients = vec![
        Client::json(200, &json),
        Client::json(200, &echo),
        Client::stream([send(format!("data: {json}\n\n"))]),
        Client::stream([
            send(role()),
            send(format!("event: error\ndata: {echo}\n\n")),
        ]),
        Client::stream([send(role()), Act::Break("reset")]),
        Client::new(502, "text/html", [send(echo.clone())]),
        Client::new(502, "text/html", [send(long)]),
        Client::json(302, &echo).header("location", &format!("http://x/?key={CANARY}")),
    ];
    clients.extend([400, 401, 403, 404, 429, 500].map(|status| Client::json(status, &json)));
    for client in clients {
        for request in [chat(), chat_stream()] {
            let text = all_of(&client.refusal(request).await);
            assert!(!text.contains("canary"), "{text}");
        }
    }
    let client = Client::stream([send(content("x")), send(format!("data: {json}\n\n"))]);
    let read =
        crate::support::Read::to_the_end(client.call(chat_stream()).await.expect("begins")).await;
    let text = all_of(&read.end.expect_err("is broken"));
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_shown_for_debugging_tells_a_credential() {
    let client = Client::stream([send(content("x")), send(finish())]);
    let mut service = client.service();
    let call = service
        .ready()
        .await
        .expect("is ready")
        .call(routed(chat_stream()));
    let mut text = format!("{service:?} {call:?}");
    text += &format!("{:?}", call.await.expect("begins"));
    text += &format!("{:?}", client.sent());
    assert!(!text.contains("canary"), "{text}");
}
