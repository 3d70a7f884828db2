//! Streams that break, and that tell an error.

use http::Method;
use serde_json::{Value, json};

use crate::{
    deployments::{GROUPS, secrets},
    provider::{End, Reply},
    said,
    world::World,
};

/// How clients ask for a stream.
fn ways() -> [(&'static str, Value); 3] {
    let chat = json!({
        "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "stream": true,
    });
    [
        ("/v1/chat/completions", chat.clone()),
        ("/v1/messages", chat),
        ("/v1/responses", json!({"input": "hi", "stream": true})),
    ]
}

#[tokio::test]
async fn an_error_in_a_stream_tells_no_secret() {
    let world = World::start().await;
    let mut begun = 0;
    for (group, dialect) in GROUPS {
        for (path, mut body) in ways() {
            body["model"] = group.into();
            for (begins, end) in [
                (false, End::Whole),
                (true, End::Whole),
                (true, End::Cut),
                (false, End::Cut),
            ] {
                world.provider.answers(move |heard| {
                    let event = said::event(dialect, &said::echo(heard, secrets(group)));
                    let kind = said::content_type(dialect);
                    let reply = match begins {
                        true => Reply::new(200, kind, said::beginning(dialect)).later(event),
                        false => Reply::new(200, kind, event),
                    };
                    Some(reply.with(&said::headers(secrets(group))).ending(end))
                });
                let got = world.send(Method::POST, path, Some(&body)).await;
                begun += u32::from(got.status == 200 && got.text.contains("hi"));
            }
        }
        world.is_clean();
    }
    assert!(begun > 60, "only {begun} streams began");
}

#[tokio::test]
async fn garbage_in_a_stream_tells_no_secret() {
    let world = World::start().await;
    for (group, dialect) in GROUPS {
        for (path, mut body) in ways() {
            body["model"] = group.into();
            for kind in 0..3 {
                world.provider.answers(move |heard| {
                    let said = said::echo(heard, secrets(group)).replace("\r\n", " ");
                    let said = match kind {
                        0 => format!(": {said}\n\n"),
                        1 => format!("data: {said}\n\n"),
                        _ => said,
                    };
                    let kind = said::content_type(dialect);
                    let reply = Reply::new(200, kind, said);
                    Some(reply.with(&said::headers(secrets(group))))
                });
                let got = world.send(Method::POST, path, Some(&body)).await;
                assert!(got.status >= 400, "{group} {path}: {got:?}");
            }
        }
    }
    world.is_clean();
}
