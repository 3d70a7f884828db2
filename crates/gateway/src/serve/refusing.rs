//! Connections that find no place.

use std::{io::Write as _, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};

use super::places::NoPlace;

/// So many are told properly at a time; others are told if they listen.
const LINGERING: usize = 256;
/// For so long it is waited for them to have heard it.
const LINGER: Duration = Duration::from_secs(1);

/// Tells connections that there is no place for them, in HTTP/1.1.
#[derive(Clone, Debug)]
pub(super) struct Refusing {
    lingering: Arc<Semaphore>,
    full: Arc<str>,
    enough: Arc<str>,
}

impl Refusing {
    pub(super) fn new() -> Self {
        let full = "the gateway has as many connections as it may have";
        let enough = "the gateway has as many connections of this address as it may have";
        Self {
            lingering: Arc::new(Semaphore::new(LINGERING)),
            full: answer("503 Service Unavailable", "server_error", full),
            enough: answer("429 Too Many Requests", "rate_limit_error", enough),
        }
    }

    /// Tells one, and closes it.
    pub(super) fn refuse(&self, mut stream: TcpStream, why: NoPlace) {
        let answer = Arc::clone(match why {
            NoPlace::Full => &self.full,
            NoPlace::Enough => &self.enough,
        });
        let Ok(permit) = Arc::clone(&self.lingering).try_acquire_owned() else {
            // A new socket has room for it, and does not block.
            _ = stream
                .into_std()
                .and_then(|mut it| it.write(answer.as_bytes()));
            return;
        };
        let telling = async move {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            // If it was closed before its request had come, the answer would be lost.
            let mut nothing = [0; 1024];
            while stream.read(&mut nothing).await? > 0 {}
            std::io::Result::Ok(())
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a server has a task per connection, and of these a few"
        )]
        tokio::spawn(async move {
            _ = tokio::time::timeout(LINGER, telling).await;
            drop(permit);
        });
    }
}

fn answer(status: &str, kind: &str, message: &str) -> Arc<str> {
    let body = format!(
        r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"too_many_connections"}}}}"#
    );
    let length = body.len();
    let head = "content-type: application/json\r\nretry-after: 1\r\nconnection: close";
    format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into()
}
