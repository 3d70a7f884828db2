//! Settlements as lines of JSON.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
};

use crate::{Settlement, SettlementSink};

/// How many lines wait at most unless it is said otherwise.
const WAITING: usize = 10_000;

/// Writes each settlement as a line of JSON, from a thread of its own.
///
/// So many lines wait at most; what finds no room is [counted](Self::dropped) and left out, and so
/// is what cannot be written. A warning says when that begins, and an event when it is over.
///
/// What is written is flushed when nothing more waits. The thread ends when the sink is dropped, with
/// what waited written; [`flush`](Self::flush) waits for that.
#[derive(Clone)]
pub struct JsonLines {
    sender: SyncSender<Message>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    dropped: AtomicU64,
    /// Whether the last one was left out.
    drops: AtomicBool,
}

enum Message {
    Row(Box<Settlement>),
    Flush(SyncSender<()>),
}

impl JsonLines {
    /// Adds lines to a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or no thread can be started.
    pub fn append(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Self::new(file, WAITING)
    }

    /// Writes lines to whatever takes them, of which so many wait at most.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn new(out: impl Write + Send + 'static, waiting: usize) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(waiting.max(1));
        let state = Arc::new(State::default());
        let own = Arc::clone(&state);
        std::thread::Builder::new()
            .name("settlements".to_owned())
            .spawn(move || write(&receiver, BufWriter::new(out), &own))?;
        Ok(Self { sender, state })
    }

    /// How many settlements were left out.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state.dropped.load(Relaxed)
    }

    /// Waits until all is written that was settled before. To be called at the end of a program; it
    /// blocks.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            // An error means that the thread is gone, and that there is nothing to wait for.
            let _ = wait.recv();
        }
    }
}

impl SettlementSink for JsonLines {
    fn settle(&self, settlement: &Settlement) {
        let row = Message::Row(Box::new(settlement.clone()));
        match self.sender.try_send(row) {
            Ok(()) => self.state.kept(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.state.dropped("too many wait to be written");
            }
        }
    }
}

impl State {
    fn dropped(&self, why: &str) {
        self.dropped.fetch_add(1, Relaxed);
        if !self.drops.swap(true, Relaxed) {
            tracing::warn!(why, "settlements are left out");
        }
    }

    fn kept(&self) {
        if self.drops.load(Relaxed) && self.drops.swap(false, Relaxed) {
            let dropped = self.dropped.load(Relaxed);
            tracing::warn!(dropped, "settlements are kept again");
        }
    }
}

fn write(receiver: &Receiver<Message>, mut out: impl Write, state: &State) {
    loop {
        let message = match receiver.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Empty) => {
                report(out.flush(), state);
                match receiver.recv() {
                    Ok(message) => message,
                    Err(_) => return,
                }
            }
            Err(TryRecvError::Disconnected) => return report(out.flush(), state),
        };
        match message {
            Message::Row(row) => report(writeln!(out, "{}", row.to_json()), state),
            Message::Flush(done) => {
                report(out.flush(), state);
                // Nobody waits any more: that is all right.
                let _ = done.try_send(());
            }
        }
    }
}

fn report(written: io::Result<()>, state: &State) {
    if let Err(error) = written {
        state.dropped(&error.to_string());
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
