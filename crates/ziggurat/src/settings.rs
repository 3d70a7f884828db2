//! The settings of a router that runs.

use serde_json::{Map, Value};
use ziggurat_config::{Plan, Problems};
use ziggurat_core::{Error, ErrorKind};

use crate::Router;

/// Settings, and forgetting.
impl Router {
    /// The router settings that hold, by the names they have in a configuration.
    #[must_use]
    pub fn settings(&self) -> Value {
        self.plan_mut().settings()
    }

    /// Whether settings could be changed so.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub fn validate_settings(&self, changes: &Map<String, Value>) -> Result<(), Problems> {
        self.plan_mut().with_settings(changes).map(drop)
    }

    /// Changes settings from the next request on, all of them or none; by the names they have in
    /// `router_settings`.
    ///
    /// Deployments that were added, replaced or taken away stay so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] with all that is wrong with them; then nothing changes.
    pub fn update_settings(&self, changes: &Map<String, Value>) -> Result<(), Error> {
        let mut current = self.plan_mut();
        let changed = current.with_settings(changes);
        let plan: Plan =
            changed.map_err(|problems| Error::new(ErrorKind::BadRequest, problems.to_string()))?;
        self.rebuild(&plan)?;
        self.publish(&plan);
        *current = plan;
        Ok(())
    }

    /// Forgets what has been used of limits in the current minute, budgets left out; over Redis for all
    /// instances, as [`reset_limits`](Self::reset_limits) does.
    pub fn reset_usage(&self) {
        self.reset_rates();
        self.built().balancer.reset_usage();
    }

    /// Forgets how fast deployments were and which of them failed, for the strategies.
    pub fn reset_measurements(&self) {
        self.built().balancer.reset_measurements();
    }

    /// Forgets which deployments served which sessions, callers and prompts.
    pub fn reset_affinity(&self) {
        self.state().pins.clear();
    }

    /// Ends all rests and forgets all failures.
    pub fn reset_cooldowns(&self) {
        self.cooldown().reset_all();
        self.built().balancer.reset_refusals();
    }

    /// Forgets all that has been learned, layer by layer. What is in flight stays counted. What was used
    /// of limits is forgotten [for all instances](Self::reset_limits) over Redis.
    pub fn reset(&self) {
        self.reset_usage();
        self.reset_measurements();
        self.reset_affinity();
        self.reset_cooldowns();
        self.reset_bandits();
    }
}
