//! A server that answers as it is told, and repeats what it is shown.

use std::{io, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::canaries::MINTED;

/// What a request was, as far as it can be repeated.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// What comes once the client has got the beginning.
    pub(crate) later: Vec<u8>,
    /// How it ends.
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Whole,
    /// The connection is closed before the end.
    Cut,
    /// Nothing more comes.
    Silence,
}

type Answers = dyn Fn(&Heard) -> Option<Reply> + Send + Sync;

/// The server.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<Arc<Answers>>,
    /// The client has got the beginning of the answer.
    begun: Mutex<Arc<Notify>>,
    tokens: Mutex<Arc<Answers>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("is bound");
        let granted = format!(r#"{{"access_token":"{MINTED}","expires_in":3600}}"#);
        let grants = move |_: &Heard| Some(Reply::json(200, granted.clone()));
        let shared = Arc::new(Shared {
            answers: Mutex::new(Arc::new(|_| None)),
            begun: Mutex::default(),
            tokens: Mutex::new(Arc::new(grants)),
        });
        let serving = Arc::clone(&shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "the provider runs beside the test"
        )]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, shared }
    }

    /// How requests are answered from now on; with `None` the connection is closed.
    pub(crate) fn answers(&self, answer: impl Fn(&Heard) -> Option<Reply> + Send + Sync + 'static) {
        *self.shared.answers.lock() = Arc::new(answer);
        *self.shared.begun.lock() = Arc::default();
    }

    /// The client has got the beginning of an answer.
    pub(crate) fn begun(&self) {
        self.shared.begun.lock().notify_one();
    }

    /// The same of requests for tokens.
    pub(crate) fn tokens(&self, answer: impl Fn(&Heard) -> Option<Reply> + Send + Sync + 'static) {
        *self.shared.tokens.lock() = Arc::new(answer);
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let heard = hear(&mut stream).await?;
        let asks_for_token = heard.head.contains("/token HTTP");
        let answers = match asks_for_token {
            true => Arc::clone(&self.tokens.lock()),
            false => Arc::clone(&self.answers.lock()),
        };
        let Some(reply) = answers(&heard) else {
            return Ok(());
        };
        let begun = Arc::clone(&self.begun.lock());
        let length = reply.body.len() + reply.later.len() + usize::from(reply.end != End::Whole);
        let mut head = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {length}\r\nconnection: close\r\n",
            reply.status
        );
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.write_all(&reply.body).await?;
        if !reply.later.is_empty() {
            begun.notified().await;
            stream.write_all(&reply.later).await?;
        }
        if reply.end == End::Silence {
            // Until the other side hangs up.
            _ = stream.read(&mut [0; 16]).await?;
        }
        stream.shutdown().await
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, headers: &[(&'static str, String)]) -> Self {
        self.headers.extend_from_slice(headers);
        self
    }

    pub(crate) fn later(mut self, more: Vec<u8>) -> Self {
        self.later = more;
        self
    }

    pub(crate) fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

/// Reads a request.
async fn hear(stream: &mut TcpStream) -> io::Result<Heard> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_it = name.eq_ignore_ascii_case("content-length");
                is_it.then(|| value.trim().parse().ok())?
            });
            if read.len() >= end + 4 + length.unwrap_or(0) {
                let body = String::from_utf8_lossy(&read[end + 4..]).into_owned();
                return Ok(Heard { head, body });
            }
        }
        let is_end = stream.read_buf(&mut read).await? == 0;
        // TLS begins with another byte.
        if is_end || !read.starts_with(b"POST") && !read.starts_with(b"GET") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
