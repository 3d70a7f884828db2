//! What is simulated.

use std::{fmt, io::Read, path::Path, sync::Arc};

use ziggurat::config::{Plan, Problems};

use crate::{
    distribution::Distribution,
    glob,
    numbers::Rate,
    spec::{Arrival, Class, MAX_REQUESTS, Model, Spec},
    trace::Trace,
};

/// The longest scenario that is read, in bytes.
const MAX_FILE: usize = 1 << 20;

const BUILT_IN: &str = include_str!("../scenarios/one_slow_one_failing_one_small.yaml");

/// A configuration, a workload, and how each deployment behaves.
///
/// See the [crate](crate) for what a file may say.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) name: Arc<str>,
    pub(crate) spec: Spec,
    pub(crate) plan: Plan,
    pub(crate) trace: Option<Arc<Trace>>,
}

/// What is wrong with a scenario, and where.
#[derive(Debug)]
pub struct ScenarioError {
    message: String,
}

impl ScenarioError {
    pub(crate) fn new(message: String) -> Self {
        Self { message }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScenarioError {}

impl From<Problems> for ScenarioError {
    fn from(problems: Problems) -> Self {
        Self::new(problems.to_string())
    }
}

impl Scenario {
    /// Three healthy deployments, one slow, one failing and one small, under a steady load.
    ///
    /// # Panics
    ///
    /// Never: a test reads it.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN, "built-in").expect("the built-in scenario is valid")
    }

    /// A plan under a steady load of 20 requests a second, half of them streamed, spread evenly over
    /// its groups. Every deployment is healthy, and answers as fast as any other.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let snapshot = plan.snapshot();
        let class = |model: &Arc<str>, stream| Class {
            stream,
            ..Class::new(model)
        };
        let names = snapshot.names().iter();
        let classes = names.flat_map(|name| [class(name, false), class(name, true)]);
        let spec = Spec {
            requests: Some(10_000),
            arrival: Some(Arrival::steady(Rate(20.0))),
            classes: classes.collect(),
            ..Spec::default()
        };
        Self {
            name: Arc::from("steady load"),
            spec,
            plan,
            trace: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and if it cannot be read or is not UTF-8.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let name = path.as_ref().display().to_string();
        let mut text = String::new();
        let file = std::fs::File::open(path);
        file.and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_string(&mut text))
            .map_err(|error| ScenarioError::new(format!("{name}: cannot be read: {error}")))?;
        Self::parse(&text, &name)
    }

    /// Reads a text in YAML or JSON that errors call `name`.
    ///
    /// A scenario without `config` is about the deployments of the built-in one, until
    /// [`with_plan`](Self::with_plan) says otherwise.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line and column where it has one; also if the text is
    /// longer than a megabyte.
    pub fn parse(text: &str, name: &str) -> Result<Self, ScenarioError> {
        if text.len() > MAX_FILE {
            let message = format!("{name}: is longer than {MAX_FILE} bytes");
            return Err(ScenarioError::new(message));
        }
        let spec: Spec = serde_saphyr::from_str(text).map_err(|error| located(name, &error))?;
        spec.check()
            .map_err(|error| ScenarioError::new(format!("{name}: {error}")))?;
        let plan = match &spec.config {
            Some(config) => read_config(config, &format!("{name}: config"))?,
            None => Self::built_in().plan,
        };
        Ok(Self {
            name: Arc::from(name),
            spec,
            plan,
            trace: None,
        })
    }

    /// Simulates another configuration.
    #[must_use]
    pub fn with_plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self
    }

    /// Simulates another configuration, given as text. Variables of the environment that are not set
    /// do not matter: nobody is called.
    ///
    /// # Errors
    ///
    /// All that is wrong with the configuration.
    pub fn with_config(self, text: &str, name: &str) -> Result<Self, ScenarioError> {
        Ok(self.with_plan(read_config(text, name)?))
    }

    /// Sends the requests of a trace, in place of those that the scenario describes: JSON lines with
    /// `at` in seconds, `model`, and as far as known `input_tokens`, `output_tokens`, `stream`,
    /// `session`, `user` and `tags`.
    ///
    /// # Errors
    ///
    /// The first line that is wrong, is longer than 64 KiB, or is one of more than five million.
    pub fn with_trace(mut self, from: impl Read, name: &str) -> Result<Self, ScenarioError> {
        self.trace = Some(Arc::new(Trace::read(from, name)?));
        Ok(self)
    }

    /// Compares these strategies, by their names in `routing_strategy`.
    #[must_use]
    pub fn with_strategies<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.spec.strategies = names.into_iter().map(Into::into).collect();
        self
    }

    /// Draws other random numbers.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.spec.seed = seed;
        self
    }

    /// Stops after so many requests, five million at most.
    #[must_use]
    pub fn with_requests(mut self, requests: u64) -> Self {
        self.spec.requests = Some(requests.clamp(1, MAX_REQUESTS));
        self
    }

    /// The configuration.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The strategies to compare; that of the configuration if none is named.
    #[must_use]
    pub fn strategies(&self) -> Vec<String> {
        if self.spec.strategies.is_empty() {
            vec![self.plan.router.strategy.name().to_owned()]
        } else {
            self.spec.strategies.clone()
        }
    }

    /// What does not fit together: models and deployments that nobody has, a load without an end.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let wrong = |error: String| Err(ScenarioError::new(format!("{}: {error}", self.name)));
        let snapshot = self.plan.snapshot();
        let ids = || self.plan.deployments.iter().map(|member| member.id());
        for pattern in self.spec.providers.keys() {
            if !ids().any(|id| glob::matches(pattern, id.as_str())) {
                let shown = pattern.escape_debug();
                return wrong(format!("`providers.{shown}` matches no deployment"));
            }
        }
        if let Some(trace) = &self.trace {
            let unknown = trace
                .entries
                .iter()
                .find(|entry| snapshot.resolve(&entry.model).is_none());
            return match unknown {
                Some(entry) => wrong(format!(
                    "no group serves the model `{}` of the trace",
                    entry.model.escape_debug()
                )),
                None => Ok(()),
            };
        }
        if self.spec.classes.is_empty() {
            return wrong("`classes` is missing".to_owned());
        }
        for (i, class) in self.spec.classes.iter().enumerate() {
            if snapshot.resolve(&class.model).is_none() {
                let model = class.model.escape_debug();
                return wrong(format!("`classes[{i}].model`: no group serves `{model}`"));
            }
            if let Some(key) = &class.key
                && self.plan.callers.key(key).is_none()
            {
                let key = key.escape_debug();
                return wrong(format!(
                    "`classes[{i}].key`: no key of the configuration is named `{key}`"
                ));
            }
        }
        let Some(arrival) = &self.spec.arrival else {
            return wrong("`arrival` is missing".to_owned());
        };
        match (self.spec.requests, self.spec.duration) {
            (None, None) => wrong("`requests` or `duration` is missing".to_owned()),
            (Some(_), None) if arrival.clients.is_none() && arrival.last_rate() == 0.0 => {
                wrong("`arrival` ends with a rate of 0, so `duration` must be given".to_owned())
            }
            (None, Some(duration)) if duration.0 * arrival.top_rate() > MAX_REQUESTS as f64 => {
                wrong(format!(
                    "may be more than {MAX_REQUESTS} requests; set `requests`"
                ))
            }
            _ => Ok(()),
        }
    }

    /// How a deployment behaves: what the most specific pattern says.
    pub(crate) fn model(&self, id: &str) -> (usize, Model) {
        let matching = self.spec.providers.iter().enumerate();
        let matching = matching.filter(|(_, (pattern, _))| glob::matches(pattern, id));
        let best = matching.max_by_key(|(_, (pattern, _))| glob::specificity(pattern));
        best.map_or_else(
            || (usize::MAX, Model::default()),
            |(i, (_, model))| (i, model.clone()),
        )
    }
}

/// Reads a configuration; only variables that it names itself are looked at.
fn read_config(text: &str, name: &str) -> Result<Plan, Problems> {
    let environment = |variable: &str| {
        let named = text.contains(&format!("os.environ/{variable}"));
        let set = named.then(|| std::env::var(variable).ok());
        set.map(|set| set.unwrap_or_else(|| "simulated".to_owned()))
    };
    Plan::parse(text, name, environment)
}

fn located(name: &str, error: &serde_saphyr::Error) -> ScenarioError {
    let plain = error.without_snippet();
    let text = plain.to_string();
    // The library tells the place in the middle of its text; ours stands in front.
    let text = text.split(" at line ").next().unwrap_or_default();
    ScenarioError::new(match plain.location() {
        Some(at) => format!("{name}:{}:{}: {text}", at.line(), at.column()),
        None => format!("{name}: {text}"),
    })
}

impl Class {
    fn new(model: &str) -> Self {
        Self {
            name: None,
            share: crate::numbers::Weight::default(),
            model: model.to_owned(),
            stream: false,
            input_tokens: None,
            output_tokens: None,
            max_tokens: None,
            session: None,
            tools: false,
            images: false,
            tags: Vec::new(),
            users: None,
            priority: None,
            key: None,
            hang_up: None,
        }
    }

    pub(crate) fn input(&self) -> Distribution {
        self.input_tokens
            .unwrap_or_else(|| Distribution::log_normal(400.0, 2_000.0))
    }

    pub(crate) fn output(&self) -> Distribution {
        self.output_tokens
            .unwrap_or_else(|| Distribution::log_normal(150.0, 600.0))
    }
}
