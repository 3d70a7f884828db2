//! What is known of several texts, and the answer that is made of it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use ziggurat_core::{
    Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Maker, Overrides, ReadOptions, Redirect,
};

use crate::{
    CacheKey, CacheStore, Entry, Found, Keys,
    entry::{CACHE_KEY, header},
};

/// What is kept of one text: its numbers as they were written, and by which model.
#[derive(Serialize, Deserialize)]
struct Numbers<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct Element<'a> {
    index: usize,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Serialize)]
struct Written<'a> {
    object: &'static str,
    index: usize,
    embedding: &'a RawValue,
}

type Members<'a> = BTreeMap<Cow<'a, str>, Cow<'a, RawValue>>;

/// The texts of a request, of which some may be known.
#[derive(Debug)]
pub(super) struct Elements {
    pub(super) names: Vec<CacheKey>,
    pub(super) known: Vec<Option<Found>>,
    pub(super) max_age: Option<Duration>,
    /// How long what is new is kept; `None` if it is not.
    pub(super) ttl: Option<Duration>,
}

impl Elements {
    /// The texts of a request for embeddings, if they have names; what is new is kept for so long
    /// unless the request says otherwise.
    pub(super) fn of(keys: &Keys, request: &LlmRequest, ttl: Duration) -> Option<Self> {
        let (names, said) = (keys.elements(request)?, &request.controls().cache);
        Some(Self {
            known: vec![None; names.len()],
            names,
            max_age: said.max_age,
            ttl: (!said.no_store).then(|| said.ttl.unwrap_or(ttl)),
        })
    }

    /// Takes what was found of one.
    pub(super) fn found(&mut self, at: usize, found: Option<Found>) {
        let is_young = |found: &Found| self.max_age.is_none_or(|max| found.age <= max);
        self.known[at] = found.filter(is_young);
    }

    /// The answer, if all is known.
    pub(super) fn whole(&self) -> Option<LlmResponse> {
        let ages = self.known.iter().map(|it| Some(it.as_ref()?.age));
        let age = ages.collect::<Option<Vec<_>>>()?.into_iter().max()?;
        let usage = to_raw_value(&serde_json::json!({"prompt_tokens": 0, "total_tokens": 0}));
        let members = Members::from([
            (
                Cow::Borrowed("object"),
                Cow::Owned(to_raw_value("list").ok()?),
            ),
            (Cow::Borrowed("usage"), Cow::Owned(usage.ok()?)),
        ]);
        let body = self.join(members, &[])?;
        Some(Entry::whole(body).replay(self.names.first()?, age))
    }

    /// The request for what is not known.
    ///
    /// # Errors
    ///
    /// If the body is not what it was taken for.
    pub(super) fn rest(&self, request: LlmRequest) -> Result<LlmRequest, Error> {
        if self.known.iter().all(Option::is_none) {
            return Ok(request);
        }
        let body: Map<String, Value> = serde_json::from_slice(request.body()).map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            Error::new(ErrorKind::BadRequest, message)
        })?;
        let Some(Value::Array(input)) = body.get("input") else {
            return Ok(request);
        };
        let missing = input.iter().zip(&self.known);
        let missing = missing.filter(|(_, known)| known.is_none());
        let missing = missing.map(|(text, _)| text.clone()).collect();
        let fields = Map::from_iter([("input".to_owned(), Value::Array(missing))]);
        request.with_overrides(&Overrides::new(fields, ReadOptions::new())?)
    }

    /// The answer to all, made of what is known and of the answer to the rest, of which what is new is
    /// kept. What is no such answer stays as it is.
    pub(super) fn complete<C: CacheStore>(
        &self,
        mut response: LlmResponse,
        request: &LlmRequest,
        store: &C,
    ) -> LlmResponse {
        let joined = response.bytes().and_then(|bytes| {
            let mut members: Members<'_> = serde_json::from_slice(bytes).ok()?;
            let data = members.remove("data")?;
            let data: Vec<Element<'_>> = serde_json::from_str(data.get()).ok()?;
            let missing = self.known.iter().filter(|known| known.is_none()).count();
            let mut new = vec![None; missing];
            for element in &data {
                *new.get_mut(element.index)? = Some(element.embedding);
            }
            let new = new.into_iter().collect::<Option<Vec<_>>>()?;
            if response.maker() == Maker::Provider {
                self.keep(&new, &members, request, store);
            }
            if missing == self.names.len() {
                return None;
            }
            self.join(members.clone(), &new)
        });
        if let Some(name) = self
            .names
            .first()
            .filter(|_| response.maker() == Maker::Provider)
        {
            response.headers_mut().insert(CACHE_KEY, header(name));
        }
        let Some(body) = joined else {
            return response;
        };
        let (usage, maker) = (response.usage().copied(), response.maker());
        let headers = response.headers().clone();
        LlmResponse::complete(body, usage)
            .with_headers(headers)
            .with_maker(maker)
    }

    /// Keeps what is new, unless another group answered, or other words.
    fn keep<C: CacheStore>(
        &self,
        new: &[&RawValue],
        members: &Members<'_>,
        request: &LlmRequest,
        store: &C,
    ) {
        let is_own =
            |ledger: &ziggurat_core::Ledger| ledger.fallbacks() == 0 && !ledger.is_altered();
        let Some(ttl) = self.ttl.filter(|_| request.ledger().is_none_or(is_own)) else {
            return;
        };
        let model = members.get("model").map_or("null", |model| model.get());
        let model: Cow<'_, str> = serde_json::from_str(model).unwrap_or_default();
        let missing = self
            .names
            .iter()
            .zip(&self.known)
            .filter(|(_, known)| known.is_none());
        for ((name, _), embedding) in missing.zip(new) {
            let model = model.clone();
            if let Ok(bytes) = serde_json::to_vec(&Numbers { model, embedding }) {
                store.put(*name, Arc::new(Entry::whole(bytes)), ttl);
            }
        }
    }

    fn join<'a>(&'a self, mut members: Members<'a>, new: &[&'a RawValue]) -> Option<Bytes> {
        let mut new = new.iter();
        let mut data = Vec::with_capacity(self.names.len());
        for (index, known) in self.known.iter().enumerate() {
            let embedding = match known {
                Some(found) => {
                    let bytes = found.entry.bytes()?;
                    let numbers: Numbers<'a> = serde_json::from_slice(bytes).ok()?;
                    if !members.contains_key("model") {
                        let model = Cow::Owned(to_raw_value(&numbers.model).ok()?);
                        members.insert(Cow::Borrowed("model"), model);
                    }
                    numbers.embedding
                }
                None => new.next()?,
            };
            data.push(Written {
                object: "embedding",
                index,
                embedding,
            });
        }
        members.insert(Cow::Borrowed("data"), Cow::Owned(to_raw_value(&data).ok()?));
        serde_json::to_vec(&members).ok().map(Bytes::from)
    }
}
