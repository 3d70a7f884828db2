use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{Script, Step, script::Next, serve::Line, store::Store};

const CALLS: usize = 100_000;
const BODY_BYTES: usize = 1 << 20;

/// One request that a provider received, and how it ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// When the request had arrived, body and all.
    pub at: Instant,
    /// The method of the request; most are a `POST`.
    pub method: Method,
    /// The path and query behind the name of the provider, such as `/v1/chat/completions`.
    pub path: String,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body of the request; empty if it was too long to keep.
    pub body: Bytes,
    /// The length of the body, also of one that was not kept.
    pub body_len: usize,
    /// When the client closed the connection, if it did so before the answer was complete.
    pub hung_up: Option<Instant>,
    /// Whether the answer was sent as the script has it, to its proper end; of a session, whether
    /// it was closed properly.
    pub finished: bool,
    /// The code that the client closed a session with, if it did and said one.
    pub closed: Option<u16>,
}

impl Call {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) in_flight: usize,
    pub(super) peak: usize,
    pub(super) hung_up: u64,
}

/// The state of one provider.
#[derive(Debug)]
pub(super) struct Provider {
    state: Mutex<State>,
    store: Store,
    pulse: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    script: Script,
    killed: bool,
    counts: Counts,
    calls: VecDeque<Call>,
    keep_calls: usize,
    keep_body: usize,
    serving: HashMap<u64, Arc<Line>>,
}

impl Provider {
    pub(super) fn new(pulse: Arc<Notify>) -> Self {
        let state = State {
            script: Script::default(),
            killed: false,
            counts: Counts::default(),
            calls: VecDeque::new(),
            keep_calls: CALLS,
            keep_body: BODY_BYTES,
            serving: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            store: Store::default(),
            pulse,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn rescript(&self, script: Script) {
        self.state.lock().script = script;
    }

    pub(super) fn keep(&self, calls: usize, body_bytes: usize) {
        let mut state = self.state.lock();
        state.keep_calls = calls;
        state.keep_body = body_bytes;
        state.forget();
    }

    pub(super) fn kill(&self) {
        let mut state = self.state.lock();
        state.killed = true;
        for line in state.serving.values() {
            line.reset();
        }
    }

    pub(super) fn revive(&self) {
        self.state.lock().killed = false;
    }

    pub(super) fn killed(&self) -> bool {
        self.state.lock().killed
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Records a request and takes the step for it. On a dead provider the line is reset, and the
    /// step is a reset, too.
    pub(super) fn begin(
        self: &Arc<Self>,
        head: Parts,
        path: String,
        body: Bytes,
        line: &Arc<Line>,
    ) -> (InFlight, Arc<Step>) {
        let call = Call {
            at: Instant::now(),
            method: head.method,
            path,
            headers: head.headers,
            body_len: body.len(),
            body,
            hung_up: None,
            finished: false,
            closed: None,
        };
        let mut state = self.state.lock();
        let next = if state.killed {
            line.reset();
            Next::Step(Arc::new(Step::ok().reset()))
        } else {
            state.script.next()
        };
        let asked = matches!(next, Next::Choice(_)).then(|| call.clone());
        let serial = state.record(call);
        state.serving.insert(serial, Arc::clone(line));
        drop(state);

        self.pulse.notify_waiters();
        let in_flight = InFlight {
            provider: Arc::clone(self),
            line: Arc::clone(line),
            serial,
            finished: false,
        };
        let step = match (next, asked) {
            (Next::Choice(choose), Some(call)) => Arc::new(choose(&call)),
            (Next::Step(step), _) => step,
            (Next::Choice(_), None) => unreachable!("a choice is asked with the call"),
        };
        (in_flight, step)
    }

    fn end(&self, serial: u64, finished: bool, hung_up: bool) {
        let mut state = self.state.lock();
        state.serving.remove(&serial);
        state.counts.in_flight -= 1;
        state.counts.hung_up += u64::from(hung_up);
        if let Some(call) = state.call(serial) {
            call.finished = finished;
            call.hung_up = hung_up.then(Instant::now);
        }
        drop(state);
        self.pulse.notify_waiters();
    }
}

impl State {
    /// Counts a call, keeps it if it may, and returns its number.
    fn record(&mut self, mut call: Call) -> u64 {
        let serial = self.counts.received;
        self.counts.received += 1;
        self.counts.in_flight += 1;
        self.counts.peak = self.counts.peak.max(self.counts.in_flight);
        if call.body_len > self.keep_body {
            call.body = Bytes::new();
        }
        self.calls.push_back(call);
        self.forget();
        serial
    }

    fn forget(&mut self) {
        let surplus = self.calls.len().saturating_sub(self.keep_calls);
        self.calls.drain(..surplus);
    }

    fn call(&mut self, serial: u64) -> Option<&mut Call> {
        // The youngest call is the last one received.
        let age = usize::try_from(self.counts.received - serial).ok()?;
        let place = self.calls.len().checked_sub(age)?;
        self.calls.get_mut(place)
    }
}

/// One request that is being answered; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    provider: Arc<Provider>,
    line: Arc<Line>,
    serial: u64,
    finished: bool,
}

impl InFlight {
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Notes how the client closed a session.
    pub(super) fn closed(&self, code: Option<u16>) {
        if let Some(call) = self.provider.state.lock().call(self.serial) {
            call.closed = code;
        }
    }

    /// Notes that nothing is left to send.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Whatever ended the answer too early, if it was not this side, it was the client.
        let hung_up = !self.finished && !self.line.is_cut();
        self.provider.end(self.serial, self.finished, hung_up);
    }
}
