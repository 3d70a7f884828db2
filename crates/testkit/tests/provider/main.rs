//! Each fault of a simulated provider, as a plain client sees it.
#![cfg(feature = "provider")]

mod dialects;
mod kept;
mod streams;
mod support;

use std::{io, time::Duration};

use serde_json::json;
use tokio::{io::AsyncReadExt, time::Instant};
use ziggurat_testkit::provider::{Script, Simulator, Step, healthy_text};

use support::{CHAT, chat, connect, post, stream, try_post};

#[tokio::test]
async fn a_provider_without_a_script_answers_with_its_name() {
    let sim = Simulator::start().await.unwrap();
    let answer = post(&sim, "a", CHAT, &chat(false)).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "small");
    assert_eq!(json["choices"][0]["message"]["role"], "assistant");
    assert_eq!(json["choices"][0]["message"]["content"], "from a");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    assert_eq!(json["usage"]["total_tokens"], 15);
    assert_eq!(answer.headers["x-request-id"], "req_a_0");
}

#[tokio::test]
async fn the_steps_are_taken_in_order_and_the_last_one_repeats() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", [Step::status(429).retry_after(2), Step::status(503)]);
    let first = post(&sim, "a", CHAT, &chat(false)).await;
    assert_eq!(
        (first.status, &first.headers["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(first.json()["error"]["code"], "rate_limit_exceeded");
    for _ in 0..2 {
        let later = post(&sim, "a", CHAT, &chat(false)).await;
        assert_eq!(later.status, 503);
        assert_eq!(later.json()["error"]["type"], "server_error");
    }
    assert_eq!(sim.count("a"), 3);
}

#[tokio::test]
async fn a_new_script_begins_at_its_first_step() {
    let sim = Simulator::start().await.unwrap();
    for _ in 0..2 {
        sim.script("a", vec![Step::status(500), Step::ok()]);
        assert_eq!(post(&sim, "a", CHAT, &chat(false)).await.status, 500);
    }
}

#[tokio::test]
async fn a_random_script_repeats_for_a_seed_and_keeps_to_the_weights() {
    let sim = Simulator::start().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let steps = [
            (3, Step::ok()),
            (1, Step::status(500)),
            (0, Step::status(400)),
        ];
        sim.script("a", Script::random(7, steps));
        let mut run = Vec::new();
        for _ in 0..200 {
            run.push(post(&sim, "a", CHAT, &chat(false)).await.status);
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    let failed = runs[0].iter().filter(|status| **status == 500).count();
    assert!((30..70).contains(&failed), "{failed} of 200 failed");
    assert!(!runs[0].contains(&400), "a weight of zero is never drawn");
}

#[tokio::test]
async fn a_script_can_refuse_a_prefill() {
    let sim = Simulator::start().await.unwrap();
    sim.script(
        "a",
        Script::from_fn(|call| {
            let last = call.json()["messages"]
                .as_array()
                .unwrap()
                .last()
                .unwrap()
                .clone();
            if last["role"] == "assistant" {
                Step::status(400).error_message("no prefill")
            } else {
                Step::ok()
            }
        }),
    );
    let prefill = json!({"messages": [{"role": "assistant", "content": "from"}]});
    let refused = post(&sim, "a", CHAT, &prefill).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["message"]),
        (400, &json!("no prefill"))
    );
    assert_eq!(post(&sim, "a", CHAT, &chat(false)).await.status, 200);
}

#[tokio::test]
async fn an_error_has_the_code_the_type_and_the_message_of_the_step() {
    let sim = Simulator::start().await.unwrap();
    let step = Step::status(400)
        .error_code("context_length_exceeded")
        .error_message("too long")
        .error_type("invalid_request_error");
    sim.script("a", step);
    let answer = post(&sim, "a", CHAT, &chat(true)).await;
    assert_eq!(
        answer.json(),
        json!({"error": {
            "code": "context_length_exceeded", "message": "too long",
            "type": "invalid_request_error", "param": "messages",
        }})
    );
}

#[tokio::test]
async fn an_error_can_hide_in_a_200() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::ok().error_in_200().error_code("overloaded"));
    for streamed in [false, true] {
        let answer = post(&sim, "a", CHAT, &chat(streamed)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["error"]["code"], "overloaded");
    }
}

#[tokio::test]
async fn a_raw_body_is_sent_as_it_is() {
    let sim = Simulator::start().await.unwrap();
    let step = Step::status(502)
        .raw("<html>bad gateway</html>", "text/html")
        .header("via", "x");
    sim.script("a", step);
    let answer = post(&sim, "a", "/v1/anything", &json!({})).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (502, "<html>bad gateway</html>")
    );
    assert_eq!(answer.headers["content-type"], "text/html");
    assert_eq!(answer.headers["via"], "x");
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_back_the_headers_and_a_late_first_token_does_not() {
    let sim = Simulator::start().await.unwrap();
    let late = Duration::from_secs(20);
    sim.script(
        "a",
        [Step::ok().delay(late), Step::ok().first_token_delay(late)],
    );

    let start = Instant::now();
    let delayed = stream(&sim, "a", &chat(true)).await;
    assert!(start.elapsed() >= late);
    assert_eq!(delayed.arrivals[0], delayed.headers_at);

    let slow = stream(&sim, "a", &chat(true)).await;
    assert!(slow.arrivals[0] - slow.headers_at >= late);
    assert_eq!(slow.content(), healthy_text("a", 4));
}

#[tokio::test]
async fn a_reset_comes_before_any_byte() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", [Step::ok().reset(), Step::ok()]);
    let mut client = connect(&sim, "a", CHAT, &chat(false)).await;
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(post(&sim, "a", CHAT, &chat(false)).await.status, 200);
    let calls = sim.calls("a");
    assert_eq!((calls[0].finished, calls[0].hung_up), (false, None));
    assert_eq!((calls[1].finished, calls[1].hung_up), (true, None));
}

#[tokio::test]
async fn a_hang_up_is_noticed_whatever_the_provider_is_doing() {
    let hour = Duration::from_secs(3600);
    for step in [
        Step::ok().hang(),
        Step::ok().delay(hour),
        Step::ok().first_token_delay(hour),
        Step::ok().chunk_delay(hour),
        Step::ok().stall_after(2, None),
        Step::ok().stall_after(2, Some(hour)),
        Step::ok().words(200_000),
    ] {
        let sim = Simulator::start().await.unwrap();
        sim.script("a", step.clone());
        let client = connect(&sim, "a", CHAT, &chat(true)).await;
        sim.wait_until(|sim| sim.in_flight("a") == 1).await;
        drop(client);
        sim.wait_until(|sim| sim.in_flight("a") == 0).await;
        assert_eq!(sim.hung_up("a"), 1, "{step:?}");
        let call = &sim.calls("a")[0];
        assert!(call.hung_up.is_some() && !call.finished, "{step:?}");
    }
}

#[tokio::test]
async fn requests_are_recorded_as_they_came() {
    let sim = Simulator::start().await.unwrap();
    sim.keep("a", 2, 100);
    let long = json!({"model": "x".repeat(100)});
    for body in [chat(false), long.clone(), chat(false)] {
        post(&sim, "a", "/v1/chat/completions?beta=1", &body).await;
    }
    let calls = sim.calls("a");
    assert_eq!((sim.count("a"), calls.len()), (3, 2));
    assert_eq!(
        (calls[0].body.len(), calls[0].body_len),
        (0, long.to_string().len())
    );
    assert_eq!(calls[1].json(), chat(false));
    assert_eq!(calls[1].path, "/v1/chat/completions?beta=1");
    assert_eq!(calls[1].headers["authorization"], "Bearer key");
    assert!(calls.iter().all(|call| call.finished));
}

#[tokio::test]
async fn the_peak_is_the_most_requests_at_once() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::ok().hang());
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(connect(&sim, "a", CHAT, &chat(false)).await);
    }
    sim.wait_until(|sim| sim.in_flight("a") == 5).await;
    clients.clear();
    sim.wait_until(|sim| sim.in_flight("a") == 0).await;
    assert_eq!((sim.peak("a"), sim.peak("b")), (5, 0));
}

#[tokio::test]
async fn a_kill_resets_the_streams_of_one_provider_and_its_later_requests() {
    let sim = Simulator::start().await.unwrap();
    let endless = Step::ok().stall_after(2, None);
    sim.script("a", endless.clone());
    sim.script("b", endless);
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(connect(&sim, "a", CHAT, &chat(true)).await);
    }
    let other = connect(&sim, "b", CHAT, &chat(true)).await;
    sim.wait_until(|sim| sim.in_flight("a") == 200 && sim.in_flight("b") == 1)
        .await;

    sim.kill("a");
    for client in &mut clients {
        let mut received = Vec::new();
        let error = client.read_to_end(&mut received).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    sim.wait_until(|sim| sim.in_flight("a") == 0).await;
    assert_eq!((sim.hung_up("a"), sim.in_flight("b")), (0, 1));
    assert!(try_post(&sim, "a", CHAT, &chat(false)).await.is_err());
    assert_eq!(sim.count("a"), 201);

    sim.revive("a");
    sim.script("a", Step::ok());
    assert_eq!(post(&sim, "a", CHAT, &chat(false)).await.status, 200);
    drop(other);
}

#[tokio::test]
async fn a_stopped_or_dropped_simulator_closes_its_connections() {
    for stopped in [true, false] {
        let sim = Simulator::start().await.unwrap();
        sim.script("a", Step::ok().hang());
        let mut client = connect(&sim, "a", CHAT, &chat(false)).await;
        sim.wait_until(|sim| sim.in_flight("a") == 1).await;
        let addr = sim.addr();
        if stopped {
            sim.stop().await;
            assert_eq!((sim.in_flight("a"), sim.hung_up("a")), (0, 0));
            assert!(tokio::net::TcpStream::connect(addr).await.is_err());
        } else {
            drop(sim);
        }
        assert!(client.read_u8().await.is_err());
    }
}

#[tokio::test]
async fn completions_and_embeddings_have_their_own_shapes() {
    let sim = Simulator::start().await.unwrap();
    let prompt = json!({"model": "m", "prompt": "hi"});
    let text = post(&sim, "a", "/v1/completions", &prompt).await.json();
    assert_eq!(
        (&text["object"], &text["choices"][0]["text"]),
        (&json!("text_completion"), &json!("from a"))
    );

    let inputs = json!({"model": "m", "input": ["x", "y"]});
    let floats = post(&sim, "a", "/v1/embeddings", &inputs).await.json();
    assert_eq!(floats["data"][1]["embedding"], json!([1.0, 0.5, -0.5]));
    assert_eq!(
        floats["usage"],
        json!({"prompt_tokens": 10, "total_tokens": 10})
    );

    let tokens = json!({"model": "m", "input": [1, 2, 3], "encoding_format": "base64"});
    let packed = post(&sim, "a", "/v1/embeddings", &tokens).await.json();
    assert_eq!(packed["data"].as_array().unwrap().len(), 1);
    assert_eq!(packed["data"][0]["embedding"], "AAAAAAAAAD8AAAC/");
}

#[tokio::test]
async fn images_audio_and_moderations_have_their_own_shapes() {
    let sim = Simulator::start().await.unwrap();
    let asked = json!({"model": "m", "input": ["x", "y"], "n": 2});
    let images = post(&sim, "a", "/v1/images/generations", &asked).await;
    assert_eq!(images.json()["data"].as_array().unwrap().len(), 2);
    let judged = post(&sim, "a", "/v1/moderations", &asked).await.json();
    assert_eq!(judged["results"].as_array().unwrap().len(), 2);
    let heard = post(&sim, "a", "/v1/audio/transcriptions", &asked).await;
    assert_eq!(heard.json()["text"], "from a");
    let spoken = post(&sim, "a", "/v1/audio/speech", &asked).await;
    assert_eq!(spoken.text(), "ID3 from a w1 w2 w3");

    let text = json!({"model": "m", "response_format": "text"});
    let heard = post(&sim, "a", "/v1/audio/translations", &text).await;
    assert_eq!(heard.text(), "from a\n");
    let stream = json!({"model": "m", "stream": true});
    let heard = post(&sim, "a", "/v1/audio/transcriptions", &stream).await;
    let heard = heard.text();
    assert!(heard.contains("transcript.text.done"), "{heard}");
}

#[tokio::test]
async fn an_unknown_path_and_a_broken_request_are_refused() {
    let sim = Simulator::start().await.unwrap();
    assert_eq!(
        post(&sim, "a", "/v1/fine_tuning/jobs", &json!({}))
            .await
            .status,
        404
    );
    assert_eq!(post(&sim, "a", CHAT, &json!("no object")).await.status, 400);
    let models = support::get(&sim, "a", "/v1/models").await;
    assert_eq!(models.json()["data"][0]["id"], "a");
    assert_eq!(support::get(&sim, "a", "/v1/nothing").await.status, 404);
    assert_eq!(sim.count("a"), 2, "what is not a POST is no call");
}
