//! A fresh layer over a probe, as each check uses it.

use std::{fmt, future::poll_fn, time::Duration};

use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, LlmResponse};

use super::{Contract, Foreign, Law, Lawful, Probe, Watched};

/// How long a check waits, of virtual time, before it calls something stuck.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) struct Rig<'a, L, R> {
    contract: &'a Contract<L, R>,
    law: Law,
    layer: L,
    pub(super) probe: Probe,
}

impl<'a, L, R> Rig<'a, L, R>
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    /// A fresh layer over a probe.
    pub(super) fn new(contract: &'a Contract<L, R>, law: Law, probe: Probe) -> Self {
        Self::with_layer(contract, law, (contract.layer)(), probe)
    }

    pub(super) fn with_layer(
        contract: &'a Contract<L, R>,
        law: Law,
        layer: L,
        probe: Probe,
    ) -> Self {
        Self {
            contract,
            law,
            layer,
            probe,
        }
    }

    pub(super) fn service(&self) -> <L as Layer<Probe>>::Service {
        self.layer.layer(self.probe.clone())
    }

    /// The layer over layers that are not ours, with so much room, and those layers themselves.
    pub(super) fn over_foreign(
        &self,
        room: usize,
        timeout: Duration,
    ) -> (<L as Layer<Foreign>>::Service, Foreign) {
        let timeout = tower::timeout::Timeout::new(self.probe.clone(), timeout);
        let foreign = tower::limit::ConcurrencyLimit::new(timeout, room);
        (self.layer.layer(foreign.clone()), foreign)
    }

    pub(super) fn request(&self) -> R {
        (self.contract.request)()
    }

    #[track_caller]
    pub(super) fn broken(&self, seen: impl fmt::Display) -> ! {
        self.law.broken(seen)
    }

    /// Waits until a service is ready.
    pub(super) async fn ready<S: Service<R>>(&self, service: &mut S) -> Result<(), S::Error> {
        let ready = Watched::new(poll_fn(|cx| service.poll_ready(cx)))
            .within(HOUR)
            .await;
        ready.unwrap_or_else(|stuck| self.broken(format_args!("`poll_ready` hangs: {stuck}")))
    }

    /// Readies a service and calls it; gives the future, not polled.
    pub(super) async fn call<S>(&self, service: &mut S) -> Watched<S::Future>
    where
        S: Service<R, Error = Error>,
    {
        if let Err(error) = self.ready(service).await {
            self.broken(format_args!("not ready over a ready service: {error:?}"));
        }
        Watched::new(service.call(self.request()))
    }

    /// Drives a future to its end.
    pub(super) async fn finish<F: Future>(&self, mut future: Watched<F>) -> F::Output {
        match future.within(HOUR).await {
            Ok(output) => output,
            Err(stuck) => self.broken(format_args!("the future hangs: {stuck}")),
        }
    }

    /// One request from its beginning to its response or error, whoever gives it.
    pub(super) async fn ask<S>(&self, mut service: S) -> Result<LlmResponse, Error>
    where
        S: Service<R, Response = LlmResponse, Error = Error>,
    {
        self.ready(&mut service).await?;
        let future = Watched::new(service.call(self.request()));
        self.finish(future).await
    }

    /// One request that must pass.
    pub(super) async fn pass<S>(&self, service: S, when: impl fmt::Display) -> LlmResponse
    where
        S: Service<R, Response = LlmResponse, Error = Error>,
    {
        match self.ask(service).await {
            Ok(response) => response,
            Err(error) => self.broken(format_args!("{when}, a request fails: {error:?}")),
        }
    }

    /// Nothing is kept, by anybody.
    pub(super) fn assert_at_rest(&self, when: impl fmt::Display) {
        let live = self.probe.live();
        if live > 0 {
            self.broken(format_args!(
                "{when}, {live} futures or streams of the inner service are still alive"
            ));
        }
        if self
            .contract
            .idle
            .as_ref()
            .is_some_and(|idle| !idle(&self.layer))
        {
            self.broken(format_args!("{when}, the layer is not idle"));
        }
        self.assert_in_flight(0, when);
    }

    /// The layer counts that many requests, if it counts.
    pub(super) fn assert_in_flight(&self, expected: usize, when: impl fmt::Display) {
        if let Some(in_flight) = &self.contract.in_flight {
            let seen = in_flight(&self.layer);
            if seen != expected {
                self.broken(format_args!(
                    "{when}, the layer has {seen} requests in flight instead of {expected}"
                ));
            }
        }
    }
}
