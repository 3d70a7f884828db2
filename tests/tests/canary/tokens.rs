//! Where tokens come from.

use serde_json::json;

use crate::{
    canaries,
    deployments::{GROUPS, secrets},
    provider::{End, Reply},
    said,
    world::World,
};

#[tokio::test]
async fn a_token_that_is_refused_tells_no_secret() {
    let world = World::start().await;
    let groups = GROUPS.into_iter().filter(|(group, _)| {
        group.contains("entra") || group.contains("user") || group.contains("account")
    });
    for (group, _) in groups {
        for status in [200, 302, 400, 401, 403, 429, 500, 503] {
            for kind in 0..6 {
                world.provider.tokens(move |heard| {
                    let said = format!(
                        "{} {} {}",
                        said::echo(heard, secrets(group)),
                        heard.body,
                        private()
                    );
                    let reply = match kind {
                        0 => Reply::json(
                            status,
                            json!({"error": "invalid_grant", "error_description": said})
                                .to_string(),
                        ),
                        1 => Reply::json(status, json!({"error": said}).to_string()),
                        2 => Reply::new(status, "text/html", said),
                        3 => Reply::json(status, json!({"access_token": said + "\n"}).to_string()),
                        4 => Reply::json(status, said).ending(End::Cut),
                        _ => return None,
                    };
                    Some(reply.with(&said::headers(secrets(group))))
                });
                let got = world.ask(group, 0).await;
                assert!(got.status >= 400, "{group} {status} {kind}: {got:?}");
            }
        }
        world.is_clean();
    }
}

/// The private key of an account, which it may repeat as well.
fn private() -> String {
    canaries::PRIVATE_KEY.replace('\n', "\\n")
}
