//! What is read of a body that is passed through.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{
    Error, ObjectId,
    form::malformed,
    multipart::{self, Boundary, Part},
    objects::{self, Strings},
    scan::{Malformed, Member, Scanner, Shape},
    value::{Wrong, field},
};

/// How long a text field of a form may be that is looked at.
const MAX_FIELD: usize = 128 * 1024;

/// A model and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) text: Arc<str>,
    pub(super) at: Range<usize>,
    pub(super) is_json: bool,
}

/// What was read of a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub(super) model: Option<Named>,
    /// Fields that were taken out.
    pub(super) taken: Vec<(Box<str>, String)>,
    /// What stands in the places of ranges, which do not overlap.
    pub(super) edits: Vec<(Range<usize>, Bytes)>,
    /// The lines of a batch.
    pub(super) lines: Option<Range<usize>>,
    pub(super) stream: bool,
    ids: Vec<ObjectId>,
}

impl Read {
    /// Reads a body of that content type.
    ///
    /// # Errors
    ///
    /// If it is a form and no valid one, or names several models.
    pub(super) fn new(
        body: &[u8],
        kind: Option<&str>,
        fields: &[&str],
        is_upload: bool,
    ) -> Result<Self, Error> {
        let mut read = Self::default();
        let name = kind.unwrap_or_default().split(';').next();
        let name = name.unwrap_or_default().trim().to_ascii_lowercase();
        if name == "multipart/form-data" {
            read.form(body, kind.unwrap_or_default(), fields, is_upload)?;
        } else if (kind.is_none() || name == "application/json" || name.ends_with("+json"))
            && let Ok(text) = std::str::from_utf8(body)
        {
            read.json(text, fields)?;
        }
        Ok(read)
    }

    /// The ids of ours that were in it.
    pub(super) fn ids(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.ids.iter().cloned()
    }

    /// Reads a text that may be JSON. What is none is not for us to judge.
    fn json(&mut self, text: &str, fields: &[&str]) -> Result<(), Error> {
        let mut scanner = Scanner::new(text);
        if scanner.shape().ok() == Some(Shape::Object) {
            let mut cuts = Vec::new();
            let read = scanner.object(&mut cuts, |s, key, _| self.member(s, key, fields));
            match read.and_then(|_| Ok(scanner.end()?)) {
                Ok(()) => {}
                Err(Wrong::Json(_)) => {
                    *self = Self::default();
                    return Ok(());
                }
                Err(Wrong::Field(error)) => return Err(error),
            }
            self.edits
                .extend(cuts.into_iter().map(|cut| (cut, Bytes::new())));
        }
        let Ok(named) = objects::named(text, Strings::All) else {
            return Ok(());
        };
        for (at, id) in named {
            let is_cut = self.edits.iter().any(|(cut, _)| cut.contains(&at.start));
            if !is_cut {
                self.edits
                    .push((at, format!("\"{}\"", id.original()).into()));
                self.ids.push(id);
            }
        }
        Ok(())
    }

    fn member(&mut self, s: &mut Scanner<'_>, key: &str, fields: &[&str]) -> Result<Member, Wrong> {
        if fields.contains(&key) {
            let text = first_string(s)?;
            self.taken.extend(text.map(|text| (key.into(), text)));
            return Ok(Member::Cut);
        }
        match key {
            "model" if s.shape()? == Shape::String => {
                let start = s.position();
                let text = s.string()?;
                self.named(&text, start..s.here(), true)?;
            }
            "stream" if s.shape()? == Shape::Bool => self.stream = s.bool()?,
            _ => s.skip()?,
        }
        Ok(Member::Keep)
    }

    fn named(&mut self, text: &str, at: Range<usize>, is_json: bool) -> Result<(), Wrong> {
        let text = Arc::from(text);
        match self.model.replace(Named { text, at, is_json }) {
            None => Ok(()),
            Some(_) => Err(field("model", "given once")),
        }
    }

    fn form(
        &mut self,
        body: &[u8],
        kind: &str,
        fields: &[&str],
        is_upload: bool,
    ) -> Result<(), Error> {
        let boundary = Boundary::of(kind)?;
        let parts = multipart::parts(body, &boundary).map_err(malformed)?;
        let (mut file, mut is_batch) = (None, false);
        for part in &parts.parts {
            if part.is_file {
                file = file.or((part.name == "file").then(|| part.value.clone()));
                continue;
            }
            let value = &body[part.value.clone()];
            let text = std::str::from_utf8(value).ok();
            let Some(text) = text.filter(|text| text.len() <= MAX_FIELD) else {
                continue;
            };
            is_batch |= part.name == "purpose" && text == "batch";
            self.text(part, text, fields)?;
        }
        self.lines = file.filter(|_| is_batch && is_upload);
        Ok(())
    }

    fn text(&mut self, part: &Part<'_>, text: &str, fields: &[&str]) -> Result<(), Error> {
        let name = part.name.strip_suffix("[]").unwrap_or(part.name);
        if fields.contains(&name) {
            // Lists may be one text.
            let first = text.split(',').next().unwrap_or_default().trim();
            self.taken.push((name.into(), first.to_owned()));
            self.edits.push((part.whole.clone(), Bytes::new()));
        } else if let Some(id) = ObjectId::parse(text) {
            let original = Bytes::copy_from_slice(id.original().as_bytes());
            self.edits.push((part.value.clone(), original));
            self.ids.push(id);
        } else if name == "model" {
            self.named(text, part.value.clone(), false)?;
        }
        Ok(())
    }
}

/// A string, or the first of a list; of a string that lists several, the first of these.
fn first_string(s: &mut Scanner<'_>) -> Result<Option<String>, Malformed> {
    let mut first = None;
    let mut take = |s: &mut Scanner<'_>| {
        match s.shape()? {
            Shape::String => {
                let text = s.string()?;
                let text = text.split(',').next().unwrap_or_default().trim();
                first = first.take().or(Some(text.to_owned()));
            }
            _ => s.skip()?,
        }
        Ok::<_, Malformed>(())
    };
    match s.shape()? {
        Shape::Array => s.array(take).map(drop)?,
        _ => take(s)?,
    }
    Ok(first)
}
