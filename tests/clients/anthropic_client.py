"""Anthropic's client."""

import anthropic

from openai_client import CHAT, raised

WEATHER = {
    "name": "weather",
    "description": "The weather at a place",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}
HELLO = [{"role": "user", "content": "hello"}]


def messages(client, model):
    answer = client.messages.create(model=model, max_tokens=100, system="Be kind.", messages=HELLO)
    assert answer.type == "message" and answer.stop_reason == "end_turn", answer
    assert answer.content[0].type == "text" and answer.content[0].text.startswith("from "), answer
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer
    return answer.content[0].text


def stream(client, model):
    whole = client.messages.create(model=model, max_tokens=100, messages=HELLO)
    with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    assert text == whole.content[0].text == last.content[0].text, (text, whole, last)
    assert last.stop_reason == "end_turn" and last.usage.output_tokens > 0, last
    events = list(client.messages.create(model=model, max_tokens=100, messages=HELLO, stream=True))
    assert events[0].type == "message_start" and events[-1].type == "message_stop", events


def tools(client, model):
    ask = lambda messages: client.messages.create(model=model, max_tokens=100, messages=messages, tools=[WEATHER])
    turns = [{"role": "user", "content": "How is the weather in Rome?"}]
    answer = ask(turns)
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == "tool_use" and call.name == "weather" and isinstance(call.input, dict), answer
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "30 degrees"}
    turns += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    answer = ask(turns)
    assert answer.stop_reason == "end_turn" and answer.content[0].text, answer


def tools_stream(client, model):
    turns = [{"role": "user", "content": "weather?"}]
    with client.messages.stream(model=model, max_tokens=100, messages=turns, tools=[WEATHER]) as stream:
        last = stream.get_final_message()
    (call,) = [block for block in last.content if block.type == "tool_use"]
    assert call.name == "weather" and isinstance(call.input, dict) and last.stop_reason == "tool_use", last


def count_tokens(client, model):
    few = client.messages.count_tokens(model=model, messages=HELLO)
    more = client.messages.count_tokens(model=model, messages=HELLO, tools=[WEATHER], system="Be kind. " * 20)
    assert 0 < few.input_tokens < more.input_tokens, (few, more)
    return f"{few.input_tokens} < {more.input_tokens}"


def errors(client, url):
    error = raised(anthropic.NotFoundError, lambda: messages(client, "no-such-model"))
    assert error.body["error"]["type"] == "not_found_error", error.body
    stranger = anthropic.Anthropic(base_url=url, api_key="sk-wrong", max_retries=0)
    raised(anthropic.AuthenticationError, lambda: messages(stranger, "openai"))


def run(checks, url, key):
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
    for group in CHAT:
        for check in [messages, stream, tools, tools_stream, count_tokens]:
            checks.run("anthropic", group, check.__name__, check, client, group)
    checks.run("anthropic", "-", "errors", errors, client, url)
