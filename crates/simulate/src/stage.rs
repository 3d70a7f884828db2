//! One run of a scenario: the stack, its providers, its clients.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use tower::ServiceExt as _;
use ziggurat::{Error, HasLedger as _, LlmRequest, Router, config::Plan};

use crate::{
    Scenario, SimulationError, StrategyReport,
    body::Bodies,
    leaf::Leaf,
    numbers::LONGEST,
    provider::Provider,
    record::{Ending, Records, Sent},
    report,
    spec::{Arrival, MAX_REQUESTS},
    trace::Trace,
    workload::{Arrivals, Ask, Mix, Visit},
};

/// How many clients of an open loop may be there at once, if nobody says otherwise.
const MAX_IN_FLIGHT: u32 = 100_000;

/// How long nothing may end before the requests that are left are given up, in simulated time.
const PATIENCE: Duration = Duration::from_secs(7_200);

type Clients = JoinSet<()>;

/// One simulation: the stack, its providers, and what became of the requests.
pub(crate) struct Run {
    router: Router,
    providers: Vec<Arc<Provider>>,
    patterns: Vec<usize>,
    origin: Instant,
    /// When no more requests are sent, in seconds.
    end: f64,
    most: u64,
    max_in_flight: usize,
    records: Mutex<Records>,
    bodies: Mutex<Bodies>,
}

impl Run {
    pub(crate) fn new(scenario: &Scenario, plan: &Plan) -> Result<Self, SimulationError> {
        let origin = Instant::now();
        let mut seeds = Rng::with_seed(scenario.spec.seed ^ 0x5eed);
        let (mut providers, mut patterns) = (Vec::new(), Vec::new());
        for deployment in &plan.deployments {
            let (pattern, model) = scenario.model(deployment.id().as_str());
            let seed = seeds.u64(..);
            providers.push(Arc::new(Provider::new(
                deployment.clone(),
                model,
                origin,
                seed,
            )));
            patterns.push(pattern);
        }
        let ids = plan.deployments.iter().map(|deployment| deployment.id());
        let duration = scenario.spec.duration.filter(|_| scenario.trace.is_none());
        let router = Router::with_leaf(plan, Leaf::new(&providers));
        Ok(Self {
            router: router.map_err(SimulationError::Stack)?,
            records: Mutex::new(Records::new(ids, &scenario.spec.classes)),
            providers,
            patterns,
            origin,
            end: duration.map_or(2.0 * LONGEST, |duration| duration.0),
            most: scenario.expected().unwrap_or(MAX_REQUESTS),
            max_in_flight: scenario.spec.max_in_flight.unwrap_or(MAX_IN_FLIGHT) as usize,
            bodies: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    /// How many requests have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.records.lock().ended()
    }

    fn at(&self, seconds: f64) -> Instant {
        self.origin + Duration::from_secs_f64(seconds)
    }

    /// Whether more requests are to be sent.
    fn goes_on(&self) -> bool {
        self.records.lock().sent < self.most && self.now() < self.end
    }

    /// Counts a request that is about to be sent, and gives it its number; `None` if no more is.
    fn next(&self) -> Option<u64> {
        if !self.goes_on() {
            return None;
        }
        let mut records = self.records.lock();
        records.sent += 1;
        Some(records.sent)
    }

    /// Sends all requests, and waits until they have ended.
    pub(crate) async fn load(self: &Arc<Self>, scenario: &Scenario) -> Result<(), SimulationError> {
        let mut clients = JoinSet::new();
        if let Some(trace) = &scenario.trace {
            self.replay(trace, &mut clients).await?;
        } else if let Some(arrival) = &scenario.spec.arrival {
            let rng = Rng::with_seed(scenario.spec.seed);
            let mix = Mix::new(&scenario.spec.classes, &scenario.plan.callers);
            match arrival.clients {
                Some(count) => self.close(count, arrival, mix, rng, &mut clients),
                None => self.open(arrival, mix, rng, &mut clients).await?,
            }
        }
        self.finish(clients).await;
        Ok(())
    }

    async fn replay(
        self: &Arc<Self>,
        trace: &Trace,
        clients: &mut Clients,
    ) -> Result<(), SimulationError> {
        for entry in &trace.entries {
            sleep_until(self.at(entry.at)).await;
            let (run, ask) = (Arc::clone(self), Ask::from(entry));
            clients.spawn(async move { run.send(&ask).await });
            self.check(clients)?;
        }
        Ok(())
    }

    /// An open loop: visitors come whatever became of others.
    async fn open(
        self: &Arc<Self>,
        arrival: &Arrival,
        mut mix: Mix,
        mut rng: Rng,
        clients: &mut Clients,
    ) -> Result<(), SimulationError> {
        let mut arrivals = Arrivals::new(arrival);
        while let Some(at) = arrivals.next(&mut rng, self.end) {
            let visit = mix.visit(&mut rng);
            sleep_until(self.at(at)).await;
            if !self.goes_on() {
                break;
            }
            let run = Arc::clone(self);
            clients.spawn(async move { run.serve(visit).await });
            self.check(clients)?;
        }
        Ok(())
    }

    /// A closed loop: so many clients, each of which waits for its answer.
    fn close(
        self: &Arc<Self>,
        count: u32,
        arrival: &Arrival,
        mix: Mix,
        mut rng: Rng,
        clients: &mut Clients,
    ) {
        let mix = Arc::new(Mutex::new(mix));
        for _ in 0..count {
            let (run, mix, mut rng) = (Arc::clone(self), Arc::clone(&mix), rng.fork());
            let arrival = arrival.clone();
            clients.spawn(async move {
                while run.goes_on() {
                    sleep(Duration::from_secs_f64(arrival.think(&mut rng))).await;
                    let visit = mix.lock().visit(&mut rng);
                    run.serve(visit).await;
                }
            });
        }
    }

    /// Waits for all clients, as long as their requests still end.
    async fn finish(&self, mut clients: Clients) {
        loop {
            let before = self.ended();
            let all = async {
                while let Some(done) = clients.join_next().await {
                    rethrow(done);
                }
            };
            if timeout(PATIENCE, all).await.is_ok() {
                return;
            }
            let is_anything_sent = self.records.lock().sent > before;
            if is_anything_sent && self.ended() == before {
                return clients.shutdown().await;
            }
        }
    }

    /// Forgets the clients that have gone; fails if too many are there.
    fn check(&self, clients: &mut Clients) -> Result<(), SimulationError> {
        while let Some(done) = clients.try_join_next() {
            rethrow(done);
        }
        if clients.len() > self.max_in_flight {
            let (at, in_flight) = (self.now(), clients.len());
            return Err(SimulationError::Overrun { at, in_flight });
        }
        Ok(())
    }

    /// Sends the requests of a visitor, one after the other.
    async fn serve(&self, mut visit: Visit) {
        while let Some((pause, ask)) = visit.next()
            && self.goes_on()
        {
            if pause > 0.0 {
                sleep(Duration::from_secs_f64(pause)).await;
            }
            self.send(&ask).await;
        }
    }

    /// Sends a request, if more are to be sent, and reads its answer as long as its client stays.
    async fn send(&self, ask: &Ask) {
        let Some(number) = self.next() else {
            return;
        };
        let began = Instant::now();
        let request = self.bodies.lock().request(ask, number);
        let request = request.expect("what is written here is a valid request");
        let ledger = request
            .ledger()
            .expect("an LlmRequest has a ledger")
            .clone();
        let mut first = None;
        let answer = answer(self.router.clone(), request, began, &mut first);
        let ending = match ask.patience {
            None => ending(answer.await),
            Some(patience) => match timeout(Duration::from_secs_f64(patience), answer).await {
                Ok(answer) => ending(answer),
                Err(_) => Ending::HungUp,
            },
        };
        let sent = Sent {
            class: ask.class,
            session: ask.demand.session,
            first,
            took: began.elapsed(),
            at: self.now(),
            ending,
            ledger: &ledger,
        };
        self.records.lock().enter(&sent);
    }

    pub(crate) fn report(&self, strategy: &str) -> StrategyReport {
        let mut records = std::mem::take(&mut *self.records.lock());
        report::of(
            strategy,
            &mut records,
            &self.providers,
            &self.patterns,
            self.now(),
        )
    }
}

/// A client panics only if a layer does, which must not go unseen.
fn rethrow(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

fn ending(answer: Result<(), Error>) -> Ending {
    answer.map_or_else(Ending::Failed, |()| Ending::Answered)
}

/// Sends a request and reads its answer to the end; notes when it began.
async fn answer(
    router: Router,
    request: LlmRequest,
    began: Instant,
    first: &mut Option<Duration>,
) -> Result<(), Error> {
    let response = router.oneshot(request).await?;
    *first = Some(began.elapsed());
    if response.is_stream() {
        let (_, mut items) = response.into_parts();
        while let Some(item) = items.next().await {
            item?;
        }
    }
    Ok(())
}
