//! A proxy that plays a bad server.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How many pieces of answers wait for their time.
const WAITING: usize = 4096;

/// How a [`RedisProxy`] treats what goes through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weather {
    /// All goes through.
    Fair,
    /// Answers come that much later.
    Slow(Duration),
    /// Commands are not passed on; each is answered with this error, such as `OOM no memory`.
    Refusing(String),
    /// Commands are not passed on and not answered.
    Silent,
    /// Connections are closed, and new ones at once.
    Gone,
}

/// A TCP proxy in front of a server.
///
/// What it is told holds for commands and answers from then on, on connections that are there as
/// well. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct RedisProxy {
    port: u16,
    weather: watch::Sender<Weather>,
    _serving: JoinSet<()>,
}

impl RedisProxy {
    /// A proxy on a port of the loopback, to a server on another one. To be called in a runtime.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub async fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let weather = watch::Sender::new(Weather::Fair);
        let told = weather.subscribe();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((client, _)) = accepted {
                            connections.spawn(connect(client, to, told.clone()));
                        }
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            port,
            weather,
            _serving: serving,
        })
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Says how it is from now on.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

/// What is to be written to the client, and when.
type Answers = mpsc::Sender<(Instant, Vec<u8>)>;

async fn connect(client: TcpStream, to: u16, told: watch::Receiver<Weather>) {
    let work = async {
        let server = TcpStream::connect(("127.0.0.1", to)).await?;
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (answers, due) = mpsc::channel(WAITING);
        let weather = told.clone();
        tokio::select! {
            ended = commands(from_client, to_server, answers.clone(), weather.clone()) => ended,
            ended = replies(from_server, answers, weather) => ended,
            ended = write(to_client, due) => ended,
        }
    };
    let gone = async {
        // Its end is the proxy's.
        let _ = told.clone().wait_for(|it| *it == Weather::Gone).await;
    };
    tokio::select! {
        biased;
        () = gone => {}
        _ = work => {}
    }
}

/// Passes whole commands on.
async fn commands(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    answers: Answers,
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        if client.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        while let Some(length) = command(&buffer) {
            let rest = buffer.split_off(length);
            let command = std::mem::replace(&mut buffer, rest);
            let now = weather.borrow().clone();
            match now {
                Weather::Fair | Weather::Slow(_) => server.write_all(&command).await?,
                Weather::Refusing(error) => {
                    let error = format!("-{error}\r\n").into_bytes();
                    let sent = answers.send((Instant::now(), error)).await;
                    sent.map_err(io::Error::other)?;
                }
                Weather::Silent | Weather::Gone => {}
            }
        }
    }
}

async fn replies(
    mut server: OwnedReadHalf,
    answers: Answers,
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    loop {
        let mut piece = Vec::with_capacity(16 * 1024);
        if server.read_buf(&mut piece).await? == 0 {
            return Ok(());
        }
        let late = match &*weather.borrow() {
            Weather::Slow(late) => *late,
            _ => Duration::ZERO,
        };
        let sent = answers.send((Instant::now() + late, piece)).await;
        sent.map_err(io::Error::other)?;
    }
}

async fn write(
    mut client: OwnedWriteHalf,
    mut due: mpsc::Receiver<(Instant, Vec<u8>)>,
) -> io::Result<()> {
    while let Some((at, piece)) = due.recv().await {
        sleep_until(at).await;
        client.write_all(&piece).await?;
    }
    Ok(())
}

/// The length of the command that the bytes begin with, once it is whole.
fn command(bytes: &[u8]) -> Option<usize> {
    let (mut at, parts) = number(bytes, 0, b'*')?;
    for _ in 0..parts {
        let (start, length) = number(bytes, at, b'$')?;
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some(at)
}

/// A number after its mark, and where its line ends.
fn number(bytes: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    let end = line.windows(2).position(|it| it == b"\r\n")?;
    let digits = line[..end].strip_prefix(&[mark])?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((at + end + 2, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_passed_on_when_it_is_whole() {
        let ping = b"*1\r\n$4\r\nPING\r\n";
        for end in 0..ping.len() {
            assert_eq!(command(&ping[..end]), None);
        }
        assert_eq!(command(ping), Some(ping.len()));
        assert_eq!(command(&[&ping[..], b"*1"].concat()), Some(ping.len()));
    }
}
