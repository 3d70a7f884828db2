//! What a log has to do.

use std::{future::Future, time::Duration};

/// A bounded list of entries that several instances append to and read in the same order.
///
/// Clones are the same log. What an entry says is none of its business; it tells how old each one is
/// by a clock of its own, so that clocks of instances are never compared.
pub trait SharedLog: Clone + Send + Sync + 'static {
    /// The exchange. `None` if the log is gone, slow or full, whatever the reason: it is tried again
    /// soon. Dropped, it may or may not have been made.
    type Exchange: Future<Output = Option<Exchanged>> + Send;

    /// Reads what was appended after the offer's cursor, but no more than
    /// [`Offer::most`] entries; and then, if that was all, appends those of the offer. Both in one
    /// step, so nobody reads what they have appended themselves.
    ///
    /// Where entries go to make room, the oldest go first. If the log has lost what it knew, or the
    /// cursor is none of its own, it is read from its beginning, and says that it
    /// [is new](Exchanged::is_new).
    fn exchange(&self, offer: Offer) -> Self::Exchange;
}

/// What an instance brings to an exchange.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Offer {
    /// What it has to tell, in its order.
    pub entries: Vec<String>,
    /// How far it has read.
    pub since: Cursor,
    /// How many entries it wants to read at most.
    pub most: usize,
    /// The salt that it proposes; see [`Exchanged::salt`].
    pub salt: u64,
}

impl Offer {
    /// An offer of nothing.
    #[must_use]
    pub const fn new(since: Cursor, most: usize) -> Self {
        Self {
            entries: Vec::new(),
            since,
            most,
            salt: 0,
        }
    }

    /// Sets what there is to tell.
    #[must_use]
    pub fn entries(mut self, entries: Vec<String>) -> Self {
        self.entries = entries;
        self
    }

    /// Sets the salt that is proposed.
    #[must_use]
    pub const fn salt(mut self, salt: u64) -> Self {
        self.salt = salt;
        self
    }
}

/// What an instance takes from an exchange.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchanged {
    /// What was read, oldest first.
    pub entries: Vec<Told>,
    /// How far has been read now. What was appended by this exchange counts as read.
    pub cursor: Cursor,
    /// Whether there is more to read. If there is, nothing was appended.
    pub has_more: bool,
    /// Whether the log is not the one that the cursor was of: it has lost what it knew, or this is
    /// the first look into it.
    pub is_new: bool,
    /// A number on which all who share the log agree: what the first of them proposed.
    pub salt: u64,
}

impl Exchanged {
    /// An exchange that went so far, and found nothing new.
    #[must_use]
    pub const fn new(cursor: Cursor, salt: u64) -> Self {
        Self {
            entries: Vec::new(),
            cursor,
            has_more: false,
            is_new: false,
            salt,
        }
    }
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// What it says.
    pub entry: String,
    /// How long ago it was appended, by the clock of the log.
    pub age: Duration,
}

impl Told {
    /// An entry that was appended so long ago.
    #[must_use]
    pub const fn new(entry: String, age: Duration) -> Self {
        Self { entry, age }
    }
}

/// How far a log has been read, as the log itself puts it. The default is its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(Option<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    log: u64,
    place: String,
}

impl Cursor {
    /// A place in a log. `log` is a number that a log takes anew whenever it begins empty.
    #[must_use]
    pub fn new(log: u64, place: impl Into<String>) -> Self {
        let place = place.into();
        Self(Some(Place { log, place }))
    }

    /// The log that it is of; `None` at the beginning.
    #[must_use]
    pub fn log(&self) -> Option<u64> {
        self.0.as_ref().map(|it| it.log)
    }

    /// The place in a log, if it is of that one.
    #[must_use]
    pub fn place_in(&self, log: u64) -> Option<&str> {
        let place = self.0.as_ref().filter(|it| it.log == log);
        place.map(|it| &*it.place)
    }
}
