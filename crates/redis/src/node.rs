//! One server: its connection, and whether it is called.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    Address, Arg, RedisConfig, Script, StoreError, Trouble,
    breaker::{Breaker, Change, Outcome},
    health::Board,
};

pub(crate) struct Node {
    name: Arc<str>,
    link: ArcSwapOption<MultiplexedConnection>,
    breaker: Mutex<Breaker>,
    board: Arc<Board>,
    /// A key of its own, which probes write.
    probe: Mutex<String>,
    /// Told when calls have opened the breaker, so that it is probed at once.
    pub(crate) opened: Notify,
    /// Told when it has no part in the cluster any more.
    pub(crate) retired: Notify,
}

/// One call.
pub(crate) struct Call<'a, K> {
    pub(crate) script: &'a Script,
    pub(crate) keys: &'a [K],
    pub(crate) args: &'a [Arg<'a>],
    pub(crate) until: Instant,
}

/// Why a server did not answer a call.
pub(crate) enum Failed {
    /// The key is elsewhere in the cluster: for good, or, if it is to be asked, while it moves.
    Elsewhere {
        address: Address,
        asking: bool,
    },
    Store(StoreError),
}

impl Node {
    pub(crate) fn new(name: Arc<str>, config: &RedisConfig, board: Arc<Board>) -> Self {
        Self {
            name,
            link: ArcSwapOption::empty(),
            breaker: Mutex::new(Breaker::new(config.failures, config.deadline)),
            board,
            probe: Mutex::new(String::new()),
            opened: Notify::new(),
            retired: Notify::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn probe_key(&self) -> String {
        self.probe.lock().clone()
    }

    pub(crate) fn set_probe_key(&self, key: String) {
        *self.probe.lock() = key;
    }

    pub(crate) fn set_link(&self, link: Option<MultiplexedConnection>) {
        self.link.store(link.map(Arc::new));
    }

    /// The connection, if calls go out.
    pub(crate) fn link(&self) -> Option<MultiplexedConnection> {
        let is_closed = self.breaker.lock().is_closed();
        self.link.load().as_deref().filter(|_| is_closed).cloned()
    }

    /// Runs a script, if the server serves. Nothing is sent otherwise.
    pub(crate) async fn call<K: AsRef<[u8]>>(
        &self,
        call: &Call<'_, K>,
        asking: bool,
    ) -> Result<Value, Failed> {
        let pass = self.breaker.lock().pass();
        let link = self.link.load().as_deref().cloned();
        let (Some(pass), Some(mut link)) = (pass, link) else {
            return Err(Failed::Store(StoreError::Down));
        };
        let started = Instant::now();
        let running = run(&mut link, call.script, call.keys, call.args, asking);
        let error = match timeout_at(call.until, running).await {
            Ok(Ok(value)) => {
                self.ended(
                    |it| it.ended(&pass, Outcome::Answered(started.elapsed())),
                    None,
                );
                return Ok(value);
            }
            Ok(Err(error)) => match elsewhere(&error) {
                Some(failed) => return Err(failed),
                None => StoreError::from(error),
            },
            Err(_) => StoreError::Late,
        };
        let outcome = if error.is_failure() {
            Outcome::Failed
        } else {
            Outcome::Answered(started.elapsed())
        };
        let trouble = error.is_failure().then(|| error.clone().into());
        if self.ended(|it| it.ended(&pass, outcome), trouble) {
            self.opened.notify_one();
        }
        Err(Failed::Store(error))
    }

    /// A probe was answered. Tells whether calls go out now.
    pub(crate) fn probed(&self, took: Duration) -> bool {
        let answered = Outcome::Answered(took);
        self.ended(|it| it.probed(answered), Some(Trouble::Slow));
        self.breaker.lock().is_closed()
    }

    /// Whether nothing has been found out about it yet.
    pub(crate) fn is_new(&self) -> bool {
        self.breaker.lock().is_new()
    }

    /// The server is known not to serve.
    pub(crate) fn lost(&self, trouble: Trouble) {
        self.ended(Breaker::lost, Some(trouble));
    }

    /// Tells the breaker of something, and everybody else if that changes how the server is. Says
    /// whether that was so.
    fn ended(
        &self,
        tell: impl FnOnce(&mut Breaker) -> Option<Change>,
        trouble: Option<Trouble>,
    ) -> bool {
        // Held to the end, so that changes are told in the order in which they came.
        let mut breaker = self.breaker.lock();
        let change = tell(&mut breaker);
        match (change, trouble) {
            (Some(Change::Closed), _) => {
                self.board.is_well(&self.name);
                tracing::info!(server = %self.name, "the shared store serves");
            }
            (Some(Change::Opened), trouble) => {
                let trouble = trouble.unwrap_or(Trouble::Unreachable);
                tracing::warn!(
                    server = %self.name,
                    reason = %trouble,
                    "the shared store does not serve; this instance goes on by itself"
                );
                self.board.is_down(&self.name, trouble);
            }
            // It is down for another reason now.
            (None, Some(trouble)) if !breaker.is_closed() => {
                self.board.is_down(&self.name, trouble);
            }
            (None, _) => {}
        }
        change.is_some()
    }
}

/// Runs a script, which the server may not know yet.
pub(crate) async fn run<K: AsRef<[u8]>>(
    link: &mut MultiplexedConnection,
    script: &Script,
    keys: &[K],
    args: &[Arg<'_>],
    asking: bool,
) -> RedisResult<Value> {
    match send(link, script.by_hash(keys, args), asking).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            send(link, script.by_code(keys, args), asking).await
        }
        answer => answer,
    }
}

async fn send(link: &mut MultiplexedConnection, cmd: Cmd, asking: bool) -> RedisResult<Value> {
    if !asking {
        return link.send_packed_command(&cmd).await?.extract_error();
    }
    let mut both = redis::pipe();
    both.cmd("ASKING").add_command(cmd);
    let answers = link.send_packed_commands(&both, 0, 2).await?;
    answers
        .into_iter()
        .nth(1)
        .unwrap_or(Value::Nil)
        .extract_error()
}

fn elsewhere(error: &redis::RedisError) -> Option<Failed> {
    let (address, _) = error.redirect_node()?;
    Some(Failed::Elsewhere {
        address: Address::parse(address)?,
        asking: error.kind() == ErrorKind::Server(ServerErrorKind::Ask),
    })
}
