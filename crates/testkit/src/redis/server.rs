//! One server.

use std::{path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    process::{Process, free_port, is_there},
    talk,
};

/// How long a server may take to begin to answer.
const START: Duration = Duration::from_secs(20);

/// A `redis-server` on a port of the loopback, which keeps nothing on disk. It is killed when it is
/// dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    password: Option<String>,
}

impl RedisServer {
    /// Starts a server. `None` if tests go without.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`, or it does not begin to answer.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with settings, as `redis.conf` has them: a name, and its value. With a `tls-port`,
    /// name the files of [`start_with_files`](Self::start_with_files).
    ///
    /// # Panics
    ///
    /// As of [`start`](Self::start).
    pub async fn start_with(settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_with_files(settings, &[]).await
    }

    /// The same with files in the server's directory, each by its name.
    ///
    /// # Panics
    ///
    /// As of [`start`](Self::start).
    pub async fn start_with_files(
        settings: &[(&str, &str)],
        files: &[(&str, String)],
    ) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let port = free_port();
        let mut args: Vec<String> = [
            ("port", &*port.to_string()),
            ("bind", "127.0.0.1"),
            ("save", ""),
            ("appendonly", "no"),
        ]
        .iter()
        .chain(settings)
        .flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()])
        .collect();
        // Its own directory.
        args.extend(["--dir".to_owned(), ".".to_owned()]);
        let is_password = |it: &&(&str, &str)| it.0 == "requirepass";
        let password = settings.iter().find(is_password).map(|it| it.1.to_owned());
        let server = Self {
            process: Process::start(port, args, files),
            port,
            password,
        };
        server.answers().await;
        Some(server)
    }

    /// Waits until it answers.
    async fn answers(&self) {
        let start = Instant::now();
        while self.ask(&["PING"]).await.is_err() {
            assert!(
                self.process.is_running() && start.elapsed() < START,
                "redis-server does not answer: {}",
                self.process.log()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, with its password.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Its directory, which ends with it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.process.dir()
    }

    /// Ends it as if the power were gone. It forgets everything.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again on the same port, with nothing in it, and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not begin to answer.
    pub async fn restart(&self) {
        self.process.run();
        self.answers().await;
    }

    /// Stops it in its tracks: connections stay, and nothing is answered (`SIGSTOP`).
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on (`SIGCONT`).
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Runs a command on a connection of its own. The elements of a list are lines.
    ///
    /// # Errors
    ///
    /// What the server says is wrong.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn command(&self, command: &[&str]) -> Result<String, String> {
        let answer = self.ask(command).await;
        answer.expect("redis-server answers")
    }

    /// Changes a setting.
    ///
    /// # Panics
    ///
    /// If there is no such setting, or it does not answer.
    pub async fn config_set(&self, name: &str, value: &str) {
        let answer = self.command(&["CONFIG", "SET", name, value]).await;
        assert_eq!(answer.as_deref(), Ok("OK"), "{name} {value}");
    }

    async fn ask(&self, command: &[&str]) -> std::io::Result<Result<String, String>> {
        match &self.password {
            Some(password) => talk::ask(self.port, &[&["AUTH", password], command]).await,
            None => talk::ask(self.port, &[command]).await,
        }
    }
}
