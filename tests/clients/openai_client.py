"""OpenAI's client."""

import io
import json

import openai
import pydantic

CHAT = ["openai", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere", "ollama"]
EMBED = [f"{name}-embed" for name in ["openai", "azure", "gemini", "vertex", "bedrock", "cohere", "ollama"]]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}


class Person(pydantic.BaseModel):
    name: str
    age: int


def said(content="hello"):
    return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}]


def chat(client, model):
    answer = client.chat.completions.create(model=model, messages=said(), temperature=0.2, max_tokens=100)
    choice = answer.choices[0]
    assert answer.object == "chat.completion" and choice.finish_reason == "stop", answer
    assert choice.message.content.startswith("from "), answer
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    return choice.message.content


def chat_stream(client, model):
    whole = client.chat.completions.create(model=model, messages=said())
    options = {"include_usage": True}
    stream = client.chat.completions.create(model=model, messages=said(), stream=True, stream_options=options)
    chunks = list(stream)
    text = "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
    ends = [it.choices[0].finish_reason for it in chunks if it.choices and it.choices[0].finish_reason]
    assert text == whole.choices[0].message.content, (text, whole)
    # Azure's first chunk is about the prompt, and has no id.
    assert ends == ["stop"] and len({it.id for it in chunks if it.id}) == 1, chunks
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 0 and not chunks[-1].choices, chunks[-1]
    return f"{len(chunks)} chunks"


def tools(client, model):
    messages = said("How is the weather in Rome?")
    answer = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls", answer
    (call,) = message.tool_calls
    assert call.function.name == "weather" and isinstance(json.loads(call.function.arguments), dict), call
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 30}'}]
    answer = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "stop" and answer.choices[0].message.content, answer
    return call.function.arguments


def tools_stream(client, model):
    with client.chat.completions.stream(model=model, messages=said("weather?"), tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather" and isinstance(json.loads(call.function.arguments), dict), call
    assert answer.choices[0].finish_reason == "tool_calls", answer


def parse(client, model):
    answer = client.chat.completions.parse(model=model, messages=said("Who?"), response_format=Person)
    person = answer.choices[0].message.parsed
    assert isinstance(person, Person), answer
    return person


def responses(client, model):
    answer = client.responses.create(model=model, instructions="Be kind.", input="hello")
    assert answer.status == "completed" and answer.output_text.startswith("from "), answer
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer
    return answer.output_text


def responses_stream(client, model):
    events = list(client.responses.create(model=model, input="hello", stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text and text == events[-1].response.output_text, (text, events[-1])
    return f"{len(events)} events"


def responses_tools(client, model):
    tool = {"type": "function", **WEATHER["function"], "strict": True}
    answer = client.responses.create(model=model, input="weather?", tools=[tool])
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert call.name == "weather" and isinstance(json.loads(call.arguments), dict), call
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "30 degrees"}
    turn = {"type": "message", "role": "user", "content": "weather?"}
    answer = client.responses.create(model=model, input=[turn, call, result], tools=[tool])
    assert answer.output_text, answer


def responses_parse(client, model):
    answer = client.responses.parse(model=model, input="Who?", text_format=Person)
    assert isinstance(answer.output_parsed, Person), answer


def responses_stored(client, model):
    first = client.responses.create(model=model, input="hello")
    again = client.responses.retrieve(first.id)
    assert again.id == first.id and again.output_text == first.output_text, again
    items = client.responses.input_items.list(first.id)
    assert items.data, items
    second = client.responses.create(model=model, input="and?", previous_response_id=first.id)
    assert second.id != first.id, second
    client.responses.delete(first.id)
    raised(openai.NotFoundError, lambda: client.responses.retrieve(first.id))
    return first.id


def completions(client, model):
    answer = client.completions.create(model=model, prompt="hello", max_tokens=50)
    assert answer.object == "text_completion" and answer.choices[0].text, answer
    chunks = list(client.completions.create(model=model, prompt="hello", max_tokens=50, stream=True))
    text = "".join(it.choices[0].text for it in chunks if it.choices)
    assert text == answer.choices[0].text, (text, answer)
    return text


def embeddings(client, model):
    # The client asks for base64 by itself, and decodes it.
    answer = client.embeddings.create(model=model, input=["one", "two"])
    assert [it.index for it in answer.data] == [0, 1], answer
    assert all(isinstance(it.embedding[0], float) for it in answer.data), answer
    floats = client.embeddings.create(model=model, input="one", encoding_format="float")
    near = zip(floats.data[0].embedding, answer.data[0].embedding, strict=True)
    assert all(abs(a - b) < 1e-5 for a, b in near), (floats, answer)
    return f"{len(answer.data[0].embedding)} dimensions"


def images(client, model):
    made = client.images.generate(model=model, prompt="a tower", n=1, size="1024x1024")
    assert made.data[0].b64_json or made.data[0].url, made
    picture = ("tower.png", io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"0" * 64), "image/png")
    edited = client.images.edit(model=model, image=picture, prompt="higher")
    assert edited.data, edited
    varied = client.images.create_variation(model=model, image=("a.png", io.BytesIO(b"\x89PNG\r\n\x1a\n"), "image/png"))
    assert varied.data, varied


def speech(client, model):
    sound = client.audio.speech.create(model=model, voice="alloy", input="hello").read()
    assert sound, "no sound"
    return f"{len(sound)} bytes"


def transcription(client, model):
    recording = ("a.wav", io.BytesIO(b"RIFF" + b"0" * 64), "audio/wav")
    heard = client.audio.transcriptions.create(model=model, file=recording)
    assert heard.text, heard
    recording = ("a.wav", io.BytesIO(b"RIFF" + b"0" * 64), "audio/wav")
    assert client.audio.translations.create(model=model, file=recording).text
    return heard.text


def moderations(client, model):
    judged = client.moderations.create(model=model, input="hello")
    assert judged.results, judged


def files(client, model):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
    line["body"] = {"model": model, "messages": said()}
    content = (json.dumps(line) + "\n").encode()
    upload = ("batch.jsonl", io.BytesIO(content), "application/jsonl")
    made = client.files.create(file=upload, purpose="batch", extra_body={"model": model})
    assert client.files.retrieve(made.id).id == made.id
    assert made.id in [it.id for it in client.files.list(extra_query={"model": model})]
    kept = json.loads(client.files.content(made.id).read())
    assert kept["custom_id"] == "1", kept
    batch = client.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.input_file_id == made.id, batch
    assert client.batches.retrieve(batch.id).id == batch.id
    assert batch.id in [it.id for it in client.batches.list(extra_query={"model": model})]
    client.batches.cancel(batch.id)
    assert client.files.delete(made.id).deleted
    raised(openai.NotFoundError, lambda: client.files.retrieve(made.id))
    return made.id


def raised(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def errors(client, url):
    error = raised(openai.NotFoundError, lambda: chat(client, "no-such-model"))
    assert error.code == "model_not_found", error
    stranger = openai.OpenAI(base_url=url + "/v1", api_key="sk-wrong", max_retries=0)
    raised(openai.AuthenticationError, lambda: chat(stranger, "openai"))
    ask = lambda: client.chat.completions.create(model="openai", messages=said(), extra_body={"fallbacks": 3})
    raised(openai.BadRequestError, ask)
    assert {"openai", "anthropic"} <= {model.id for model in client.models.list()}


def run(checks, url, key):
    client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
    each = lambda groups, *these: [(group, check) for group in groups for check in these]
    for group, check in [
        *each(CHAT, chat, chat_stream, tools, tools_stream, parse),
        *each(CHAT, responses, responses_stream, responses_tools, responses_parse, completions),
        *each(EMBED, embeddings),
        *each(["openai"], responses_stored, files),
        *each(["images"], images),
        *each(["speech"], speech),
        *each(["transcription"], transcription),
        *each(["moderation"], moderations),
    ]:
        checks.run("openai", group, check.__name__, check, client, group)
    checks.run("openai", "-", "errors", errors, client, url)
