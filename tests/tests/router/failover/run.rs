//! Runs a fault on a shape.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::VirtualWorld;

use crate::failover::{
    dialects::Dialect,
    faults::Fault,
    rules::Outcome,
    seen::{Answered, Seen},
    shapes::{SHAPES, Shape, WORDS},
};

/// The provider of the group `primary`, which has the fault.
pub(crate) const A: Provider = Provider {
    name: "a",
    prompt: 100,
    completion: 60,
};

/// The provider of the group `backup`.
pub(crate) const B: Provider = Provider {
    name: "b",
    prompt: 200,
    completion: 70,
};

/// A provider, and what it says it has used.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
}

impl Provider {
    /// The healthy answer. A stream has a word every 15 ms, and goes on with what was begun.
    pub(crate) fn healthy(&self) -> Step {
        let step = Step::ok().words(WORDS).continues();
        step.usage(self.prompt, self.completion)
            .chunk_delay(Duration::from_millis(15))
    }

    pub(crate) fn model(&self) -> String {
        format!("model-{}", self.name)
    }

    /// How many fallbacks it takes to get there.
    pub(crate) fn fallbacks(&self) -> &'static str {
        if self.name == A.name { "0" } else { "1" }
    }
}

/// What a configuration says beside the budget that is the same for all.
pub(crate) struct Setup {
    pub(crate) fallbacks: &'static str,
    pub(crate) takes_prefill: bool,
    pub(crate) streams: &'static str,
}

impl Setup {
    fn config(&self, shape: &Shape) -> String {
        let Self {
            fallbacks,
            takes_prefill,
            streams,
        } = self;
        let primary = shape.a.deployment("primary", A.name, "");
        let prefill = format!(", supports_assistant_prefill: {takes_prefill}");
        let backup = shape.b.deployment("backup", B.name, &prefill);
        format!(
            "model_list:
{primary}{backup}router_settings: {{num_retries: 2, timeout: 30, {fallbacks}}}
ziggurat_settings: {{streams: {{{streams}}}}}
"
        )
    }
}

/// A row of the page: what became of a fault on each shape, if it makes sense there.
pub(crate) type Row = Vec<Option<Cell>>;

/// What became of a fault on one shape.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) outcome: Outcome,
    pub(crate) asked: [usize; 2],
    /// Of several requests, that of the slowest.
    pub(crate) took: Duration,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.asked;
        let seconds = self.took.as_secs_f64();
        write!(f, "{}, {a} + {b}, {seconds:.1} s", self.outcome)
    }
}

/// Runs a fault on every shape on which it makes sense.
///
/// # Panics
///
/// If its rule does not hold.
pub(crate) async fn run(fault: &Fault) -> Row {
    let mut row = Vec::new();
    for shape in SHAPES.iter() {
        row.push(match (fault.on)(shape) {
            true => Some(case(fault, Arc::clone(shape)).await),
            false => None,
        });
    }
    row
}

async fn case(fault: &Fault, shape: Arc<Shape>) -> Cell {
    // The pauses between tries are random, and the same in each run.
    fastrand::seed(7);
    println!("{}. {}: {shape:?}", fault.number, fault.provider);
    let world = VirtualWorld::new(&fault.setup.config(&shape));
    world.providers.script(A.name, (fault.a)());
    world.providers.script(B.name, (fault.b)());
    let began = Instant::now();
    let mut answers = Vec::new();
    for n in 0..fault.requests {
        sleep_until(began + fault.every * n).await;
        answers.push(ask(&world, &shape, began).await);
    }
    let calls = |name, dialect: &Dialect| {
        let calls = world.providers.calls(name).into_iter();
        let at = calls.map(|call| {
            assert!(call.path.contains(dialect.asks), "{}", call.path);
            call.at - began
        });
        at.collect()
    };
    let tokens = |group| world.router.group_usage(group).expect("is one").tokens;
    let seen = Seen {
        shape: Arc::clone(&shape),
        answers,
        a: calls(A.name, shape.a),
        b: calls(B.name, shape.b),
        tokens: ["primary", "backup"].map(tokens),
    };
    let outcome = (fault.rule)(&seen);
    is_well(&world, &shape).await;
    Cell {
        outcome,
        asked: [seen.a.len(), seen.b.len()],
        took: seen.answers.iter().map(|it| it.took).max().expect("some"),
    }
}

async fn ask(world: &VirtualWorld, shape: &Arc<Shape>, began: Instant) -> Answered {
    const HANGS: Duration = Duration::from_secs(130);
    let at = Instant::now();
    let answer = async {
        let (path, body) = shape.request("primary");
        world.begin(&path, &body, &[]).await.read().await
    };
    let reply = timeout(HANGS, answer).await.expect("ends");
    Answered::new(at - began, at.elapsed(), Arc::clone(shape), reply)
}

/// Holds that nothing is left of a fault: no attempt runs on, and the next request is answered.
async fn is_well(world: &VirtualWorld, shape: &Arc<Shape>) {
    for provider in [&A, &B] {
        world.providers.script(provider.name, provider.healthy());
    }
    let answer = ask(world, shape, Instant::now()).await;
    answer.is_of_somebody();
    assert!(answer.took < Duration::from_secs(10), "{:?}", answer.took);
    assert_eq!(world.router.in_flight(), 0);
    for provider in [&A, &B] {
        let running = world.providers.in_flight(provider.name);
        assert_eq!(running, 0, "at provider {}", provider.name);
    }
}
