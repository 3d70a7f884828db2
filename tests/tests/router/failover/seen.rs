//! What a client and the providers have seen, and whether it is true.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;
use ziggurat_tests::Reply;

use crate::failover::{
    clients::Client,
    run::{A, B, Provider},
    shapes::Shape,
};

/// All that happened in one case.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) shape: Arc<Shape>,
    /// One for each request.
    pub(crate) answers: Vec<Answered>,
    /// When requests reached the provider of `primary`.
    pub(crate) a: Vec<Duration>,
    /// When requests reached the provider of `backup`.
    pub(crate) b: Vec<Duration>,
    /// The tokens that were counted for each of these groups.
    pub(crate) tokens: [u64; 2],
}

/// What came back of one request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    shape: Arc<Shape>,
    reply: Reply,
}

impl Seen {
    /// The answer, where one was asked for.
    pub(crate) fn answer(&self) -> &Answered {
        let [only] = &self.answers[..] else {
            panic!("{} answers", self.answers.len());
        };
        only
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.shape.is_streamed
    }

    /// Holds that so many requests reached each provider.
    #[track_caller]
    pub(crate) fn asked(&self, a: usize, b: usize) {
        assert_eq!((self.a.len(), self.b.len()), (a, b));
    }

    /// Holds that the client had what it got in that time.
    #[track_caller]
    pub(crate) fn within(&self, seconds: u64) {
        let took = self.answer().took;
        assert!(took <= Duration::from_secs(seconds), "{took:?}");
    }

    /// Holds that the whole answer is that of a provider, after attempts that failed in that way,
    /// and that nothing was counted for those.
    #[track_caller]
    pub(crate) fn is_of(&self, provider: &Provider, failed: &[&str]) {
        let answer = self.answer();
        answer.is_of(provider);
        answer.says_trail(failed, Some(provider));
        let counted = answer.tokens().into_iter().flatten().sum();
        let counted = match provider.name {
            "a" => [counted, 0],
            _ => [0, counted],
        };
        assert_eq!(self.tokens, counted, "failed attempts cost nothing");
    }
}

impl Answered {
    pub(crate) fn new(at: Duration, took: Duration, shape: Arc<Shape>, reply: Reply) -> Self {
        Self {
            at,
            took,
            shape,
            reply,
        }
    }

    /// The answer, or the events of it that are JSON.
    fn parts(&self) -> Vec<Value> {
        if !self.shape.is_streamed {
            return vec![self.reply.json()];
        }
        let events = self.reply.events().into_iter();
        events
            .filter(|event| *event != "[DONE]")
            .map(|event| serde_json::from_str(event).expect("nothing broken is passed on"))
            .collect()
    }

    /// What it says.
    fn said(&self) -> String {
        self.parts().iter().map(|it| self.shape.said(it)).collect()
    }

    /// The tokens of input and output that it tells last.
    fn tokens(&self) -> [Option<u64>; 2] {
        let told = self.parts();
        let told = told.iter().map(|part| self.shape.client.tokens(part));
        told.fold([None; 2], |[input, output], [i, o]| {
            [i.or(input), o.or(output)]
        })
    }

    /// Holds that this is all that a provider has to say, as one answer with one end.
    #[track_caller]
    fn is_whole(&self, provider: &Provider) {
        let reply = &self.reply;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(
            self.said(),
            self.shape.healthy(provider.name),
            "{}",
            reply.text
        );
        let client = self.shape.client;
        let parts = self.parts();
        let models = parts
            .iter()
            .filter_map(|part| Client::at(client.models, part));
        // Azure begins with an event that is of nobody.
        let models: Vec<_> = models.filter(|model| **model != "").collect();
        assert!(!models.is_empty(), "{}", reply.text);
        for model in models {
            assert_eq!(*model, provider.model(), "{}", reply.text);
        }
        if !self.shape.is_streamed {
            return;
        }
        assert!(!reply.broken, "{}", reply.text);
        let ends = parts.iter().filter(|part| client.ends_in(part));
        assert_eq!(ends.count(), 1, "{}", reply.text);
        assert!(
            parts.iter().all(|part| part["error"].is_null()),
            "{}",
            reply.text
        );
        let is_done = reply.events().last() == Some(&"[DONE]");
        assert_eq!(is_done, client.has_done, "{}", reply.text);
        if client.has_done {
            let roles = parts
                .iter()
                .filter_map(|it| it.pointer("/choices/0/delta/role"));
            assert!(roles.count() <= 1, "{}", reply.text);
            let ids: BTreeSet<_> = parts.iter().filter_map(|it| it["id"].as_str()).collect();
            assert!(
                ids.iter().filter(|id| !id.is_empty()).count() == 1,
                "{}",
                reply.text
            );
        }
    }

    /// Holds that a provider has answered all of this, and that the answer says so.
    #[track_caller]
    pub(crate) fn is_of(&self, provider: &Provider) {
        self.is_whole(provider);
        let [input, output] = self.tokens();
        assert_eq!(input, Some(provider.prompt), "{}", self.reply.text);
        assert!(output.is_none_or(|tokens| tokens == provider.completion));
        assert_eq!(self.reply.header("x-litellm-model-id"), provider.name);
        assert_eq!(
            self.reply.header("x-litellm-attempted-fallbacks"),
            provider.fallbacks()
        );
    }

    /// Holds that somebody has answered all of this.
    #[track_caller]
    pub(crate) fn is_of_somebody(&self) -> &'static Provider {
        let provider = match self.reply.header("x-litellm-model-id") {
            "a" => &A,
            _ => &B,
        };
        self.is_of(provider);
        provider
    }

    /// Holds that `begun` has begun this answer, and that whoever went on with it is heard as one with
    /// it: the usage is that of both.
    #[track_caller]
    pub(crate) fn is_gone_on_with(&self, begun: &Provider) {
        self.is_whole(begun);
        let [input, output] = self.tokens();
        assert!(input > Some(B.prompt), "{input:?}");
        assert!(output > Some(B.completion), "{output:?}");
        // The headers left with the first token.
        self.says_trail(&[], Some(begun));
    }

    /// Holds that the client is told what was tried: the failures, then who answers.
    #[track_caller]
    fn says_trail(&self, failed: &[&str], provider: Option<&Provider>) {
        let trail = self.reply.header("x-ziggurat-trail");
        let told = trail.split(", ").filter_map(|entry| entry.split_once('/'));
        let told: Vec<_> = told.map(|(entry, _)| entry).collect();
        let answered = provider.map(|it| format!("{}=ok", it.name));
        let tried: Vec<_> = failed.iter().copied().chain(answered.as_deref()).collect();
        assert_eq!(told, tried);
        let again = tried.windows(2).filter(|two| two[0][..1] == two[1][..1]);
        let retries = self.reply.header("x-litellm-attempted-retries");
        assert_eq!(retries, again.count().to_string());
    }

    /// Holds that nobody answers: the client gets the error of the last of these attempts, and nothing before it.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, failed: &[&str]) -> Value {
        assert_eq!(self.reply.status, status, "{}", self.reply.text);
        self.says_trail(failed, None);
        let error = self.reply.json()["error"].clone();
        assert!(error.is_object(), "{}", self.reply.text);
        error
    }

    /// Holds that the answer is the reason why there is none.
    #[track_caller]
    pub(crate) fn declines(&self, reason: &str) {
        let reply = &self.reply;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.says_trail(&[], Some(&A));
        assert!(reply.text.contains(reason), "{}", reply.text);
        let (places, words) = self.shape.client.declined;
        let parts = self.parts();
        let mut told = parts.iter().filter_map(|part| Client::at(places, part));
        assert!(
            told.next_back()
                .and_then(Value::as_str)
                .is_some_and(|told| words.contains(&told)),
            "{}",
            reply.text
        );
    }

    /// Holds that a stream ends with an error that cannot be taken for its end, after some of what a
    /// provider has to say.
    #[track_caller]
    pub(crate) fn breaks_off(&self, begun: &Provider) -> Value {
        assert_eq!(self.reply.status, 200);
        assert!(!self.reply.broken, "{}", self.reply.text);
        let (said, whole) = (self.said(), self.shape.healthy(begun.name));
        assert!(
            whole.starts_with(&said) && said.len() < whole.len(),
            "{said}"
        );
        assert!(!self.reply.events().contains(&"[DONE]"));
        let parts = self.parts();
        let ends = parts.iter().filter(|part| self.shape.client.ends_in(part));
        assert_eq!(ends.count(), 0, "{}", self.reply.text);
        let error = parts.last().expect("has an end")["error"].clone();
        assert!(error.is_object(), "{}", self.reply.text);
        error
    }
}
