//! The way to one webhook.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{
    Event, Webhook,
    gate::{Gate, Notice, Pace},
};

/// How many messages may wait for a webhook that is slow.
const OUTBOX: usize = 64;

/// What is known of one webhook: what it was told, and what waits to be sent, one at a time.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) webhook: Webhook,
    gate: Gate,
    outbox: VecDeque<Notice>,
    /// Whether a message is on its way.
    pub(crate) is_sending: bool,
    pub(crate) is_broken: bool,
    /// How many found no room in the outbox.
    pub(crate) dropped: u64,
}

impl Lane {
    pub(crate) fn new(webhook: Webhook) -> Self {
        Self {
            webhook,
            gate: Gate::default(),
            outbox: VecDeque::new(),
            is_sending: false,
            is_broken: false,
            dropped: 0,
        }
    }

    /// An event has happened.
    pub(crate) fn offer(&mut self, event: &Event, pace: &Pace, now: Instant) {
        if self.webhook.wants(event.kind())
            && let Some(notice) = self.gate.offer(event.clone(), pace, now)
        {
            self.push(notice);
        }
    }

    /// Time has passed.
    pub(crate) fn look(&mut self, pace: &Pace, now: Instant) {
        for notice in self.gate.due(pace, now) {
            self.push(notice);
        }
    }

    /// The end has come: what was held back is to be sent, whatever the pace.
    pub(crate) fn end(&mut self) {
        if let Some(rest) = self.gate.rest() {
            self.push(rest);
        }
    }

    fn push(&mut self, notice: Notice) {
        if self.outbox.len() < OUTBOX {
            self.outbox.push_back(notice);
        } else {
            self.dropped += 1;
        }
    }

    /// The next message, if none is on its way.
    pub(crate) fn next(&mut self) -> Option<Notice> {
        let next = if self.is_sending {
            None
        } else {
            self.outbox.pop_front()
        };
        self.is_sending |= next.is_some();
        next
    }
}
