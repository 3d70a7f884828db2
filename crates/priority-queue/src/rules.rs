//! What may wait, for how long, and in which order.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

/// How many classes there may be: each has metrics of its own.
const MOST_CLASSES: usize = 16;

/// A class of requests: those up to a priority, from that of the class before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    pub(crate) name: Arc<str>,
    pub(crate) up_to: i64,
    pub(crate) weight: NonZeroU32,
    pub(crate) max_wait: Option<Duration>,
}

impl Class {
    /// The requests of that priority and of lower ones, as far as no class before it takes them. The
    /// last class takes the others too.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, up_to: i64) -> Self {
        Self {
            name: name.into(),
            up_to,
            weight: NonZeroU32::MIN,
            max_wait: None,
        }
    }

    /// Sets its part of the capacity, for [`Order::Weighted`].
    #[must_use]
    pub const fn weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets how long its requests wait at most, in the place of [`Rules::max_wait`].
    #[must_use]
    pub const fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = Some(time);
        self
    }
}

/// Which class goes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// The best that somebody waits in; whoever has waited long enough goes before it, as
    /// [`Rules::aging`] has it.
    #[default]
    Strict,
    /// Each in turn, by its [weight](Class::weight). What one does not use is the others'.
    Weighted,
}

/// Classes that cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidClasses(&'static str);

impl fmt::Display for InvalidClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidClasses {}

/// What may wait, for how long, and in which order.
///
/// By default 1,000 requests wait, of whatever size and for as long as their deadlines let them, each
/// priority is a class of its own, and a step of priority is worth ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub(crate) max_waiting: usize,
    pub(crate) max_waiting_bytes: usize,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) max_cost: usize,
    pub(crate) aging: Duration,
    pub(crate) order: Order,
    pub(crate) classes: Arc<[Class]>,
    pub(crate) max_waiting_per_tenant: usize,
    pub(crate) max_in_flight_per_tenant: Option<usize>,
}

impl Rules {
    /// Those above.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_waiting: 1_000,
            max_waiting_bytes: usize::MAX,
            max_wait: None,
            max_cost: usize::MAX,
            aging: Duration::from_secs(10),
            order: Order::Strict,
            classes: Arc::new([]),
            max_waiting_per_tenant: usize::MAX,
            max_in_flight_per_tenant: None,
        }
    }

    /// Sets how many requests may wait. With zero nobody waits.
    #[must_use]
    pub const fn max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests;
        self
    }

    /// Sets how large those who wait may be, all together.
    #[must_use]
    pub const fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting_bytes = bytes;
        self
    }

    /// Sets how long a request waits at most, where its class says nothing else. With
    /// [`Duration::ZERO`] nobody waits.
    #[must_use]
    pub const fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = Some(time);
        self
    }

    /// Sets how many units a request takes at most, however many it [costs](crate::Claim::with_cost):
    /// where that is half of the capacity, one large request leaves the other half to the small ones.
    #[must_use]
    pub const fn max_cost(mut self, units: usize) -> Self {
        self.max_cost = units;
        self
    }

    /// Sets how long a request waits for one step of priority, or of class: one of priority 3 that
    /// has waited for three times as long stands where one of priority 0 that comes now does.
    ///
    /// With [`Duration::ZERO`] priorities say nothing, with [`Duration::MAX`] nobody ages and the
    /// high numbers may starve.
    #[must_use]
    pub const fn aging(mut self, step: Duration) -> Self {
        self.aging = step;
        self
    }

    /// Sets the classes, the best first, and makes a request's class what counts of its priority.
    ///
    /// # Errors
    ///
    /// If there are more than sixteen, if two have one name, or if one goes no further than the one
    /// before it.
    pub fn classes(
        mut self,
        classes: impl IntoIterator<Item = Class>,
    ) -> Result<Self, InvalidClasses> {
        let classes: Arc<[Class]> = classes.into_iter().collect();
        if classes.len() > MOST_CLASSES {
            return Err(InvalidClasses("there are more than sixteen classes"));
        }
        if !classes.is_sorted_by(|a, b| a.up_to < b.up_to) {
            return Err(InvalidClasses(
                "a class goes no further than the one before it",
            ));
        }
        let is_twice = |(at, class): (usize, &Class)| {
            let mut before = classes[..at].iter();
            before.any(|other| other.name == class.name)
        };
        if classes.iter().enumerate().any(is_twice) {
            return Err(InvalidClasses("two classes have one name"));
        }
        self.classes = classes;
        Ok(self)
    }

    /// Sets which class goes next.
    #[must_use]
    pub const fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets how many requests of one tenant may wait.
    #[must_use]
    pub const fn max_waiting_per_tenant(mut self, requests: usize) -> Self {
        self.max_waiting_per_tenant = requests;
        self
    }

    /// Sets how many requests of one tenant may be in flight; at least one. Its others wait, and
    /// those of other tenants pass by them.
    #[must_use]
    pub fn max_in_flight_per_tenant(mut self, requests: usize) -> Self {
        self.max_in_flight_per_tenant = Some(requests.max(1));
        self
    }

    /// Where among the classes a priority is. Without classes there is one for all.
    pub(crate) fn class_of(&self, priority: i64) -> usize {
        let last = self.classes.len().saturating_sub(1);
        let mut classes = self.classes.iter();
        let class = classes.position(|class| priority <= class.up_to);
        class.unwrap_or(last)
    }

    pub(crate) fn max_wait_of(&self, class: usize) -> Option<Duration> {
        let class = self.classes.get(class);
        class.and_then(|it| it.max_wait).or(self.max_wait)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}
