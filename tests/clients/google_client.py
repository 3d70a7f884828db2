"""Google's client."""

from google import genai
from google.genai import errors as failures
from google.genai import types

from openai_client import CHAT, raised

WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather at a place",
            parameters=types.Schema(
                type="OBJECT",
                properties={"place": types.Schema(type="STRING")},
                required=["place"],
            ),
        )
    ]
)


def content(client, model):
    config = types.GenerateContentConfig(system_instruction="Be kind.", temperature=0.2, max_output_tokens=100)
    answer = client.models.generate_content(model=model, contents="hello", config=config)
    assert answer.text.startswith("from "), answer
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP, answer
    used = answer.usage_metadata
    assert used.prompt_token_count > 0 and used.candidates_token_count > 0, answer
    return answer.text


def stream(client, model):
    whole = client.models.generate_content(model=model, contents="hello")
    chunks = list(client.models.generate_content_stream(model=model, contents="hello"))
    text = "".join(chunk.text or "" for chunk in chunks)
    assert text == whole.text, (text, whole)
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP, chunks[-1]
    assert chunks[-1].usage_metadata.candidates_token_count > 0, chunks[-1]
    return f"{len(chunks)} chunks"


def tools(client, model):
    config = types.GenerateContentConfig(tools=[WEATHER])
    ask = types.Content(role="user", parts=[types.Part(text="weather?")])
    answer = client.models.generate_content(model=model, contents=[ask], config=config)
    (call,) = answer.function_calls
    assert call.name == "weather" and isinstance(call.args, dict), answer
    result = types.Part.from_function_response(name="weather", response={"degrees": 30})
    turns = [ask, answer.candidates[0].content, types.Content(role="user", parts=[result])]
    answer = client.models.generate_content(model=model, contents=turns, config=config)
    assert answer.text, answer


def conversation(client, model):
    chat = client.chats.create(model=model)
    assert chat.send_message("hello").text
    assert chat.send_message("and?").text
    assert len(chat.get_history()) == 4


def count_tokens(client, model):
    few = client.models.count_tokens(model=model, contents="hello")
    more = client.models.count_tokens(model=model, contents="hello " * 50)
    assert 0 < few.total_tokens < more.total_tokens, (few, more)


def errors(client, url):
    error = raised(failures.ClientError, lambda: content(client, "no-such-model"))
    assert error.code == 404, error
    stranger = genai.Client(api_key="sk-wrong", http_options=types.HttpOptions(base_url=url))
    error = raised(failures.ClientError, lambda: content(stranger, "openai"))
    assert error.code == 401, error


def run(checks, url, key):
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
    for group in CHAT:
        for check in [content, stream, tools, conversation, count_tokens]:
            checks.run("google", group, check.__name__, check, client, group)
    checks.run("google", "-", "errors", errors, client, url)
