//! Streams that break and are gone on with.

use crate::support::{Act, Client, DONE, chat_stream_with_usage, event, role, send};
use futures_util::StreamExt;
use serde_json::{Value, json};
use ziggurat_core::{GoOn, Item, LlmRequest, Transcript, Transcripts, Usage};
use ziggurat_provider::{OpenAiTranscript, OpenAiTranscripts};

/// An answer in pieces, each a read of its own.
fn answer(id: &str, pieces: &[&str], end: &[Act]) -> Vec<Act> {
    let events = pieces
        .iter()
        .map(|text| event(&format!("\"content\":\"{text}\""), "null"));
    let events = [role()].into_iter().chain(events);
    let named = events.map(|event| send(event.replace("\"c1\"", &format!("\"{id}\""))));
    named.chain(end.iter().cloned()).collect()
}

/// Reads an answer, as the client gets it; whether it came to its end.
async fn read(
    client: &Client,
    request: LlmRequest,
    transcript: &mut OpenAiTranscript,
    got: &mut Vec<Item>,
) -> bool {
    let Ok(response) = client.call(request).await else {
        return false;
    };
    let (_, mut items) = response.into_parts();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => got.push(transcript.pass(item)),
            Err(_) => return false,
        }
    }
    true
}

fn text_of(got: &[Item]) -> String {
    let bytes: Vec<_> = got.iter().map(|item| &item.bytes[..]).collect();
    String::from_utf8(bytes.concat()).expect("is text")
}

fn events(text: &str) -> Vec<Value> {
    let data = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

/// The reads of a body, cut into pieces of that size wherever they fall.
fn cut(acts: &[Act], size: usize) -> Vec<Act> {
    let mut bytes = Vec::new();
    for act in acts {
        if let Act::Send(more) = act {
            bytes.extend_from_slice(more);
        }
    }
    let last = acts.iter().filter(|act| !matches!(act, Act::Send(_)));
    bytes
        .chunks(size)
        .map(|piece| send(piece.to_vec()))
        .chain(last.cloned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_one_answer_wherever_the_reads_are_cut() {
    let asked = chat_stream_with_usage();
    let first = answer("first", &["Once", " upon\\n"], &[Act::Break("reset")]);
    let finish = event("", "\"stop\"").replace("c1", "second");
    let usage = "data: {\"id\":\"second\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n";
    let second = answer(
        "second",
        &["\\na", " time"],
        &[send(finish), send(usage), send(DONE)],
    );
    for size in 1..400 {
        let mut transcript = OpenAiTranscripts.listen(&asked).expect("can go on");
        let mut got = Vec::new();
        let client = Client::stream(cut(&first, size));
        let whole = read(&client, asked.clone(), &mut transcript, &mut got).await;
        assert!(!whole && !got.is_empty());
        let rest = transcript.rest(&asked, GoOn::Prefill).expect("can go on");
        let body: Value = serde_json::from_slice(rest.body()).expect("is JSON");
        assert_eq!(
            body["messages"],
            json!([{"role": "assistant", "content": "Once upon"}])
        );
        transcript.goes_on();
        let client = Client::stream(cut(&second, size));
        assert!(read(&client, rest, &mut transcript, &mut got).await);

        let text = text_of(&got);
        assert!(text.ends_with(DONE));
        let events = events(&text);
        assert!(events.iter().all(|event| event["id"] == "first"), "{text}");
        let delta = |event: &Value, name: &str| event["choices"][0]["delta"][name].clone();
        let said = events
            .iter()
            .filter_map(|event| delta(event, "content").as_str().map(str::to_owned));
        assert_eq!(said.collect::<String>(), "Once upon\na time");
        let roles = events
            .iter()
            .filter(|event| delta(event, "role").is_string());
        assert_eq!(roles.count(), 1);
        let finished = events
            .iter()
            .filter(|event| event["choices"][0]["finish_reason"].is_string());
        assert_eq!(finished.count(), 1);
        let last = events.last().expect("is there");
        // Three tokens of text, and no prompt to speak of.
        assert_eq!(last["usage"]["completion_tokens"], 5 + 3);
        let usage = got.iter().rev().find_map(|item| item.usage);
        let expected = Usage {
            estimated: true,
            ..Usage::new(10 + asked.estimated_input_tokens(), 8)
        };
        assert_eq!(usage, Some(expected));
        let counted: u32 = got.iter().map(|item| item.events).sum();
        assert_eq!(counted as usize, events.len() + 1);
    }
}
