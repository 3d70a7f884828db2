//! What is read of a request's body, once, at the edge.

use std::{ops::Range, sync::Arc};

use crate::{
    Capability, CapabilitySet, Controls, Error, ErrorKind, FieldSet, Operation, ReadOptions,
    form::Form,
    generate::no_contents,
    objects::{self, Named, Strings},
    scan::{Member, Scanner, Shape},
    value::{Wrong, boolean, field, integer, string, typed},
};

/// How many fallbacks, tags and other listed things a request may name.
pub(crate) const MAX_LISTED: usize = 64;

/// What is known of a request without keeping its body as a tree.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub(crate) model: Arc<str>,
    pub(crate) model_at: Range<usize>,
    pub(crate) model_as: ModelAs,
    pub(crate) stream: bool,
    pub(crate) stream_options: StreamOptions,
    pub(crate) max_output_tokens: Option<u64>,
    pub(crate) choices: u64,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) session: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) needs: CapabilitySet,
    pub(crate) fields: FieldSet,
    pub(crate) text_bytes: usize,
    pub(crate) prompt_at: Range<usize>,
    pub(crate) is_signed: bool,
    pub(crate) previous_response: Option<Arc<str>>,
    pub(crate) cache_key: Option<Arc<str>>,
    pub(crate) region: Option<Arc<str>>,
    pub(crate) cuts: Vec<Range<usize>>,
    /// Objects that a deployment keeps, by their ids of ours.
    pub(crate) objects: Vec<Named>,
    /// Where more members can be added.
    pub(crate) brace: usize,
    pub(crate) controls: Option<Box<Controls>>,
    /// What the body is written in, if it is no JSON.
    pub(crate) form: Option<Box<Form>>,
}

/// How a model is written at its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ModelAs {
    /// As a JSON string.
    #[default]
    Json,
    /// As a member that is missing, before others.
    Member,
    /// As the only member.
    OnlyMember,
    /// As it is.
    Text,
    /// Nowhere in the body: in the path.
    Beside,
}

/// What the path of a request says, where its body does not.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) model: Arc<str>,
    pub(crate) stream: bool,
}

/// Where the stream options stand, so that usage can be asked for by splicing.
#[derive(Clone, Debug, Default)]
pub(crate) enum StreamOptions {
    #[default]
    Absent,
    Null(Range<usize>),
    Object {
        open: usize,
        empty: bool,
        include_usage: Option<(bool, Range<usize>)>,
    },
}

impl Head {
    /// Reads the head of a JSON body in one pass. What is given beside it is not read in it.
    pub(crate) fn read(
        operation: Operation,
        body: &[u8],
        given: Option<Given>,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            Error::new(
                ErrorKind::BadRequest,
                format!("the body is not valid UTF-8 at byte {at}"),
            )
            .with_code("invalid_utf8")
        })?;
        let mut reader = Reader::new(operation, options);
        reader.given(given)?;
        let is_generate = operation == Operation::GenerateContent;
        let mut scanner = Scanner::new(text);
        let mut cuts = Vec::new();
        let start = scanner.position();
        let end = scanner.object(&mut cuts, |s, key, cuts| match is_generate {
            true => reader.generate_member(s, key, cuts),
            false => reader.member(s, key, cuts),
        })?;
        scanner.end().map_err(Wrong::from)?;
        let mut head = reader.finish()?;
        if is_generate {
            if head.prompt_at.is_empty() {
                return Err(no_contents());
            }
            head.model_as = ModelAs::Beside;
        } else if head.model_at.is_empty() {
            head.model_at = start + 1..start + 1;
            head.model_as = match end.kept {
                0 => ModelAs::OnlyMember,
                _ => ModelAs::Member,
            };
        }
        head.cuts = cuts;
        head.name_objects(objects::named(text, Strings::Ids)?)?;
        head.brace = end.brace;
        Ok(head)
    }
}

impl Head {
    /// Takes the objects that the body names, where it is not for the router. Another group has none
    /// of them.
    ///
    /// # Errors
    ///
    /// If several deployments have them.
    fn name_objects(&mut self, named: Vec<Named>) -> Result<(), Error> {
        let cuts = &self.cuts;
        let is_cut = |at: &Range<usize>| cuts.iter().any(|cut| cut.contains(&at.start));
        self.objects = named;
        self.objects.retain(|(at, _)| !is_cut(at));
        if objects::owner(self.objects.iter().map(|(_, id)| id))?.is_some() {
            let controls = self.controls.get_or_insert_default();
            controls.disable_fallbacks = true;
        }
        Ok(())
    }
}

pub(crate) fn no_model() -> Error {
    let error = Error::new(ErrorKind::BadRequest, "the body has no `model`");
    error
        .with_param("model")
        .with_code("missing_required_parameter")
}

/// The model that moderates where a request names none, as in OpenAI's API.
const MODERATION: &str = "omni-moderation-latest";

pub(crate) struct Reader {
    pub(crate) head: Head,
    has_model: bool,
    /// Whether the model and the wish for a stream came beside the body.
    pub(crate) is_given: bool,
    operation: Operation,
    pub(crate) options: ReadOptions,
}

impl Reader {
    pub(crate) fn new(operation: Operation, options: ReadOptions) -> Self {
        Self {
            head: Head {
                choices: 1,
                ..Head::default()
            },
            has_model: false,
            is_given: false,
            operation,
            options,
        }
    }

    fn given(&mut self, given: Option<Given>) -> Result<(), Wrong> {
        let Some(given) = given else { return Ok(()) };
        self.is_given = true;
        self.head.stream = given.stream;
        self.named(given.model, 0..0)
    }

    /// What was read, when all is read.
    pub(crate) fn finish(mut self) -> Result<Head, Error> {
        if !self.has_model {
            if self.operation != Operation::Moderation {
                return Err(no_model());
            }
            self.head.model = Arc::from(MODERATION);
        }
        self.head.stream &= self.operation.can_stream();
        self.head.stream |= self.operation.always_streams();
        Ok(self.head)
    }

    pub(crate) fn need(&mut self, capability: Capability) {
        self.head.needs = self.head.needs.with(capability);
    }

    pub(crate) fn member(
        &mut self,
        s: &mut Scanner<'_>,
        key: &str,
        cuts: &mut Vec<Range<usize>>,
    ) -> Result<Member, Wrong> {
        self.head.fields.insert(key);
        match key {
            "model" => self.model(s)?,
            "messages" | "input" | "prompt" => {
                self.prompt(s)?;
            }
            // What a model is told before the conversation, where that has a field of its own.
            "system" | "instructions" => self.head.text_bytes += s.tally()?.text,
            // Speech has a word of its own for it.
            "stream" if self.operation != Operation::Speech => {
                self.head.stream = boolean(s, key)?.unwrap_or(false);
            }
            "stream_format" if self.operation == Operation::Speech => {
                self.head.stream = s.raw()? == "\"sse\"";
            }
            "stream_options" => self.stream_options(s)?,
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                self.head.max_output_tokens = self.head.max_output_tokens.max(integer(s, key)?);
            }
            "n" => self.head.choices = integer(s, key)?.unwrap_or(1),
            "user" => self.head.user = string(s, key)?.or(self.head.user.take()),
            "tools" => {
                let start = s.position();
                self.tools(s)?;
                self.offered(start..s.here());
            }
            "functions" => {
                let start = s.position();
                s.skip()?;
                self.offered(start..s.here());
            }
            "tool_choice" => {
                if !leaves_the_choice(s)? {
                    self.need(Capability::ToolChoice);
                }
            }
            "response_format" | "text" => {
                if s.raw()?.contains("\"json_schema\"") {
                    self.need(Capability::JsonSchema);
                }
            }
            "reasoning_effort" | "reasoning" | "thinking" => {
                let raw = s.raw()?;
                let is_off = matches!(raw, "null" | "\"none\"") || raw.contains("\"disabled\"");
                if !is_off {
                    self.need(Capability::Reasoning);
                }
            }
            "web_search_options" => {
                if s.raw()? != "null" {
                    self.need(Capability::WebSearch);
                }
            }
            "modalities" => {
                if s.raw()?.contains("\"audio\"") {
                    self.need(Capability::AudioOutput);
                }
            }
            "previous_response_id" => self.head.previous_response = string(s, key)?,
            "prompt_cache_key" => self.head.cache_key = string(s, key)?,
            "metadata" | "litellm_metadata" => {
                if s.shape()? == Shape::Object {
                    let end = s.object(cuts, |s, key, _| self.metadata(s, key))?;
                    if key == "litellm_metadata" || (end.kept == 0 && end.cut > 0) {
                        return Ok(Member::Cut);
                    }
                } else {
                    s.skip()?;
                }
            }
            _ => return self.control(s, key),
        }
        Ok(Member::Keep)
    }

    /// Reads the conversation.
    pub(crate) fn prompt(&mut self, s: &mut Scanner<'_>) -> Result<(), Wrong> {
        let start = s.position();
        let tally = s.tally()?;
        self.head.prompt_at = start..s.here();
        self.head.text_bytes += tally.text;
        self.head.is_signed |= tally.signed;
        for (seen, capability) in [
            (tally.images, Capability::Vision),
            (tally.audio, Capability::AudioInput),
            (tally.files, Capability::Pdf),
            (tally.videos, Capability::Video),
        ] {
            if seen {
                self.need(capability);
            }
        }
        Ok(())
    }

    fn model(&mut self, s: &mut Scanner<'_>) -> Result<(), Wrong> {
        let start = s.position();
        let Some(model) = string(s, "model")? else {
            return Err(field("model", "a string"));
        };
        self.named(model, start..s.here())
    }

    /// Takes the model that stands at that place.
    pub(crate) fn named(&mut self, model: Arc<str>, at: Range<usize>) -> Result<(), Wrong> {
        if model.is_empty() {
            return Err(field("model", "the name of a model"));
        }
        if std::mem::replace(&mut self.has_model, true) {
            return Err(field("model", "given once"));
        }
        self.head.model = model;
        self.head.model_at = at;
        Ok(())
    }

    /// What may be called is told to a model as it is written.
    pub(crate) fn offered(&mut self, at: Range<usize>) {
        const NONE: usize = "null".len();
        if at.len() > NONE {
            self.head.text_bytes += at.len();
        }
    }

    fn tools(&mut self, s: &mut Scanner<'_>) -> Result<(), Wrong> {
        if s.shape()? != Shape::Array {
            return Ok(s.skip()?);
        }
        let (mut functions, mut searches) = (0, 0);
        s.array::<Wrong>(|s| {
            if s.shape()? != Shape::Object {
                return Ok(s.skip()?);
            }
            let mut is_search = false;
            s.object(&mut Vec::new(), |s, key, _| {
                if key == "type" {
                    is_search = s.raw()?.starts_with("\"web_search");
                } else {
                    s.skip()?;
                }
                Ok::<_, Wrong>(Member::Keep)
            })?;
            *(if is_search {
                &mut searches
            } else {
                &mut functions
            }) += 1;
            Ok(())
        })?;
        if functions > 0 {
            self.need(Capability::Tools);
        }
        if searches > 0 {
            self.need(Capability::WebSearch);
        }
        Ok(())
    }

    fn stream_options(&mut self, s: &mut Scanner<'_>) -> Result<(), Wrong> {
        let start = s.position();
        self.head.stream_options = match s.shape()? {
            Shape::Object => {
                let mut include_usage = None;
                let end = s.object(&mut Vec::new(), |s, key, _| {
                    if key == "include_usage" {
                        let start = s.position();
                        let value = boolean(s, "stream_options.include_usage")?;
                        include_usage = Some((value.unwrap_or(false), start..s.here()));
                    } else {
                        s.skip()?;
                    }
                    Ok::<_, Wrong>(Member::Keep)
                })?;
                StreamOptions::Object {
                    open: start + 1,
                    empty: end.kept == 0,
                    include_usage,
                }
            }
            Shape::Null => {
                s.skip()?;
                StreamOptions::Null(start..s.here())
            }
            _ => return Err(field("stream_options", "an object")),
        };
        Ok(())
    }

    /// Tags and the session are the router's; what else a client puts into its metadata is not.
    pub(crate) fn metadata(&mut self, s: &mut Scanner<'_>, key: &str) -> Result<Member, Wrong> {
        match key {
            "tags" => self.tags(s, "metadata.tags")?,
            "session_id" => self.head.session = string(s, "metadata.session_id")?,
            // Anthropic's name for the user; it stays where it is.
            "user_id" if self.head.user.is_none() && s.shape()? == Shape::String => {
                self.head.user = string(s, "metadata.user_id")?;
                return Ok(Member::Keep);
            }
            _ => {
                s.skip()?;
                return Ok(Member::Keep);
            }
        }
        Ok(Member::Cut)
    }

    pub(crate) fn tags(&mut self, s: &mut Scanner<'_>, name: &str) -> Result<(), Wrong> {
        if s.shape()? == Shape::Null {
            return Ok(s.skip()?);
        }
        let tags: Vec<Arc<str>> = typed(s, name, "a list of strings")?;
        if tags.len() > MAX_LISTED {
            return Err(field(name, "a list of at most 64 strings"));
        }
        self.head.tags.extend(tags);
        Ok(())
    }
}

/// Whether a choice of tools is left to the model, or is not to call any: a word, or an object with
/// a type.
fn leaves_the_choice(s: &mut Scanner<'_>) -> Result<bool, Wrong> {
    let is_loose = |raw: &str| matches!(raw, "null" | "\"auto\"" | "\"none\"");
    if s.shape()? != Shape::Object {
        return Ok(is_loose(s.raw()?));
    }
    let mut loose = false;
    s.object(&mut Vec::new(), |s, key, _| {
        let raw = s.raw()?;
        loose |= key == "type" && is_loose(raw);
        Ok::<_, Wrong>(Member::Keep)
    })?;
    Ok(loose)
}

#[cfg(test)]
mod tests;
