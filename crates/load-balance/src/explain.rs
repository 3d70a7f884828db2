//! Why a request goes where it goes.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{Deployment, Error, Rejection};

use crate::{SlowStart, filter::Record, search::Search};

/// Which deployments of a group could serve a request, and why the others could not:
/// [`LoadBalanceLayer::explain`](crate::LoadBalanceLayer::explain).
///
/// Its text has a line for each deployment, those of the lowest `order` first:
///
/// ```
/// use ziggurat_core::{Deployment, Deployments, LlmRequest};
/// use ziggurat_load_balance::{Filters, LoadBalanceLayer, SimpleShuffle};
///
/// let deployments = Deployments::from_iter([
///     Deployment::new("a", "gpt", "gpt-4o"),
///     Deployment::new("b", "gpt", "gpt-4o").with_blocked(true),
/// ]);
/// let layer = LoadBalanceLayer::new(deployments, SimpleShuffle).filter(Filters::new());
/// let explanation = layer.explain(&LlmRequest::chat("gpt", "hello"))?;
/// assert_eq!(
///     explanation.to_string(),
///     "`gpt`: 1 of 2 deployments may serve\n\
///      > a: may serve, would be chosen now\n  \
///        b: left out by blocked (gets no requests for now)\n",
/// );
/// # Ok::<(), ziggurat_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Explanation {
    group: Arc<str>,
    members: Vec<Explained>,
    chosen: Result<Arc<Deployment>, Error>,
}

/// What is to be said of one deployment.
#[derive(Clone, Debug)]
pub struct Explained {
    deployment: Arc<Deployment>,
    refused: Option<(&'static str, String)>,
    was_tried: bool,
    is_pinned: bool,
    in_flight: u32,
    is_refusing: bool,
    refusal: Option<Rejection>,
    left: Option<Duration>,
    slow_start: Option<SlowStart>,
}

impl Explanation {
    pub(crate) fn new(
        search: &Search,
        record: &Record,
        now: Instant,
        chosen: Result<Arc<Deployment>, Error>,
    ) -> Self {
        let pool = search.pool();
        let pinned = search.pinned_at(now);
        let explain = |(index, member): (usize, &Arc<Deployment>)| {
            let cell = pool.cell(index);
            let is_refusing = search.is_refusing(index, now);
            let refusal = cell.last_refusal().filter(|_| is_refusing);
            let ends_at = refusal.as_ref().and_then(Rejection::ends_at);
            let refused = record.refused()[index].as_ref();
            Explained {
                deployment: Arc::clone(member),
                refused: refused.map(|it| (it.filter, it.why.clone().unwrap_or_default())),
                was_tried: search.was_tried(index),
                is_pinned: pinned == Some(index),
                in_flight: cell.load().see().in_flight(),
                slow_start: search.slow_start(&cell, now),
                left: ends_at.map(|at| at.saturating_duration_since(now)),
                is_refusing,
                refusal,
            }
        };
        Self {
            group: Arc::clone(pool.group().name()),
            members: pool.members().iter().enumerate().map(explain).collect(),
            chosen,
        }
    }

    /// The group that serves the model.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Its deployments, those of the lowest `order` first.
    #[must_use]
    pub fn members(&self) -> &[Explained] {
        &self.members
    }

    /// The deployment that would be asked now.
    ///
    /// # Errors
    ///
    /// What the client would be told, where there is none.
    pub fn chosen(&self) -> Result<&Arc<Deployment>, &Error> {
        self.chosen.as_ref()
    }
}

impl Explained {
    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// Whether no filter leaves it out.
    #[must_use]
    pub fn may_serve(&self) -> bool {
        self.refused.is_none()
    }

    /// The filter that leaves it out, and why.
    #[must_use]
    pub fn left_out_by(&self) -> Option<(&'static str, &str)> {
        let (filter, why) = self.refused.as_ref()?;
        Some((filter, why))
    }

    /// Whether it was tried for the request before, so that others go first.
    #[must_use]
    pub fn was_tried(&self) -> bool {
        self.was_tried
    }

    /// Whether the request is pinned to it, and it may be picked.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// How many attempts are in flight there.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether it is known to refuse all requests now.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.is_refusing
    }

    /// Its slow start, if it comes back from a rest.
    #[must_use]
    pub fn slow_start(&self) -> Option<SlowStart> {
        self.slow_start
    }

    /// The refusal that is remembered, if it is.
    #[must_use]
    pub fn refusal(&self) -> Option<&Rejection> {
        self.refusal.as_ref()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serve = self.members.iter().filter(|it| it.may_serve()).count();
        let all = self.members.len();
        writeln!(
            f,
            "`{}`: {serve} of {all} deployments may serve",
            self.group
        )?;
        let chosen = self.chosen.as_ref().ok().map(|it| it.id());
        for member in &self.members {
            if chosen == Some(member.deployment.id()) {
                writeln!(f, "> {member}, would be chosen now")?;
            } else {
                writeln!(f, "  {member}")?;
            }
        }
        match &self.chosen {
            Ok(_) => Ok(()),
            Err(error) => writeln!(f, "{} {}: {error}", error.status().as_u16(), error.code()),
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.deployment.id())?;
        match &self.refused {
            Some((filter, why)) if why.is_empty() => return write!(f, "left out by {filter}"),
            Some((filter, why)) => return write!(f, "left out by {filter} ({why})"),
            None => f.write_str("may serve")?,
        }
        if let Some(order) = self.deployment.order() {
            write!(f, ", order {order}")?;
        }
        if self.is_pinned {
            f.write_str(", pinned")?;
        }
        if self.in_flight > 0 {
            write!(f, ", {} in flight", self.in_flight)?;
        }
        if self.was_tried {
            f.write_str(", was tried")?;
        }
        if let Some(SlowStart { percent, .. }) = self.slow_start {
            write!(f, ", in slow start, {percent} %")?;
        }
        match (&self.refusal, self.left) {
            (Some(refusal), Some(left)) => {
                let (reason, left) = (refusal.reason(), left.as_secs_f64());
                write!(f, ", refuses ({reason}) for another {left:.1} s")
            }
            (Some(refusal), None) => write!(f, ", refuses ({})", refusal.reason()),
            (None, _) if self.is_refusing => f.write_str(", refuses"),
            (None, _) => Ok(()),
        }
    }
}
