//! Files for a test, and what a command prints.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// The binary.
pub(crate) const ZIGGURAT: &str = env!("CARGO_BIN_EXE_ziggurat");

/// A file of a test, in a folder that is its own.
pub(crate) fn file(test: &str, name: &str, text: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the file can be written");
    path
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary to its end.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Done {
    let mut command = Command::new(ZIGGURAT);
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(arguments).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("is text");
    Done {
        code: status.code(),
        out: text(stdout),
        err: text(stderr),
    }
}

impl Done {
    /// What it printed, if it ended well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// What it complained of, if it ended with status 1 and printed nothing else.
    pub(crate) fn failed(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        self.err
    }
}
