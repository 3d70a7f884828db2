//! What stands beneath in these tests, and a transcript that keeps words.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::stream;
use parking_lot::Mutex;
use tower::Service;
use ziggurat_core::{
    Attach, Capability, Deployment, Error, ErrorKind, GoOn, HasLedger, Item, LlmRequest,
    LlmResponse, Reason, Rejection, Scope, Transcript, Transcripts, Usage,
};

use Part::{Fails, Refuses, Says, Whole};

/// What is answered to one call.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// These words, and then the end or a failure.
    Says(&'static [&'static str], Option<ErrorKind>),
    /// A failure before the first word.
    Fails(ErrorKind),
    /// A refusal.
    Refuses(Scope),
    /// Words that are no stream.
    Whole,
}

/// One call: the group, what was said before, and how the group is to go on with it.
pub(crate) type Call = (String, String, Option<GoOn>);

/// What stands beneath: answers in the order of a script, each an attempt if it is no refusal.
#[derive(Clone, Default)]
pub(crate) struct Beneath(Arc<Mutex<(VecDeque<Part>, Vec<Call>)>>);

impl Beneath {
    pub(crate) fn new(script: impl IntoIterator<Item = Part>) -> Self {
        let beneath = Self::default();
        beneath.0.lock().0.extend(script);
        beneath
    }

    /// The calls so far, as `group`, or `group<said` and how.
    pub(crate) fn calls(&self) -> Vec<String> {
        let show = |(group, said, how): &Call| match how {
            None => group.clone(),
            Some(GoOn::Prefill) => format!("{group} prefill {said}"),
            Some(GoOn::Instruction) => format!("{group} instruction {said}"),
        };
        self.0.lock().1.iter().map(show).collect()
    }
}

pub(crate) fn word(word: &str) -> Item {
    Item {
        bytes: word.to_owned().into(),
        events: 1,
        usage: (word == "usage").then(|| Usage::new(1, 1)),
        ..Item::default()
    }
}

impl Service<LlmRequest> for Beneath {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let how = [
            (Capability::AssistantPrefill, GoOn::Prefill),
            (Capability::Continuation, GoOn::Instruction),
        ];
        let how = how
            .iter()
            .find(|(needs, _)| request.needs().contains(*needs));
        let group = request.group().to_string();
        let said = request.session().unwrap_or_default().to_owned();
        let mut shared = self.0.lock();
        shared
            .1
            .push((group.clone(), said, how.map(|(_, how)| *how)));
        let part = shared.0.pop_front().expect("is in the script");
        Box::pin(async move {
            if let Refuses(scope) = part {
                let why = Rejection::new(Reason::Filtered, scope);
                return Err(Error::rejected(why, "refused"));
            }
            let deployment = Arc::new(Deployment::new(&*group, &*group, "m"));
            let attempt = request.ledger().expect("has one").attempt(&deployment)?;
            let response = match part {
                Says(words, then) => {
                    let end = then.map(|kind| Err(Error::new(kind, format!("{group} broke"))));
                    let words: Vec<_> = words.iter().map(|it| Ok(word(it))).chain(end).collect();
                    LlmResponse::stream(Box::pin(stream::iter(words)))
                }
                Whole => LlmResponse::complete("whole", None),
                Fails(kind) => {
                    let error = Error::new(kind, format!("{group} failed"));
                    attempt.fail(&error);
                    return Err(error);
                }
                Refuses(_) => unreachable!("has returned"),
            };
            attempt.answering();
            Ok(response.attach(attempt))
        })
    }
}

/// Remembers words, and puts them where the service beneath looks for them.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) prefill: bool,
    pub(crate) instruction: bool,
    pub(crate) listens: bool,
}

pub(crate) const WORDS: Words = Words {
    prefill: true,
    instruction: true,
    listens: true,
};

pub(crate) struct Said {
    of: Words,
    words: String,
    drops_next: bool,
}

impl Transcripts<LlmRequest> for Words {
    type Transcript = Said;

    fn listen(&self, _: &LlmRequest) -> Option<Said> {
        self.listens.then(|| Said {
            of: *self,
            words: String::new(),
            drops_next: false,
        })
    }
}

impl Transcript<LlmRequest> for Said {
    /// Keeps the first word of each answer but the first from the client: its role.
    fn pass(&mut self, mut item: Item) -> Item {
        if std::mem::take(&mut self.drops_next) {
            item.bytes.clear();
            return item;
        }
        self.words += &String::from_utf8_lossy(&item.bytes);
        item
    }

    fn rest(&self, request: &LlmRequest, how: GoOn) -> Option<LlmRequest> {
        let (can, needs) = match how {
            GoOn::Prefill => (self.of.prefill, Capability::AssistantPrefill),
            GoOn::Instruction => (self.of.instruction, Capability::Continuation),
        };
        let request = request.clone().with_session(&*self.words);
        can.then(|| request.requiring(needs))
    }

    fn goes_on(&mut self) {
        self.drops_next = true;
    }
}
