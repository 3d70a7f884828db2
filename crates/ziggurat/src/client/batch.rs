//! Many requests over one group, one request over many groups.

use std::{error::Error as _, fmt, num::NonZeroUsize};

use futures_core::Stream;
use futures_util::{
    StreamExt as _, TryFutureExt as _,
    future::join_all,
    stream::{self, FuturesUnordered},
};
use serde::Serialize;
use tower_service::Service;
use ziggurat_core::{Error, ErrorKind, Ledger, LlmRequest, LlmResponse, Operation};

use super::{Answer, ChatStream, Client, Reply, to_request, to_streaming};

/// Why no group answered. The source of an error of [`Client::fastest`].
#[derive(Debug)]
pub struct NoneAnswered {
    failures: Vec<(String, Error)>,
}

impl NoneAnswered {
    /// The one that an error comes from.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// Why each group failed, in the order they were asked for.
    #[must_use]
    pub fn failures(&self) -> &[(String, Error)] {
        &self.failures
    }
}

impl fmt::Display for NoneAnswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no group answered")?;
        for (i, (group, error)) in self.failures.iter().enumerate() {
            let before = if i == 0 { ": " } else { "; " };
            write!(f, "{before}{group}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoneAnswered {}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Sends many requests, so many at a time, and gives their answers in the order of the requests.
    /// A failure hurts no other. Nothing is sent before the stream is read, and dropping it hangs
    /// up.
    ///
    /// What is at a time bounds also how many answers wait for an earlier one.
    pub fn many<T, I>(
        &self,
        requests: I,
        at_a_time: NonZeroUsize,
    ) -> impl Stream<Item = Result<Answer<T>, Error>> + use<T, I, S>
    where
        T: Reply,
        I: IntoIterator,
        I::Item: Serialize,
    {
        let client = self.clone();
        let answers = stream::iter(requests).map(move |request| {
            let client = client.clone();
            let request = to_request(T::OPERATION, &request);
            async move { client.send_as(request?).await }
        });
        answers.buffered(at_a_time.get())
    }

    /// Sends a request to each of the groups at once, whatever model it names, and gives each one's
    /// answer or failure, in the order of the groups. They collect to a map, too.
    pub async fn each_group<T: Reply, G: AsRef<str>>(
        &self,
        request: &(impl Serialize + ?Sized),
        groups: impl IntoIterator<Item = G>,
    ) -> Vec<(G, Result<Answer<T>, Error>)> {
        let request = &to_request(T::OPERATION, request);
        let answers = groups.into_iter().map(async |group| {
            let answer = match request {
                Ok(request) => self.send_as(for_group(request, group.as_ref())).await,
                Err(error) => Err(error.duplicate()),
            };
            (group, answer)
        });
        join_all(answers).await
    }

    /// Sends a request to each of the groups at once, whatever model it names, and gives the first
    /// answer; the others are hung up on.
    ///
    /// # Errors
    ///
    /// If none answers, the failure of the first group, with those of all of them as its source:
    /// [`NoneAnswered`]. [`ErrorKind::BadRequest`] if the request cannot be sent or there is no group.
    pub async fn fastest<T: Reply>(
        &self,
        request: &(impl Serialize + ?Sized),
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Answer<T>, Error> {
        let request = to_request(T::OPERATION, request)?;
        let asked =
            for_groups(&request, groups).map(|(group, request)| (group, self.send_as(request)));
        first(asked).await
    }

    /// The same for a chat that comes piece by piece: the first to begin wins.
    ///
    /// # Errors
    ///
    /// As [`fastest`](Self::fastest).
    pub async fn fastest_stream(
        &self,
        request: &(impl Serialize + ?Sized),
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<ChatStream, Error> {
        let request = to_streaming(Operation::ChatCompletions, request)?;
        let asked = for_groups(&request, groups)
            .map(|(group, request)| (group, self.send_for_chat(request)));
        first(asked).await
    }
}

fn for_group(request: &LlmRequest, group: &str) -> LlmRequest {
    // Each has its own time, attempts and trail.
    request.clone().with_group(group).with_ledger(Ledger::new())
}

fn for_groups(
    request: &LlmRequest,
    groups: impl IntoIterator<Item = impl AsRef<str>>,
) -> impl Iterator<Item = (String, LlmRequest)> {
    groups.into_iter().map(|group| {
        let group = group.as_ref();
        (group.to_owned(), for_group(request, group))
    })
}

/// The first success. The others are dropped with this future.
async fn first<A>(
    asked: impl Iterator<Item = (String, impl Future<Output = Result<A, Error>>)>,
) -> Result<A, Error> {
    let asked = asked
        .enumerate()
        .map(|(place, (group, answer))| answer.map_err(move |error| (place, group, error)));
    let mut asked: FuturesUnordered<_> = asked.collect();
    let mut failures = Vec::new();
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(answer) => return Ok(answer),
            Err(failure) => failures.push(failure),
        }
    }
    failures.sort_by_key(|(place, ..)| *place);
    let failures = failures.into_iter().map(|(_, group, error)| (group, error));
    let failures: Vec<_> = failures.collect();
    Err(match failures.first() {
        Some((_, error)) => error.duplicate().with_source(NoneAnswered { failures }),
        None => Error::new(ErrorKind::BadRequest, "there is no group to ask"),
    })
}
