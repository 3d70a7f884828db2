//! All providers, as the stack calls them.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream};
use tokio::time::{Sleep, sleep, sleep_until};
use tower::Service;
use ziggurat::{DeploymentId, Error, ErrorKind, Item, LlmRequest, LlmResponse, Routed, Usage};

use crate::{
    provider::{Answer, Fate, Provider},
    server::{Place, Turn},
    workload::Demand,
};

/// A stream has no more items than this.
const MAX_ITEMS: u64 = 64;

/// Stands for all providers; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Leaf(Arc<HashMap<DeploymentId, Arc<Provider>>>);

impl Leaf {
    pub(crate) fn new(providers: &[Arc<Provider>]) -> Self {
        let entry =
            |provider: &Arc<Provider>| (provider.deployment().id().clone(), Arc::clone(provider));
        Self(Arc::new(providers.iter().map(entry).collect()))
    }
}

impl Service<Routed<LlmRequest>> for Leaf {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        let Some(provider) = self.0.get(routed.deployment().id()) else {
            let error = Error::new(ErrorKind::NotFound, "no such deployment is simulated");
            return Box::pin(std::future::ready(Err(error)));
        };
        let request = routed.request();
        let demand = request.extensions().get().copied().unwrap_or(Demand {
            input: request.estimated_input_tokens(),
            output: request.max_output_tokens().unwrap_or(100),
            session: None,
        });
        Box::pin(serve(Arc::clone(provider), demand, request.is_stream()))
    }
}

async fn serve(
    provider: Arc<Provider>,
    demand: Demand,
    is_stream: bool,
) -> Result<LlmResponse, Error> {
    let mut call = Call::begin(provider);
    match call.provider.decide(demand) {
        Fate::Fails { after, error } => {
            sleep(Duration::from_secs_f64(after)).await;
            Err(error)
        }
        Fate::Hangs => std::future::pending().await,
        Fate::Answers(answer) if is_stream => {
            call.begin_answer(demand, answer).await;
            let limits = call.provider.limits();
            let begun = Streaming::new(call, demand, answer);
            let items = stream::unfold(begun, Streaming::next);
            Ok(LlmResponse::stream(Box::pin(items)).with_provider_limits(limits))
        }
        Fate::Answers(answer) => {
            call.begin_answer(demand, answer).await;
            let tokens = if answer.breaks {
                demand.output / 2
            } else {
                demand.output
            };
            call.generate(tokens, answer).await;
            if answer.breaks {
                return Err(broken());
            }
            call.end(demand);
            let answer = LlmResponse::complete(Bytes::new(), Some(call.usage));
            Ok(answer.with_provider_limits(call.provider.limits()))
        }
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::StreamBroken, "the simulated answer broke off")
}

/// A call that runs; dropped, it makes room and is billed for what it got.
struct Call {
    provider: Arc<Provider>,
    job: Option<u64>,
    place: Option<Place>,
    usage: Usage,
}

impl Call {
    fn begin(provider: Arc<Provider>) -> Self {
        provider.with(|state, now| state.tally.enter(now));
        Self {
            provider,
            job: None,
            place: None,
            usage: Usage::default(),
        }
    }

    /// Works on the prompt, up to the first token.
    async fn begin_answer(&mut self, demand: Demand, answer: Answer) {
        self.job = Some(self.provider.with(|state, now| state.server.enter(now)));
        self.work(answer.first).await;
        self.usage.input = demand.input;
        self.usage.cached_input = answer.cached;
        self.provider.remember(demand.session, demand.input);
    }

    async fn generate(&mut self, tokens: u64, answer: Answer) {
        self.work(tokens as f64 * answer.per_token).await;
        self.usage.output += tokens;
    }

    fn end(&self, demand: Demand) {
        let said = demand.input + demand.output;
        self.provider.remember(demand.session, said);
    }

    /// Waits until so much work is done.
    async fn work(&mut self, seconds: f64) {
        let Some(job) = self.job.filter(|_| seconds > 0.0) else {
            return;
        };
        let place = self
            .provider
            .with(|state, now| state.server.ask(job, seconds, now));
        self.place = Some(place);
        let provider = &self.provider;
        let mut alarm = pin!(None::<Sleep>);
        poll_fn(|cx| {
            loop {
                let turn = provider.with(|state, now| state.server.poll(place, cx.waker(), now));
                let at = match turn {
                    Turn::Done => return Poll::Ready(()),
                    Turn::Later => return Poll::Pending,
                    Turn::At(at) => provider.instant(at),
                };
                match alarm.as_mut().as_pin_mut() {
                    Some(mut alarm) => alarm.as_mut().reset(at),
                    None => alarm.set(Some(sleep_until(at))),
                }
                let timer = alarm.as_mut().as_pin_mut().expect("it was just set");
                std::task::ready!(timer.poll(cx));
            }
        })
        .await;
        self.place = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (job, place) = (self.job, self.place);
        self.provider.with(|state, now| {
            state.tally.leave(now);
            if job.is_some() {
                state.server.leave(place, now);
            }
        });
        if self.usage.input > 0 {
            self.provider.bill(&self.usage);
        }
    }
}

/// An answer that streams: its first token is there.
struct Streaming {
    call: Option<Call>,
    demand: Demand,
    answer: Answer,
    items: u64,
    sent: u64,
}

impl Streaming {
    fn new(call: Call, demand: Demand, answer: Answer) -> Self {
        // About one item a second, since clients and clocks look at them, and a few at least.
        let seconds = demand.output as f64 * answer.per_token;
        let items = (seconds as u64).clamp(4, MAX_ITEMS).min(demand.output);
        Self {
            call: Some(call),
            demand,
            answer,
            items,
            sent: 0,
        }
    }

    async fn next(mut self) -> Option<(Result<Item, Error>, Self)> {
        let mut call = self.call.take()?;
        if self.sent == self.items {
            return None;
        }
        if self.answer.breaks && self.sent == self.items.div_ceil(2) {
            return Some((Err(broken()), self));
        }
        // The first token is there; the rest is spread evenly over the items.
        let up_to = |item: u64| (self.demand.output - 1) * item / (self.items - 1).max(1);
        let (tokens, events) = match self.sent {
            0 => (0, 1),
            sent => {
                let tokens = up_to(sent) - up_to(sent - 1);
                (tokens, tokens)
            }
        };
        call.generate(tokens, self.answer).await;
        if self.sent == 0 {
            call.usage.output = 1;
        }
        self.sent += 1;
        let is_last = self.sent == self.items;
        if is_last {
            call.end(self.demand);
        }
        let item = Item {
            bytes: Bytes::from_static(b"data: {}\n\n"),
            events: events as u32,
            usage: is_last.then_some(call.usage),
            ..Item::default()
        };
        self.call = Some(call);
        Some((Ok(item), self))
    }
}
