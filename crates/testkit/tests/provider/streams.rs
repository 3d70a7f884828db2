use std::{io, time::Duration};

use serde_json::json;
use tokio::io::AsyncReadExt;
use ziggurat_testkit::provider::{Simulator, SseChunking, Step, healthy_text};

use crate::support::{self, CHAT, Streamed, chat, connect, post, stream};

async fn streamed(step: Step) -> Streamed {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", step);
    stream(&sim, "a", &chat(true)).await
}

#[tokio::test]
async fn a_healthy_stream_has_a_role_words_a_finish_reason_and_an_end() {
    let answer = streamed(Step::ok()).await;
    let events = answer.json_events();
    assert_eq!(answer.content(), "from a w1 w2 w3");
    assert_eq!(events.len(), 5);
    assert_eq!(events[0]["object"], "chat.completion.chunk");
    assert_eq!(events[0]["model"], "small");
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": "from a"})
    );
    assert_eq!(events[1]["choices"][0]["delta"], json!({"content": " w1"}));
    assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer.data.last().unwrap(), "[DONE]");
    assert!(answer.error.is_none());
    assert_eq!(answer.frames.len(), 6, "each event is a chunk of its own");
}

#[tokio::test]
async fn the_usage_is_streamed_to_those_who_ask() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::ok().usage(7, 3));
    let mut body = chat(true);
    body["stream_options"] = json!({"include_usage": true});
    let events = stream(&sim, "a", &body).await.json_events();
    assert!(events[0].as_object().unwrap()["usage"].is_null());
    let last = events.last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"],
        json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
    );
}

#[tokio::test]
async fn a_text_that_was_begun_is_gone_on_with() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::ok().words(6).continues());
    let answer = async |body: &serde_json::Value| stream(&sim, "a", body).await.content();
    assert_eq!(answer(&chat(true)).await, "from a w1 w2 w3 w4 w5");
    let begun = |role: &str, text: &str| {
        let mut body = chat(true);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": role, "content": text}));
        body
    };
    assert_eq!(
        answer(&begun("assistant", "from b w1")).await,
        " w2 w3 w4 w5"
    );
    assert_eq!(
        answer(&begun("assistant", "from b w1 w2 w3 w4 w5")).await,
        ""
    );
    for whole in [begun("assistant", "no"), begun("user", "from b w1")] {
        assert_eq!(answer(&whole).await, "from a w1 w2 w3 w4 w5");
    }
    let body = json!({"model": "m", "prompt": "go on: from b", "stream": true});
    let answer = support::stream_from(&sim, "a", "/v1/completions", &body).await;
    let text = |event: &serde_json::Value| event["choices"][0]["text"].as_str().map(str::to_owned);
    let texts: String = answer.json_events().iter().filter_map(text).collect();
    assert_eq!(texts, " w1 w2 w3 w4 w5");
}

#[tokio::test]
async fn completions_stream_in_their_own_shape() {
    let sim = Simulator::start().await.unwrap();
    let body = json!({"model": "m", "prompt": "hi", "stream": true});
    let answer = support::stream_from(&sim, "a", "/v1/completions", &body).await;
    let events = answer.json_events();
    let texts: String = events
        .iter()
        .map(|e| e["choices"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, healthy_text("a", 4));
    assert_eq!(events[0]["object"], "text_completion");
    assert_eq!(answer.data.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn a_text_is_the_same_buffered_and_streamed() {
    let sim = Simulator::start().await.unwrap();
    for (step, text, events) in [
        (Step::ok().words(60), healthy_text("a", 60), 60),
        (Step::ok().words(60).chunks(7), healthy_text("a", 60), 7),
        (
            Step::ok().text("say \"hällo\" \n now"),
            "say \"hällo\" \n now".to_owned(),
            4,
        ),
        (
            Step::ok().text("one two").chunks(1),
            "one two".to_owned(),
            1,
        ),
        (Step::ok().empty_answer(), String::new(), 1),
    ] {
        sim.script("a", step);
        let buffered = post(&sim, "a", CHAT, &chat(false)).await.json();
        assert_eq!(buffered["choices"][0]["message"]["content"], text);
        let streamed = stream(&sim, "a", &chat(true)).await;
        assert_eq!(streamed.content(), text);
        assert_eq!(streamed.json_events().len(), events + 1, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_come_at_their_own_pace() {
    let pace = Duration::from_secs(1);
    let answer = streamed(Step::ok().chunks(5).chunk_delay(pace)).await;
    let gaps: Vec<_> = answer
        .arrivals
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .collect();
    assert!(gaps[..4].iter().all(|gap| *gap >= pace), "{gaps:?}");
}

#[tokio::test]
async fn a_cut_resets_the_connection_after_its_events() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::ok().words(60).cut_after(40));
    let mut client = connect(&sim, "a", CHAT, &chat(true)).await;
    let mut received = Vec::new();
    let error = client.read_to_end(&mut received).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let received = String::from_utf8(received).unwrap();
    assert_eq!(received.matches("data: ").count(), 40);
    sim.wait_until(|sim| sim.in_flight("a") == 0).await;
    assert_eq!(sim.hung_up("a"), 0, "it was not the client");
    assert!(!sim.calls("a")[0].finished);
}

#[tokio::test]
async fn an_early_end_is_a_proper_end_of_the_body() {
    let answer = streamed(Step::ok().words(60).end_after(40)).await;
    assert!(answer.error.is_none());
    assert_eq!(answer.content(), healthy_text("a", 40));
    assert_eq!(answer.data.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_with_a_close_after_the_silence() {
    let silence = Duration::from_secs(30);
    let answer = streamed(Step::ok().words(60).stall_after(20, Some(silence))).await;
    assert_eq!(answer.content(), healthy_text("a", 20));
    assert!(answer.error.is_some(), "the body has no end");
    assert!(answer.ended_at - answer.arrivals[19] >= silence);
}

#[tokio::test(start_paused = true)]
async fn a_stall_can_last_for_ever() {
    let day = Duration::from_secs(86_400);
    let endless = streamed(Step::ok().stall_after(1, None));
    assert!(tokio::time::timeout(day, endless).await.is_err());
}

#[tokio::test]
async fn a_malformed_event_costs_no_text() {
    let answer = streamed(Step::ok().words(60).malformed_at(10)).await;
    let broken: Vec<_> = answer
        .data
        .iter()
        .take(61)
        .enumerate()
        .filter(|(_, data)| serde_json::from_str::<serde_json::Value>(data).is_err())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(broken, [9], "the tenth event is broken and no other");
    assert_eq!(answer.content(), healthy_text("a", 60));
}

#[tokio::test]
async fn the_finish_reason_and_the_done_can_be_missing() {
    let without_done = streamed(Step::ok().without_done()).await;
    assert_eq!(
        without_done.json_events().last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
    assert!(!without_done.data.contains(&"[DONE]".to_owned()));

    let without_finish = streamed(Step::ok().without_finish()).await;
    assert!(
        without_finish
            .json_events()
            .iter()
            .all(|e| e["choices"][0]["finish_reason"].is_null())
    );
    assert_eq!(without_finish.data.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn an_error_can_come_inside_a_stream() {
    let error = json!({"message": "overloaded", "code": 503});
    let answer = streamed(Step::ok().stream_error_after(2, error.clone())).await;
    assert_eq!(answer.content(), healthy_text("a", 2));
    assert_eq!(answer.json_events()[2], json!({ "error": error }));
    assert_eq!(answer.data.len(), 3);
    assert!(answer.error.is_none());
}

#[tokio::test]
async fn the_role_can_have_an_event_of_its_own() {
    let events = streamed(Step::ok().role_chunk_first()).await.json_events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    assert_eq!(
        events[1]["choices"][0]["delta"],
        json!({"content": "from a"})
    );
}

#[tokio::test]
async fn comments_stand_between_the_events() {
    let answer = streamed(Step::ok().comments()).await;
    assert_eq!(answer.content(), healthy_text("a", 4));
    assert_eq!(
        answer.text().matches(": ping\n\n").count(),
        answer.data.len()
    );
}

#[tokio::test]
async fn the_bytes_of_a_stream_can_be_cut_anywhere() {
    let whole = streamed(Step::ok()).await.text();
    let at_once = streamed(Step::ok().sse_chunking(SseChunking::AllAtOnce)).await;
    assert_eq!(at_once.frames.len(), 1);
    assert_eq!(at_once.text(), whole);

    for size in [1, 7, 1000] {
        let split = streamed(Step::ok().sse_chunking(SseChunking::SplitEvery(size))).await;
        assert_eq!(split.text(), whole);
        assert!(split.frames.iter().all(|frame| frame.len() <= size));
    }

    let crlf = streamed(Step::ok().sse_chunking(SseChunking::Crlf)).await;
    assert_eq!(crlf.text(), whole.replace('\n', "\r\n"));
}

#[tokio::test]
async fn a_buffered_answer_breaks_in_its_middle() {
    let sim = Simulator::start().await.unwrap();
    sim.script(
        "a",
        [
            Step::ok().cut_after(0),
            Step::ok().end_after(0),
            Step::ok().malformed_at(1),
        ],
    );
    let mut client = connect(&sim, "a", CHAT, &chat(false)).await;
    let mut received = Vec::new();
    assert!(client.read_to_end(&mut received).await.is_err());
    assert!(
        String::from_utf8(received)
            .unwrap()
            .contains("chat.completion")
    );
    for _ in 0..2 {
        let answer = post(&sim, "a", CHAT, &chat(false)).await;
        assert_eq!(answer.status, 200);
        assert!(serde_json::from_str::<serde_json::Value>(&answer.text()).is_err());
    }
}
