//! Answers that are failures, and calls that get none.

use std::net::TcpListener;

use http::Method;
use serde_json::json;

use crate::{
    canaries::CLIENT_KEY,
    deployments::{self, Dialect, GROUPS, secrets},
    provider::{End, Provider, Reply},
    said,
    world::{WAYS, World},
};

#[tokio::test]
async fn no_status_tells_a_secret_in_whatever_is_said_with_it() {
    let world = World::start().await;
    for (number, (group, dialect)) in GROUPS.into_iter().enumerate() {
        for status in 400..530 {
            world.provider.answers(move |heard| {
                let said = said::echo(heard, secrets(group));
                let reply = match status % 4 {
                    0 => Reply::new(status, "text/html", format!("<html>{said}</html>")),
                    1 => Reply::json(status, said::error(Dialect::OpenAi, &said).to_string()),
                    _ => Reply::json(status, said::error(dialect, &said).to_string()),
                };
                Some(reply.with(&said::headers(secrets(group))))
            });
            let got = world.ask(group, number + usize::from(status)).await;
            assert!(got.status >= 400, "{group} {status}: {got:?}");
        }
        world.is_clean();
    }
}

#[tokio::test]
async fn a_page_is_cut_without_telling_a_part_of_a_secret() {
    let world = World::start().await;
    for (group, _) in GROUPS {
        for before in (0..4200).step_by(97).chain(260..310).chain(4070..4100) {
            world.provider.answers(move |heard| {
                let words = " ".repeat(before / 2) + &"x".repeat(before - before / 2);
                Some(Reply::new(
                    500,
                    "text/html",
                    format!("{words} {}", said::echo(heard, secrets(group))),
                ))
            });
            world.ask(group, 0).await;
        }
    }
    world.is_clean();
}

#[tokio::test]
async fn a_success_that_is_none_tells_no_secret() {
    let world = World::start().await;
    for (group, dialect) in GROUPS {
        for way in 0..WAYS.len() {
            for kind in 0..5 {
                world.provider.answers(move |heard| {
                    let said = said::echo(heard, secrets(group));
                    let reply = match kind {
                        0 => Reply::json(200, said::error(dialect, &said).to_string()),
                        1 => Reply::json(200, json!({"error": said}).to_string()),
                        2 => Reply::json(200, said),
                        3 => Reply::new(200, "text/html", said),
                        _ => Reply::json(301, said).with(&[("location", "/x".to_owned())]),
                    };
                    Some(reply.with(&said::headers(secrets(group))))
                });
                let got = world.ask(group, way).await;
                assert!(got.status >= 400, "{group} {kind}: {got:?}");
            }
        }
        world.is_clean();
    }
}

#[tokio::test]
async fn no_answer_at_all_tells_no_secret() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let nobody = format!("http://{}", closed.local_addr().expect("is bound"));
    drop(closed);
    let provider = Provider::start().await;
    // It speaks no TLS.
    let insecure = format!("https://{}", provider.address);
    for base in [nobody, insecure] {
        let provider = Provider::start().await;
        let deployments = deployments::at(&base, provider.address);
        let world = World::with(provider, &deployments);
        for (number, (group, _)) in GROUPS.into_iter().enumerate() {
            let got = world.ask(group, number).await;
            assert!(got.status >= 400, "{group}: {got:?}");
        }
        world.is_clean();
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_tells_no_secret() {
    let world = World::start().await;
    for (number, (group, dialect)) in GROUPS.into_iter().enumerate() {
        world.provider.answers(|_| None);
        world.ask(group, number).await;
        for status in [200, 500] {
            world.provider.answers(move |heard| {
                let said = said::error(dialect, &said::echo(heard, secrets(group))).to_string();
                Some(
                    Reply::json(status, said)
                        .with(&said::headers(secrets(group)))
                        .ending(End::Cut),
                )
            });
            let got = world.ask(group, number).await;
            assert!(got.status >= 400, "{group}: {got:?}");
        }
    }
    world.is_clean();
}

#[tokio::test]
async fn an_answer_that_takes_too_long_tells_no_secret() {
    let world = World::start().await;
    for (group, dialect) in GROUPS {
        world.provider.answers(move |heard| {
            let said = said::error(dialect, &said::echo(heard, secrets(group))).to_string();
            Some(
                Reply::json(200, said)
                    .with(&said::headers(secrets(group)))
                    .ending(End::Silence),
            )
        });
        let (path, mut body) = match group {
            "voyage" => ("/v1/embeddings", json!({"input": "hi"})),
            _ => WAYS[0](),
        };
        body["model"] = group.into();
        body["timeout"] = 0.05.into();
        let got = world.send(Method::POST, path, Some(&body)).await;
        assert_eq!(got.status, 408, "{group}: {got:?}");
    }
    world.is_clean();
}

#[tokio::test]
async fn the_key_of_a_client_is_a_secret_too() {
    let world = World::start().await;
    let mut reached = 0;
    for (group, dialect) in GROUPS {
        for status in [400, 401, 403, 429, 500] {
            world.provider.answers(move |heard| {
                let said = said::error(dialect, &said::echo(heard, &[CLIENT_KEY]));
                let reply = Reply::json(status, said.to_string());
                Some(reply.with(&said::headers(&[CLIENT_KEY])))
            });
            let body = json!({
                "model": group, "messages": [{"role": "user", "content": "hi"}],
                "api_key": CLIENT_KEY,
            });
            let path = "/v1/chat/completions";
            let got = world.send(Method::POST, path, Some(&body)).await;
            assert!(got.status >= 400, "{group}: {got:?}");
            reached += u32::from(got.text.contains("you sent"));
        }
    }
    assert!(reached > 0, "some error was the provider's");
    world.is_clean();
}
