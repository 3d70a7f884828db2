use super::*;

#[test]
fn both_answers_are_one_to_the_client() {
    let asked = asked();
    let first = [
        // Azure's, before the answer.
        chunk(
            json!({"id": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}),
        ),
        event("a", json!({"role": "assistant", "content": "one"})),
    ];
    let mut transcript = heard(&asked, &first);
    transcript.goes_on();
    let second = chunk(
        json!({"id": "b", "created": 8, "model": "b", "system_fingerprint": "fp", "x_groq": {"id": "b"},
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": " two"}, "finish_reason": null}]}),
    );
    let role = event("b", json!({"role": "assistant", "content": ""}));
    let text = [role.as_str(), ": ping\n\n", &second, &finish("b"), DONE].concat();
    let (events, item) = later(&mut transcript, &text);
    let expected = json!({"id": "a", "created": 7, "model": "a",
        "choices": [{"index": 0, "delta": {"content": " two"}, "finish_reason": null}]});
    assert_eq!(events[0], expected);
    assert_eq!(
        (&events[1]["id"], &events[1]["choices"][0]["finish_reason"]),
        (&json!("a"), &json!("stop"))
    );
    assert_eq!((events.len(), item.events), (2, 3));
    let bytes = String::from_utf8(item.bytes.to_vec()).expect("is text");
    assert!(
        bytes.starts_with(": ping\n\n") && bytes.ends_with(DONE),
        "{bytes}"
    );
}

#[test]
fn usage_is_that_of_both_attempts() {
    let asked = asked();
    let reported = Usage {
        cached_input: 2,
        ..Usage::new(10, 5)
    };
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 1}});
    let end = chunk(json!({"id": "b", "choices": [], "usage": usage}));
    let second = Usage {
        cached_input: 3,
        reasoning: 1,
        ..Usage::new(12, 7)
    };

    let mut transcript = heard(&asked, &[content("a", "x")]);
    transcript.pass(Item {
        usage: Some(reported),
        ..item(&content("a", "y"))
    });
    transcript.goes_on();
    let item = transcript.pass(Item {
        usage: Some(second),
        ..item(&end)
    });
    let both = Usage {
        cached_input: 5,
        reasoning: 1,
        ..Usage::new(22, 12)
    };
    assert_eq!(item.usage, Some(both));
    let expected = json!({"prompt_tokens": 22, "completion_tokens": 12, "total_tokens": 34,
        "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 1}});
    let data = Event::read(&item.bytes).data.expect("has data");
    let event: Value = serde_json::from_slice(&data).expect("is JSON");
    assert_eq!((&event["usage"], &event["id"]), (&expected, &json!("a")));
    let done = transcript.pass(self::item(DONE));
    assert_eq!((done.usage, &done.bytes[..]), (None, DONE.as_bytes()));
}

#[test]
fn usage_that_nobody_reported_is_estimated() {
    let asked = asked();
    let input = asked.estimated_input_tokens();
    let mut transcript = heard(&asked, &[content("a", "12345678")]);
    transcript.goes_on();
    let second = Item {
        usage: Some(Usage::new(100, 50)),
        ..item(&content("b", "x"))
    };
    let estimated = |input, output| {
        Some(Usage {
            estimated: true,
            ..Usage::new(input, output)
        })
    };
    assert_eq!(transcript.pass(second).usage, estimated(input + 100, 52));

    let mut transcript = heard(&asked, &[content("a", "12345678")]);
    transcript.goes_on();
    let text = [content("b", "1234").as_str(), &finish("b"), DONE].concat();
    let item = transcript.pass(item(&text));
    // The second was shown what the first had said.
    assert_eq!(item.usage, estimated(input + input + 2, 3));
}

#[test]
fn an_answer_may_break_more_than_once() {
    let asked = asked();
    let mut transcript = heard(&asked, &[content("a", "one")]);
    transcript.goes_on();
    later(&mut transcript, &content("b", " two"));
    let rest = transcript.rest(&asked, GoOn::Prefill).expect("can go on");
    assert_eq!(body(&rest)["messages"][1]["content"], "one two");
    transcript.goes_on();
    let third = Item {
        usage: Some(Usage::new(1, 1)),
        ..item(&content("c", " three"))
    };
    let item = transcript.pass(third);
    assert!(String::from_utf8_lossy(&item.bytes).contains(r#""id":"a""#));
    let input = asked.estimated_input_tokens();
    assert_eq!(
        item.usage.map(|usage| (usage.input, usage.output)),
        Some((2 * input + 1 + 1, 1 + 1 + 1))
    );
    later(
        &mut transcript,
        &event("c", json!({"tool_calls": [{"index": 0}]})),
    );
    assert!(transcript.rest(&asked, GoOn::Prefill).is_none());
}

#[test]
fn white_space_that_the_client_has_is_not_given_again() {
    for (said, pieces, expected) in [
        ("one", vec![" two"], " two"),
        ("one ", vec![" two"], "two"),
        ("one ", vec!["two"], "two"),
        ("one\n", vec!["\n", "two"], "two"),
        ("one\n\n", vec!["\n", "\n  two", "\n"], "  two\n"),
        ("one\n", vec!["\n\ntwo"], "\ntwo"),
        ("one\u{a0}", vec!["\u{a0}ä"], "ä"),
    ] {
        let mut transcript = heard(&asked(), &[content("a", said)]);
        transcript.goes_on();
        let mut got = String::new();
        for piece in &pieces {
            let (events, item) = later(&mut transcript, &content("b", piece));
            assert_eq!(events.len(), item.events as usize);
            for event in events {
                got += event["choices"][0]["delta"]["content"]
                    .as_str()
                    .expect("is text");
            }
        }
        assert_eq!(got, expected, "{said:?} {pieces:?}");
        let rest = transcript.rest(&asked(), GoOn::Prefill).expect("can go on");
        let whole = format!("{said}{expected}");
        assert_eq!(body(&rest)["messages"][1]["content"], whole.trim_end());
    }
}

#[test]
fn events_keep_their_names_and_what_is_no_object_passes() {
    let mut transcript = heard(&asked(), &[content("a", "x")]);
    transcript.goes_on();
    let text = format!("event: message\n{}data: 7\n\n", content("b", "y"));
    let item = transcript.pass(item(&text));
    let text = String::from_utf8(item.bytes.to_vec()).expect("is text");
    assert!(text.starts_with("event: message\ndata: {"), "{text}");
    assert!(text.ends_with("}\n\ndata: 7\n\n"), "{text}");
}
