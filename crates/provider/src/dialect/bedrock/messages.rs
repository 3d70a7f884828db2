//! The messages of a conversation, as Converse takes them.

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::media::{self, Kind, Names};
use crate::{
    chat::{Media, Message, Part, Role, ToolCall, unsupported},
    dialect::anthropic::{ids::Nameless, thinking::Hindrance},
};

/// Stands where there must be text and is none: empty text is refused.
const NOTHING: &str = ".";

/// Blocks of Bedrock's own that a client may write itself.
const OWN: &[&str] = &[
    "audio",
    "cachePoint",
    "document",
    "guardContent",
    "image",
    "searchResult",
    "video",
];

/// A conversation in Bedrock's words.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) system: Vec<Value>,
    pub(super) messages: Vec<Value>,
    /// What stands against thinking.
    pub(super) hindrance: Hindrance,
}

/// What a model can make of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads {
    /// Marks of what is to be cached; otherwise they are left out.
    pub(super) caches: bool,
    /// Signed thoughts.
    pub(super) thoughts: bool,
}

/// Writes a conversation. What the system says comes first, wherever it stood; neighbours of a role
/// become one, and the results of calls come before anything else that the user says.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], with the place of what cannot be said.
pub(super) fn write(messages: Vec<Message>, reads: Reads) -> Result<Conversation, Error> {
    let mut writer = Writer {
        reads,
        names: Names::default(),
        nameless: Nameless::default(),
    };
    let (mut system, mut turns) = (Vec::new(), Turns::default());
    for (index, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        match message.role {
            Role::System => system.extend(writer.content(message, &at)?),
            Role::User => turns.add("user", writer.content(message, &at)?),
            Role::Assistant => turns.add("assistant", writer.assistant(message, &at)?),
            Role::Tool => turns.add_results(writer.result(message, &at)?),
        }
    }
    Ok(turns.into_conversation(system))
}

struct Writer {
    reads: Reads,
    names: Names,
    nameless: Nameless,
}

impl Writer {
    /// The parts of a message, marked as the message is.
    fn content(&mut self, message: Message, at: &str) -> Result<Vec<Value>, Error> {
        let mut blocks = Vec::with_capacity(message.content.len());
        for (index, part) in message.content.into_iter().enumerate() {
            self.part(part, &format!("{at}.content[{index}]"), &mut blocks)?;
        }
        self.mark(message.cache.as_ref(), &mut blocks);
        Ok(blocks)
    }

    /// What the model thought, said and called, in this order.
    fn assistant(&mut self, mut message: Message, at: &str) -> Result<Vec<Value>, Error> {
        let mut blocks = Vec::new();
        if self.reads.thoughts {
            blocks.extend(message.thinking.iter().filter_map(thought));
        }
        let (calls, cache) = (
            std::mem::take(&mut message.tool_calls),
            message.cache.take(),
        );
        blocks.extend(self.content(message, at)?);
        for call in calls {
            let id = match call.id.as_str() {
                "" => self.nameless.call(&call.name),
                id => safe_id(id),
            };
            blocks.push(tool_use(&call, id));
        }
        self.mark(cache.as_ref(), &mut blocks);
        Ok(blocks)
    }

    /// The result of a call, and its mark.
    fn result(&mut self, mut message: Message, at: &str) -> Result<Vec<Value>, Error> {
        let id = match message.tool_call_id.as_deref() {
            None | Some("") => self.nameless.result(message.name.as_deref()),
            Some(id) => Some(safe_id(id)),
        };
        let id = id.ok_or_else(|| {
            let at = format!("{at}.tool_call_id");
            let text = format!("`{at}` must be the id of a call");
            Error::new(ErrorKind::BadRequest, text).with_param(at)
        })?;
        let (cache, is_error) = (message.cache.take(), message.is_error);
        let mut content = self.content(message, at)?;
        // What is in a result cannot be marked, only the result as a whole.
        let is_mark = |block: &Value| block.get("cachePoint").is_some();
        let mark = content
            .iter()
            .rposition(is_mark)
            .map(|at| content[at].clone());
        content.retain(|block| !is_mark(block));
        let mut result = json!({"toolUseId": id, "content": content});
        if is_error {
            result["status"] = "error".into();
        }
        let mut blocks = vec![json!({"toolResult": result})];
        match mark {
            Some(mark) => blocks.push(mark),
            None => self.mark(cache.as_ref(), &mut blocks),
        }
        Ok(blocks)
    }

    fn part(&mut self, part: Part, at: &str, blocks: &mut Vec<Value>) -> Result<(), Error> {
        let cache = match part {
            Part::Text { text, cache } => {
                blocks.extend(self::text(text));
                cache
            }
            Part::Refusal(text) => {
                blocks.extend(self::text(text));
                None
            }
            Part::Image { media, cache, .. } => {
                blocks.push(media::write(Kind::Image, media, None, at)?);
                cache
            }
            Part::File { media, name, cache } => {
                blocks.push(self.file(media, name.as_deref(), at)?);
                cache
            }
            Part::Audio { data, format } => {
                blocks.push(media::audio(data, &format));
                None
            }
            Part::Other(part) => {
                blocks.extend(self.other(part, at)?);
                None
            }
        };
        self.mark(cache.as_ref(), blocks);
        Ok(())
    }

    fn file(&mut self, media: Media, name: Option<&str>, at: &str) -> Result<Value, Error> {
        let kind = match &media {
            Media::Data { mime, .. } => Kind::of_mime(mime),
            Media::Url(_) | Media::Id(_) => Kind::Document,
        };
        let mut block = media::write(kind, media, name, at)?;
        if let Some(document) = block.get_mut("document") {
            document["name"] = self.names.name(name).into();
        }
        Ok(block)
    }

    fn other(&self, mut part: Map<String, Value>, at: &str) -> Result<Option<Value>, Error> {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "guarded_text" => {
                let text = part.remove("text").filter(Value::is_string);
                Ok(text.map(|text| json!({"guardContent": {"text": {"text": text}}})))
            }
            "video_url" => {
                let video = part.get("video_url");
                let url = video.and_then(|video| video.get("url").or(Some(video))?.as_str());
                let media = Media::of(url.unwrap_or_default().to_owned());
                media::write(Kind::Video, media, None, at).map(Some)
            }
            "thinking" | "redacted_thinking" => {
                let block = self.reads.thoughts.then_some(Value::Object(part));
                Ok(block.as_ref().and_then(thought))
            }
            _ => {
                part.remove("type");
                let is_own =
                    part.len() == 1 && part.keys().all(|name| OWN.contains(&name.as_str()));
                if !is_own {
                    let message = format!("`{at}`: Bedrock does not read parts of this type");
                    return Err(unsupported::content(at, message));
                }
                Ok(Some(Value::Object(part)))
            }
        }
    }

    fn mark(&self, cache: Option<&Value>, blocks: &mut Vec<Value>) {
        let marked = |block: &Value| block.get("cachePoint").is_some();
        if let (true, Some(cache), Some(last)) = (self.reads.caches, cache, blocks.last())
            && !marked(last)
        {
            blocks.push(cache_point(cache));
        }
    }
}

/// What stands behind all that is to be cached.
pub(super) fn cache_point(cache: &Value) -> Value {
    let mut point = json!({"type": "default"});
    if cache.get("ttl").is_some_and(|ttl| ttl == "1h") {
        point["ttl"] = "1h".into();
    }
    json!({ "cachePoint": point })
}

/// A block of text; none if there is nothing to read in it, which is refused.
pub(super) fn text(text: String) -> Option<Value> {
    (!text.trim().is_empty()).then(|| block("text", text))
}

/// A thought with the signature of its maker; others are refused, and left out.
fn thought(block: &Value) -> Option<Value> {
    let text = |name: &str| block.get(name).and_then(Value::as_str);
    let content = match text("type")? {
        "thinking" => {
            let signature = text("signature").filter(|signature| !signature.is_empty())?;
            let thinking = text("thinking").unwrap_or_default();
            json!({"reasoningText": {"text": thinking, "signature": signature}})
        }
        "redacted_thinking" => json!({"redactedContent": text("data")?}),
        _ => return None,
    };
    Some(json!({ "reasoningContent": content }))
}

fn tool_use(call: &ToolCall, id: String) -> Value {
    let mut tool = block("toolUseId", id);
    tool["name"] = call.name.as_str().into();
    tool["input"] = call.input();
    block("toolUse", tool)
}

/// An object with one member, as all blocks are, made without copying what is in it.
pub(super) fn block(name: &str, value: impl Into<Value>) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value.into())]))
}

/// The id under which a call goes: at most 64 letters, digits, `_` and `-`. Another gets one of its
/// own, the same wherever it stands.
fn safe_id(id: &str) -> String {
    const LONGEST: usize = 64;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.len() <= LONGEST && id.chars().all(fits) {
        return id.to_owned();
    }
    // FNV-1a: ids that differ in what is left out still differ.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let kept: String = id.chars().filter(|c| fits(*c)).take(LONGEST - 17).collect();
    format!("{kept}_{hash:016x}")
}

/// What one side says until the other does.
#[derive(Debug)]
struct Turn {
    role: &'static str,
    results: Vec<Value>,
    content: Vec<Value>,
}

#[derive(Debug, Default)]
struct Turns(Vec<Turn>);

impl Turns {
    fn add(&mut self, role: &'static str, blocks: Vec<Value>) {
        if !blocks.is_empty() {
            self.of(role).content.extend(blocks);
        }
    }

    fn add_results(&mut self, blocks: Vec<Value>) {
        self.of("user").results.extend(blocks);
    }

    fn of(&mut self, role: &'static str) -> &mut Turn {
        if self.0.last().is_none_or(|last| last.role != role) {
            self.0.push(Turn {
                role,
                results: Vec::new(),
                content: Vec::new(),
            });
        }
        self.0.last_mut().expect("is there now")
    }

    fn into_conversation(mut self, mut system: Vec<Value>) -> Conversation {
        if self.0.is_empty() {
            // There must be a question.
            self.add("user", std::mem::take(&mut system));
        }
        if self.0.first().is_none_or(|first| first.role != "user") {
            let begin = Turn {
                role: "user",
                results: Vec::new(),
                content: vec![block("text", NOTHING)],
            };
            self.0.insert(0, begin);
        }
        let thought = |turn: &Turn| {
            let first = turn.content.first();
            first.is_some_and(|block| block.get("reasoningContent").is_some())
        };
        let hindrance = match &self.0[..] {
            // The model is to go on with a message of its own.
            [.., last] if last.role == "assistant" => Hindrance::Forced,
            [.., before, last] if !last.results.is_empty() && !thought(before) => {
                Hindrance::Forgotten
            }
            _ => Hindrance::None,
        };
        if let Some(last) = self.0.last_mut().filter(|last| last.role == "assistant") {
            // Blanks at the end of a message that the model is to go on with are refused.
            if let Some(Value::String(text)) =
                last.content.last_mut().and_then(|b| b.get_mut("text"))
            {
                text.truncate(text.trim_end().len());
            }
        }
        Conversation {
            system,
            messages: self.0.into_iter().map(Turn::into_json).collect(),
            hindrance,
        }
    }
}

impl Turn {
    fn into_json(self) -> Value {
        let mut content = self.results;
        content.extend(self.content);
        let has = |name| {
            content
                .iter()
                .any(|block: &Value| block.get(name).is_some())
        };
        // A document is taken only beside a text.
        if self.role == "user" && has("document") && !has("text") {
            content.push(block("text", NOTHING));
        }
        let mut message = block("role", self.role);
        message["content"] = content.into();
        message
    }
}
