//! Redis's protocol, as far as tests need it.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs commands on a connection of their own, and returns the answer to the last as text: the
/// elements of lists on lines of their own; errors as errors.
pub(super) async fn ask(port: u16, commands: &[&[&str]]) -> io::Result<Result<String, String>> {
    let asking = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut stream = BufReader::new(stream);
        let mut last = Ok(String::new());
        for command in commands {
            stream.write_all(&encode(command)).await?;
            last = answer(&mut stream).await?;
        }
        Ok(last)
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn encode(command: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", command.len());
    for part in command {
        out.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    out.into_bytes()
}

async fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<Result<String, String>> {
    let mut lines = Vec::new();
    let mut left = 1_usize;
    while left > 0 {
        left -= 1;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        let rest = line.get(1..).unwrap_or_default();
        match line.as_bytes().first() {
            Some(b'+' | b':') => lines.push(rest.to_owned()),
            Some(b'-') => return Ok(Err(rest.to_owned())),
            Some(b'$') => match rest.parse::<usize>() {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    stream.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    lines.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                Err(_) => lines.push(String::new()),
            },
            Some(b'*') => left += rest.parse::<usize>().unwrap_or(0),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(Ok(lines.join("\n")))
}
