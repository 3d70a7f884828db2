use std::collections::VecDeque;

use serde_json::Value;

/// How many things there are of a kind.
const ROOM: usize = 1_000;

/// Objects with an `id`, and what belongs to each.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    things: VecDeque<(Value, T)>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            things: VecDeque::new(),
        }
    }
}

impl<T> Shelf<T> {
    pub(super) fn put(&mut self, object: Value, more: T) {
        if self.things.len() == ROOM {
            self.things.pop_front();
        }
        self.things.push_back((object, more));
    }

    pub(super) fn get(&self, id: &str) -> Option<&(Value, T)> {
        self.things.iter().find(|(object, _)| object["id"] == id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Value> {
        let mut things = self.things.iter_mut();
        let thing = things.find(|(object, _)| object["id"] == id);
        thing.map(|(object, _)| object)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Value> {
        let mut things = self.things.iter();
        let at = things.position(|(object, _)| object["id"] == id)?;
        self.things.remove(at).map(|(object, _)| object)
    }

    /// The objects, the youngest first.
    pub(super) fn all(&self) -> impl Iterator<Item = Value> {
        self.things.iter().rev().map(|(object, _)| object.clone())
    }
}
