//! The future of [`LoadBalance`](crate::LoadBalance).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::util::Oneshot;
use tower_service::Service;
use ziggurat_core::{
    Attach, Error, HasLedger, LARGE, ModelGroup, Param, Reason, Routed, Scope, off_reactor,
};

use crate::{Affinity, Filter, InFlight, LoadBalanceLayer, Strategy, search::Search};

/// The search of a request of which very much is read, on its way.
type BoxSearch = Pin<Box<dyn Future<Output = Result<Search, Error>> + Send>>;

pin_project! {
    /// Asks one deployment after another until one takes the request.
    ///
    /// Dropped at any time, it leaves nothing behind: what is in flight is given back, and the
    /// attempt that runs is noted as abandoned.
    pub struct ResponseFuture<S, P, F, A, R>
    where
        S: Service<Routed<R>>,
    {
        inner: S,
        balancer: Arc<LoadBalanceLayer<P, F, A>>,
        request: R,
        beginning: Option<BoxSearch>,
        search: Option<Search>,
        async_refusals: u32,
        #[pin]
        state: State<S, Routed<R>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Choose,
        Ask {
            #[pin]
            answer: Oneshot<S, R>,
            member: usize,
            in_flight: Option<InFlight>,
            has_waited: bool,
        },
    }
}

impl<S, P, F, A, R> ResponseFuture<S, P, F, A, R>
where
    S: Service<Routed<R>>,
{
    pub(crate) fn new(inner: S, balancer: Arc<LoadBalanceLayer<P, F, A>>, request: R) -> Self {
        Self {
            inner,
            balancer,
            request,
            beginning: None,
            search: None,
            async_refusals: 0,
            state: State::Choose,
        }
    }
}

impl<S, P, F, A, R> Future for ResponseFuture<S, P, F, A, R>
where
    R: Clone + HasLedger + Param<ModelGroup> + Send + 'static,
    P: Strategy<R>,
    F: Filter<R>,
    A: Affinity<R>,
    S: Service<Routed<R>> + Clone,
    S::Error: Into<Error>,
    S::Response: Attach<InFlight>,
{
    type Output = Result<<S::Response as Attach<InFlight>>::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let limits = this.balancer.limits();
        let search = match this.search {
            Some(search) => search,
            none => {
                let begun = poll_begin(this.beginning, this.balancer, this.request, cx);
                none.insert(ready!(begun)?)
            }
        };
        loop {
            match this.state.as_mut().project() {
                StateProj::Choose => {
                    let now = Instant::now();
                    let strategy = this.balancer.strategy();
                    let Some(member) = search.next(this.request, strategy, now) else {
                        return Poll::Ready(Err(search.give_up(now)));
                    };
                    let target = search.target(member, this.balancer.concretes());
                    let track = strategy.track(search.group());
                    let ledger = this.request.ledger();
                    let in_flight = search.enter(member, &target, ledger, track, now)?;
                    let routed = target.route(this.request.clone());
                    this.state.set(State::Ask {
                        answer: Oneshot::new(this.inner.clone(), routed),
                        member,
                        in_flight: Some(in_flight),
                        has_waited: false,
                    });
                }
                StateProj::Ask {
                    answer,
                    member,
                    in_flight,
                    has_waited,
                } => {
                    let Poll::Ready(answer) = answer.poll(cx) else {
                        *has_waited = true;
                        return Poll::Pending;
                    };
                    let mut in_flight = in_flight
                        .take()
                        .expect("an answer is polled to its end once");
                    let error = match answer {
                        Ok(response) => {
                            in_flight.answering();
                            return Poll::Ready(Ok(response.attach(in_flight)));
                        }
                        Err(error) => error.into(),
                    };
                    let Some(refusal) = error.rejection() else {
                        let error = search.blamed(*member, error);
                        in_flight.fail(&error);
                        let id = search.member(*member).id().clone();
                        return Poll::Ready(Err(error.with_deployment(id)));
                    };
                    let now = Instant::now();
                    in_flight.refund(now);
                    if refusal.scope() == Scope::Request {
                        return Poll::Ready(Err(error));
                    }
                    let has_no_place = refusal.reason() == Reason::Unsupported;
                    search.refused(*member, error, now, limits.hint_cap);
                    if *has_waited {
                        // Who has no place for it is no reason not to ask those who have.
                        *this.async_refusals += u32::from(!has_no_place);
                        if *this.async_refusals >= limits.async_probes {
                            return Poll::Ready(Err(search.give_up(now)));
                        }
                        search.leave_tried(this.request.ledger());
                    }
                    this.state.set(State::Choose);
                }
            }
        }
    }
}

/// Begins the search: at once, unless very much is read for it.
fn poll_begin<P, F, A, R>(
    beginning: &mut Option<BoxSearch>,
    balancer: &Arc<LoadBalanceLayer<P, F, A>>,
    request: &R,
    cx: &mut Context<'_>,
) -> Poll<Result<Search, Error>>
where
    R: Clone + HasLedger + Param<ModelGroup> + Send + 'static,
    P: Strategy<R>,
    F: Filter<R>,
    A: Affinity<R>,
{
    let beginning = match beginning {
        Some(beginning) => beginning,
        none => {
            let bytes = balancer.ties_by().bytes_read(request);
            if bytes < LARGE {
                return Poll::Ready(balancer.search(request));
            }
            let (balancer, read) = (Arc::clone(balancer), request.clone());
            let searching = off_reactor(bytes, move || balancer.search(&read));
            none.insert(Box::pin(searching))
        }
    };
    let begun = ready!(beginning.as_mut().poll(cx));
    Poll::Ready(begun.map(|mut search| {
        // Another branch of the request may have tried some meanwhile.
        search.leave_tried(request.ledger());
        search
    }))
}

impl<S, P, F, A, R> fmt::Debug for ResponseFuture<S, P, F, A, R>
where
    S: Service<Routed<R>>,
    R: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("request", &self.request)
            .field("search", &self.search)
            .finish_non_exhaustive()
    }
}
