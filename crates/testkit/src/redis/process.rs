//! A process with a directory of its own.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use parking_lot::Mutex;

/// How a server is not to be had, and what to do about it.
const MISSING: &str = "there is no `redis-server`: install it (`apt-get install redis-server`), \
                       or set ZIGGURAT_WITHOUT_REDIS=1 to go without the tests that need it";

/// Whether servers can be started. Says so if they are not to be.
///
/// # Panics
///
/// If there is no `redis-server` and nobody said that this is well.
pub(super) fn is_there() -> bool {
    if std::env::var_os("ZIGGURAT_WITHOUT_REDIS").is_some_and(|it| it == "1") {
        println!("skipped: ZIGGURAT_WITHOUT_REDIS=1");
        return false;
    }
    let asked = Command::new("redis-server").arg("--version").output();
    assert!(asked.is_ok_and(|it| it.status.success()), "{MISSING}");
    true
}

/// A port of the loopback that nobody has now.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a port");
    listener.local_addr().expect("is bound").port()
}

/// A server in a process of its own, which ends with this value.
#[derive(Debug)]
pub(super) struct Process {
    dir: PathBuf,
    args: Vec<String>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts `redis-server` with these arguments, in a new directory with the files.
    pub(super) fn start(port: u16, args: Vec<String>, files: &[(&str, String)]) -> Self {
        let name = format!("ziggurat-redis-{}-{port}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("there is room for a directory");
        for (name, text) in files {
            fs::write(dir.join(name), text).expect("there is room for a file");
        }
        let process = Self {
            dir,
            args,
            child: Mutex::new(None),
        };
        process.run();
        process
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts it, or starts it again.
    pub(super) fn run(&self) {
        self.kill();
        let log = fs::File::create(self.dir.join("log")).expect("there is room for a file");
        let child = Command::new("redis-server")
            .args(&self.args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        *self.child.lock() = Some(child.expect("redis-server starts"));
    }

    pub(super) fn is_running(&self) -> bool {
        let mut child = self.child.lock();
        child
            .as_mut()
            .is_some_and(|it| matches!(it.try_wait(), Ok(None)))
    }

    /// Ends it as if the power were gone.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it a signal, by name.
    pub(super) fn signal(&self, name: &str) {
        let child = self.child.lock();
        let Some(child) = child.as_ref() else { return };
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", child.id()))
            .status();
        assert!(sent.is_ok_and(|it| it.success()), "a signal is sent");
    }

    /// What it has written.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
