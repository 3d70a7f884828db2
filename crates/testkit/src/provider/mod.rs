//! Simulated LLM providers: an in-process HTTP server with scripted faults.
//!
//! One [`Simulator`] hosts any number of providers, each under its own base URL. A provider is
//! healthy until a [`Script`] says otherwise: a script is a list of [`Step`]s, one per request, of
//! which the last repeats. Every request is recorded as a [`Call`], together with whether the
//! client stayed until the end of the answer.
//!
//! Every provider speaks every dialect over HTTP/1.1; which one is meant is told by the path:
//!
//! - OpenAI's chat completions, completions and Responses (buffered and streamed), embeddings,
//!   images, transcripts and translations of audio, speech, moderations and the list of models;
//!   files, batches and responses are kept by the provider that got them;
//! - the same under the paths of Azure OpenAI;
//! - Anthropic's Messages, also as Vertex AI and Bedrock serve them, and the count of their tokens;
//! - Google's `generateContent`, `streamGenerateContent`, `embedContent`, `batchEmbedContents`,
//!   `countTokens` and, for embeddings, `predict`;
//! - Bedrock's Converse and ConverseStream, and InvokeModel for embeddings;
//! - Cohere's chat, embed and rerank of its second version;
//! - Ollama's chat and embed.
//!
//! A request with tools is answered with a call of the first one, unless its last message is the
//! result of a call, and one that demands a schema with a value that fits it; where the step has a
//! text of its own, with that text. A fault means the same in each dialect, in its own words: a 503
//! of Anthropic is a 529, an error in a stream of Bedrock is an exception frame, and a prompt that
//! Google or Bedrock declines is answered with the reason and a 200. Without a `[DONE]` there is nothing that
//! [`Step::without_done`] leaves out, except Anthropic's `message_stop`; where there are no comments,
//! [`Step::comments`] adds none.
//!
//! A status, a raw body, a delay, a hang and a reset apply to a `POST` on any other path too; without
//! one of these it is a 404. What is not a `POST` is no call, unless it is about a file, a batch or a
//! response.
//!
//! A `GET` that asks for a WebSocket gets one, whatever the path: a session as OpenAI's Realtime API has
//! it. It begins with `session.created`; `response.create` is answered with the text of the step, a
//! word an event, and `response.done` with the usage; `session.update` with `session.updated`; what else
//! the client sends comes back as it is. Where the step is an error in a success, that is the first
//! event. A break holds within a response.
//!
//! All delays are those of `tokio::time`, so a test with a paused clock does not wait for them.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use ziggurat_testkit::provider::{Simulator, Step};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let sim = Simulator::start().await?;
//! sim.script("a", [
//!     // The first request is refused,
//!     Step::status(429).retry_after(2),
//!     // all the others are answered, a little late.
//!     Step::ok().text("hello").delay(Duration::from_millis(5)),
//! ]);
//!
//! let body = r#"{"model": "small", "messages": [{"role": "user", "content": "hi"}]}"#;
//! let request = format!(
//!     "POST /a/v1/chat/completions HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
//!      content-length: {}\r\n\r\n{body}",
//!     sim.addr(),
//!     body.len(),
//! );
//! let mut answers = Vec::new();
//! for _ in 0..2 {
//!     let mut client = tokio::net::TcpStream::connect(sim.addr()).await?;
//!     client.write_all(request.as_bytes()).await?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer).await?;
//!     answers.push(answer);
//! }
//!
//! assert!(answers[0].starts_with("HTTP/1.1 429"));
//! assert!(answers[0].contains("retry-after: 2"));
//! assert!(answers[1].contains(r#""content":"hello""#));
//! assert_eq!(sim.count("a"), 2);
//! assert_eq!(sim.calls("a")[0].json()["model"], "small");
//! # Ok(())
//! # }
//! ```

mod answer;
mod begun;
mod body;
mod dialect;
mod media;
mod realtime;
mod record;
mod refusal;
mod render;
mod script;
mod serve;
mod step;
mod store;
mod stream;

use std::{collections::HashMap, fmt, io, net::SocketAddr, sync::Arc};

use parking_lot::{Mutex, RwLock};
use tokio::{
    io::DuplexStream,
    net::{TcpListener, ToSocketAddrs},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

use record::Provider;

pub use record::Call;
pub use render::healthy_text;
pub use script::Script;
pub use step::{SseChunking, Step};

/// A server that plays any number of providers.
///
/// It runs on the runtime that [`start`](Self::start) was called on. Dropping it ends all its
/// connections; share it by an `Arc`.
pub struct Simulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// The connections that were made in memory.
    connections: Mutex<JoinSet<()>>,
}

/// What the connections share with the handle.
#[derive(Debug, Default)]
struct Shared {
    providers: RwLock<HashMap<String, Arc<Provider>>>,
    pulse: Arc<Notify>,
    stop: Notify,
}

impl Shared {
    /// Finds a provider; every name that is asked for exists.
    fn provider(&self, name: &str) -> Arc<Provider> {
        if let Some(provider) = self.providers.read().get(name) {
            return Arc::clone(provider);
        }
        let mut providers = self.providers.write();
        let provider = providers
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Provider::new(Arc::clone(&self.pulse))));
        Arc::clone(provider)
    }

    /// Resets all that is being answered, so that none of it is taken for a hang-up.
    fn disconnect(&self) {
        for provider in self.providers.read().values() {
            provider.kill();
        }
    }
}

impl Simulator {
    /// Starts a simulator on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// Fails if no socket can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::bind(("127.0.0.1", 0)).await
    }

    /// Starts a simulator on an address of your choice.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be bound.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        #[expect(clippy::disallowed_methods, reason = "the server itself is one task")]
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
        Ok(Self {
            addr,
            shared,
            task: Mutex::new(Some(task)),
            connections: Mutex::default(),
        })
    }

    /// A simulator that listens nowhere and is reached by [`connect`](Self::connect) alone.
    ///
    /// Nothing leaves the runtime then, so with a paused clock all that happens takes exactly the
    /// time that was scripted.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            shared: Arc::default(),
            task: Mutex::new(None),
            connections: Mutex::default(),
        }
    }

    /// A connection to the simulator that is no socket. A reset is seen as its end.
    #[must_use]
    pub fn connect(&self) -> DuplexStream {
        const BUFFER: usize = 64 * 1024;
        let (client, server) = tokio::io::duplex(BUFFER);
        let mut connections = self.connections.lock();
        while connections.try_join_next().is_some() {}
        connections.spawn(serve::connection(server, Arc::clone(&self.shared)));
        client
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of a provider, as a client of the OpenAI API is given it.
    #[must_use]
    pub fn base_url(&self, name: &str) -> String {
        format!("http://{}/{name}/v1", self.addr)
    }

    /// The URL of a provider without the version of the OpenAI API, as clients of other APIs are given
    /// it.
    #[must_use]
    pub fn root_url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.addr)
    }

    /// Gives a provider a new script, which begins at its first step.
    ///
    /// Answers that have begun go on as they were.
    pub fn script(&self, name: &str, script: impl Into<Script>) {
        self.shared.provider(name).rescript(script.into());
    }

    /// Resets every connection that is serving this provider, and every later request to it, until
    /// [`revive`](Self::revive).
    ///
    /// The refused requests are counted and recorded; the script does not advance.
    pub fn kill(&self, name: &str) {
        self.shared.provider(name).kill();
    }

    /// Ends what [`kill`](Self::kill) began.
    pub fn revive(&self, name: &str) {
        self.shared.provider(name).revive();
    }

    /// Bounds the memory of a provider: the number of calls that are kept, and the size up to which
    /// the body of a request is kept.
    ///
    /// At first that is 100,000 calls and 1 MiB. The counts stay exact whatever is kept; a benchmark
    /// keeps no calls at all.
    pub fn keep(&self, name: &str, calls: usize, body_bytes: usize) {
        self.shared.provider(name).keep(calls, body_bytes);
    }

    /// The requests that a provider has received, oldest first.
    #[must_use]
    pub fn calls(&self, name: &str) -> Vec<Call> {
        self.shared.provider(name).calls()
    }

    /// How many requests a provider has received.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.shared.provider(name).counts().received
    }

    /// How many requests a provider is busy with: received, and the answer is not complete.
    #[must_use]
    pub fn in_flight(&self, name: &str) -> usize {
        self.shared.provider(name).counts().in_flight
    }

    /// The most requests that a provider was ever busy with at once.
    #[must_use]
    pub fn peak(&self, name: &str) -> usize {
        self.shared.provider(name).counts().peak
    }

    /// How many requests the client gave up before the answer was complete.
    #[must_use]
    pub fn hung_up(&self, name: &str) -> u64 {
        self.shared.provider(name).counts().hung_up
    }

    /// Waits until a request arrives or ends, at whichever provider.
    pub async fn changed(&self) {
        self.shared.pulse.notified().await;
    }

    /// Waits until a condition holds; it is looked at again whenever a request arrives or ends.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        loop {
            let changed = self.shared.pulse.notified();
            let mut changed = std::pin::pin!(changed);
            // Registered before the look, so that no change falls in between.
            changed.as_mut().enable();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Closes the port and all connections, and waits until that is done; the records stay.
    pub async fn stop(&self) {
        let task = self.task.lock().take();
        self.shared.disconnect();
        self.shared.stop.notify_one();
        let mut connections = std::mem::take(&mut *self.connections.lock());
        connections.shutdown().await;
        if let Some(task) = task {
            // It is not aborted, and a panic of a connection does not concern the caller.
            _ = task.await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}
