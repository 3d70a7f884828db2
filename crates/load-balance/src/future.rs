//! The future of [`LoadBalance`](crate::LoadBalance).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::util::Oneshot;
use tower_service::Service;
use ziggurat_core::{Attach, Error, HasLedger, ModelGroup, Param, Reason, Routed, Scope};

use crate::{Affinity, Filter, InFlight, LoadBalanceLayer, Strategy, search::Search};

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
            search: None,
            async_refusals: 0,
            state: State::Choose,
        }
    }
}

impl<S, P, F, A, R> Future for ResponseFuture<S, P, F, A, R>
where
    R: Clone + HasLedger + Param<ModelGroup>,
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
            none => none.insert(this.balancer.search(this.request)?),
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
