//! What is learned from an answer.

use std::time::Duration;

use ziggurat_core::{Deployment, DeploymentId, Item};

use super::{
    Ties,
    map::{Account, Place},
    response_id, signatures,
    ties::Write,
};

/// How many signatures of one answer are learned.
const SIGNATURES: usize = 256;

/// Writes the pins of a request when a deployment answers it.
#[derive(Debug)]
pub(crate) struct Learn {
    ties: Ties,
    /// The deployment that answers, and where it was found in its pool.
    from: DeploymentId,
    at: usize,
    account: Account,
    /// Whether the answer's id is still to be seen.
    id: Option<Duration>,
    signatures: usize,
}

impl Learn {
    pub(super) fn new(ties: Ties, from: &Deployment, at: usize) -> Self {
        let content = ties.learns.content;
        Self {
            from: from.id().clone(),
            at,
            account: content.map_or(0, |_| ties.map.account(from)),
            id: ties.learns.response_id,
            signatures: content.map_or(0, |_| SIGNATURES),
            ties,
        }
    }

    /// An answer has begun.
    pub(crate) fn answering(&self) {
        let map = &self.ties.map;
        for tie in &self.ties.ties {
            match tie.write {
                Write::Never => {}
                Write::Always => map.set(tie.key, self.place(), tie.time),
                Write::IfFree => map.set_if_free(tie.key, &self.place(), tie.time),
            }
        }
    }

    pub(crate) fn wants_items(&self) -> bool {
        self.id.is_some() || self.signatures > 0
    }

    pub(crate) fn body(&mut self, bytes: &[u8]) {
        self.id(response_id::of_body(bytes));
        self.content(bytes);
    }

    pub(crate) fn item(&mut self, item: &Item) {
        if self.id.is_some() {
            self.id(response_id::of_events(&item.bytes));
        }
        self.content(&item.bytes);
    }

    fn place(&self) -> Place {
        Place::Deployment(self.from.clone(), self.at)
    }

    fn id(&mut self, id: Option<&[u8]>) {
        if let Some(id) = id
            && let Some(time) = self.id.take()
        {
            let key = self.ties.response_key(id);
            self.ties.map.set(key, self.place(), time);
        }
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(time) = self.ties.learns.content else {
            return;
        };
        signatures::each(bytes, |signature| {
            if self.signatures > 0 {
                self.signatures -= 1;
                let key = self.ties.map.key(&[b"content", signature]);
                let place = Place::Account(self.account, self.from.clone());
                self.ties.map.set(key, place, time);
            }
        });
    }
}
