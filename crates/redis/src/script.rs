//! What servers do at once, in one round trip.

use std::fmt;

use redis::{Cmd, RedisWrite, ToRedisArgs};

/// A script in Lua, which a server runs as a whole, or not at all.
///
/// All keys that it reads or writes are given as keys, and all have the same tag in braces, so that
/// they are on the same server of a cluster. See [`RedisClient::key`](crate::RedisClient::key).
///
/// ```
/// use std::sync::LazyLock;
/// use ziggurat_redis::Script;
///
/// static COUNT: LazyLock<Script> = LazyLock::new(|| {
///     Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])")
/// });
/// ```
pub struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    /// A script of that code.
    #[must_use]
    pub fn new(code: &'static str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }

    /// The command that names the script only.
    pub(crate) fn by_hash<K: AsRef<[u8]>>(&self, keys: &[K], args: &[Arg<'_>]) -> Cmd {
        call("EVALSHA", &self.hash, keys, args)
    }

    /// The command that has the script in it, for servers that do not know it yet.
    pub(crate) fn by_code<K: AsRef<[u8]>>(&self, keys: &[K], args: &[Arg<'_>]) -> Cmd {
        call("EVAL", self.code, keys, args)
    }
}

fn call<K: AsRef<[u8]>>(name: &str, script: &str, keys: &[K], args: &[Arg<'_>]) -> Cmd {
    let bytes: usize = keys.iter().map(|key| key.as_ref().len()).sum();
    let bytes = bytes + args.iter().map(Arg::len).sum::<usize>() + script.len() + 16;
    let mut cmd = Cmd::with_capacity(3 + keys.len() + args.len(), bytes);
    cmd.arg(name).arg(script).arg(keys.len());
    for key in keys {
        cmd.arg(key.as_ref());
    }
    for arg in args {
        cmd.arg(arg);
    }
    cmd
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.hash).finish()
    }
}

/// An argument of a script. To it, all are texts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Arg<'a> {
    /// A number.
    Int(i64),
    /// A number that is not negative.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// Anything else.
    Bytes(&'a [u8]),
}

impl Arg<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Int(_) | Self::Uint(_) | Self::Float(_) => 24,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl ToRedisArgs for Arg<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        match self {
            Self::Int(it) => it.write_redis_args(out),
            Self::Uint(it) => it.write_redis_args(out),
            Self::Float(it) => it.write_redis_args(out),
            Self::Bytes(it) => out.write_arg(it),
        }
    }
}

impl From<i64> for Arg<'_> {
    fn from(it: i64) -> Self {
        Self::Int(it)
    }
}

impl From<u64> for Arg<'_> {
    fn from(it: u64) -> Self {
        Self::Uint(it)
    }
}

impl From<u32> for Arg<'_> {
    fn from(it: u32) -> Self {
        Self::Uint(it.into())
    }
}

impl From<f64> for Arg<'_> {
    fn from(it: f64) -> Self {
        Self::Float(it)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(it: &'a str) -> Self {
        Self::Bytes(it.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(it: &'a [u8]) -> Self {
        Self::Bytes(it)
    }
}
