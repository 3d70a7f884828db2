//! A machine that serves many requests at once and slows down when they are too many.

use std::{collections::BTreeMap, task::Waker};

/// A time in which everything takes longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) factor: f64,
}

/// Processor sharing: up to `capacity` jobs run at full speed, beyond it all get equal shares of
/// `capacity` (Kleinrock, 1967). Times are seconds since the beginning.
///
/// All jobs run at the same speed, so one number says how much work each has been given since the
/// beginning. A job is done when that number has grown by what the job needs, and of all jobs the one
/// with the least number to reach is the next to be done.
#[derive(Debug)]
pub(crate) struct Server {
    capacity: f64,
    slow: Vec<Slow>,
    /// When `given` was right.
    at: f64,
    /// Work given to each job since the beginning.
    given: f64,
    jobs: u32,
    next_job: u64,
    waiting: BTreeMap<Place, Option<Waker>>,
}

/// Where a job stands among those that wait: what has to be given, then the job.
///
/// Floats that are not negative are in the order of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    goal: u64,
    job: u64,
}

impl Place {
    fn goal(self) -> f64 {
        f64::from_bits(self.goal)
    }
}

/// Whether a job may go on.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    /// It is done.
    Done,
    /// It is the next to be done, then.
    At(f64),
    /// It will be woken.
    Later,
}

impl Server {
    pub(crate) fn new(capacity: f64, slow: Vec<Slow>) -> Self {
        Self {
            capacity,
            slow,
            at: 0.0,
            given: 0.0,
            jobs: 0,
            next_job: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Takes on a job.
    pub(crate) fn enter(&mut self, now: f64) -> u64 {
        self.advance(now);
        self.jobs += 1;
        self.next_job += 1;
        self.next_job
    }

    /// How many jobs there are.
    pub(crate) fn jobs(&self) -> u32 {
        self.jobs
    }

    /// A job has gone; the others run faster.
    pub(crate) fn leave(&mut self, place: Option<Place>, now: f64) {
        self.advance(now);
        self.jobs -= 1;
        if let Some(place) = place {
            self.waiting.remove(&place);
        }
        self.wake_first();
    }

    /// A job needs some seconds of work.
    pub(crate) fn ask(&mut self, job: u64, work: f64, now: f64) -> Place {
        self.advance(now);
        let goal = (self.given + work).to_bits();
        let place = Place { goal, job };
        self.waiting.insert(place, None);
        place
    }

    /// Whether what a job asked for is done; if not, it is woken when it has to ask again.
    pub(crate) fn poll(&mut self, place: Place, waker: &Waker, now: f64) -> Turn {
        self.advance(now);
        // What rounding loses in a long run is far below the millisecond of the timers.
        if self.given + 1e-7 >= place.goal() {
            self.waiting.remove(&place);
            self.wake_first();
            return Turn::Done;
        }
        if let Some(entry) = self.waiting.get_mut(&place)
            && !entry.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *entry = Some(waker.clone());
        }
        match self.waiting.first_key_value() {
            Some((first, _)) if *first == place => Turn::At(self.reaches(place.goal())),
            _ => Turn::Later,
        }
    }

    /// Only the first has a timer, which the one that was first before set for another load.
    fn wake_first(&mut self) {
        if let Some(mut first) = self.waiting.first_entry()
            && let Some(waker) = first.get_mut().take()
        {
            waker.wake();
        }
    }

    fn speed(&self, at: f64) -> f64 {
        let factor = self.slow.iter().filter(|s| s.from <= at && at < s.to);
        let factor = factor.map(|s| s.factor).fold(1.0, f64::max);
        (self.capacity / f64::from(self.jobs).max(1.0)).min(1.0) / factor
    }

    /// When the speed changes next, if no job comes or goes.
    fn next_change(&self, at: f64) -> f64 {
        let edges = self.slow.iter().flat_map(|s| [s.from, s.to]);
        edges
            .filter(|edge| *edge > at)
            .fold(f64::INFINITY, f64::min)
    }

    fn advance(&mut self, now: f64) {
        while self.at < now {
            let until = self.next_change(self.at).min(now);
            self.given += (until - self.at) * self.speed(self.at);
            self.at = until;
        }
    }

    /// When so much will have been given.
    fn reaches(&self, goal: f64) -> f64 {
        let (mut at, mut given) = (self.at, self.given);
        loop {
            let (speed, until) = (self.speed(at), self.next_change(at));
            let done = at + (goal - given) / speed;
            if done <= until {
                return done;
            }
            given += (until - at) * speed;
            at = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(capacity: f64) -> Server {
        Server::new(capacity, Vec::new())
    }

    fn poll(server: &mut Server, place: Place, now: f64) -> Turn {
        server.poll(place, Waker::noop(), now)
    }

    #[test]
    fn within_its_capacity_jobs_do_not_slow_each_other_down() {
        let mut server = server(2.0);
        let jobs = [server.enter(0.0), server.enter(0.0)];
        let places = jobs.map(|job| server.ask(job, 3.0, 0.0));
        assert_eq!(poll(&mut server, places[0], 0.0), Turn::At(3.0));
        assert_eq!(poll(&mut server, places[1], 0.0), Turn::Later);
        assert_eq!(poll(&mut server, places[0], 3.0), Turn::Done);
        assert_eq!(poll(&mut server, places[1], 3.0), Turn::Done);
    }

    #[test]
    fn beyond_it_they_share_and_the_rest_speeds_up_when_one_leaves() {
        let mut server = server(1.0);
        let short = server.enter(0.0);
        let long = server.enter(0.0);
        let short = server.ask(short, 1.0, 0.0);
        let long = server.ask(long, 2.0, 0.0);
        assert_eq!(poll(&mut server, short, 0.0), Turn::At(2.0));
        assert_eq!(poll(&mut server, short, 2.0), Turn::Done);
        server.leave(None, 2.0);
        // One second was given to each; the other second comes at full speed.
        assert_eq!(poll(&mut server, long, 2.0), Turn::At(3.0));
    }

    #[test]
    fn a_slow_time_stretches_what_falls_into_it() {
        let slow = Slow {
            from: 1.0,
            to: 5.0,
            factor: 4.0,
        };
        let mut server = Server::new(9.0, vec![slow]);
        let job = server.enter(0.0);
        let place = server.ask(job, 3.0, 0.0);
        // One second before, one in the four slow ones, one after.
        assert_eq!(poll(&mut server, place, 0.0), Turn::At(6.0));
        assert_eq!(poll(&mut server, place, 5.0), Turn::At(6.0));
    }

    #[test]
    fn one_that_goes_before_it_is_done_makes_room() {
        let mut server = server(1.0);
        let (gone, stays) = (server.enter(0.0), server.enter(0.0));
        let gone = server.ask(gone, 1.0, 0.0);
        let stays = server.ask(stays, 4.0, 0.0);
        server.leave(Some(gone), 1.0);
        assert_eq!(poll(&mut server, stays, 1.0), Turn::At(4.5));
    }
}
