//! Which server of a cluster has which keys.

use std::sync::Arc;

use redis::Value;

use crate::{Address, node::Node};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;
/// How many servers a cluster may have (Redis recommends fewer than a thousand).
const MAX_NODES: usize = 2_000;
/// A slot that nobody has.
const NOBODY: u16 = u16::MAX;

/// The servers, and who has which slot.
pub(crate) struct Slots {
    nodes: Vec<Arc<Node>>,
    /// The place of a slot's server in the list. Without a table, the first server has all.
    table: Option<Box<[u16]>>,
}

impl Slots {
    pub(crate) const fn none() -> Self {
        Self {
            nodes: Vec::new(),
            table: None,
        }
    }

    pub(crate) fn all_on(node: Arc<Node>) -> Self {
        Self {
            nodes: vec![node],
            table: None,
        }
    }

    /// As a cluster says it is, with a server for each address.
    pub(crate) fn of(ranges: &[Range], mut node: impl FnMut(&Address) -> Arc<Node>) -> Self {
        let mut addresses: Vec<&Address> = Vec::new();
        let mut table = vec![NOBODY; SLOTS].into_boxed_slice();
        for range in ranges {
            let at = addresses.iter().position(|it| **it == range.master);
            let at = at.unwrap_or_else(|| {
                addresses.push(&range.master);
                addresses.len() - 1
            });
            let at = u16::try_from(at).unwrap_or(NOBODY);
            table[range.first..=range.last].fill(at);
        }
        Self {
            nodes: addresses.into_iter().map(&mut node).collect(),
            table: Some(table),
        }
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The server that has a key.
    pub(crate) fn of_key(&self, key: &[u8]) -> Option<&Arc<Node>> {
        match &self.table {
            None => self.nodes.first(),
            Some(table) => self.nodes.get(usize::from(table[slot(key)])),
        }
    }

    pub(crate) fn by_address(&self, address: &Address) -> Option<&Arc<Node>> {
        let name = address.to_string();
        self.nodes.iter().find(|it| **it.name() == *name)
    }
}

/// Slots that one master has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: usize,
    last: usize,
    master: Address,
}

impl Range {
    /// Reads what a server answers to `CLUSTER SLOTS`. It may not know its own host: then it is
    /// the one that was asked.
    pub(crate) fn read(answer: &Value, asked: &Address) -> Option<Vec<Self>> {
        let Value::Array(list) = answer else {
            return None;
        };
        let mut nodes: Vec<Address> = Vec::new();
        let mut ranges = Vec::with_capacity(list.len().min(SLOTS));
        for range in list {
            let range = Self::read_one(range, asked)?;
            if !nodes.contains(&range.master) {
                nodes.push(range.master.clone());
            }
            ranges.push(range);
            if nodes.len() > MAX_NODES || ranges.len() > SLOTS {
                return None;
            }
        }
        (!ranges.is_empty()).then_some(ranges)
    }

    fn read_one(range: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(parts) = range else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = &parts[..]
        else {
            return None;
        };
        let [first, last] = [first, last].map(|it| usize::try_from(*it).ok());
        let (first, last) = (first?, last.filter(|last| *last < SLOTS)?);
        let host = match master.first()? {
            Value::BulkString(host) => std::str::from_utf8(host).ok()?,
            Value::Nil => "",
            _ => return None,
        };
        let host = if host.is_empty() { asked.host() } else { host };
        let Value::Int(port) = master.get(1)? else {
            return None;
        };
        (first <= last).then_some(Self {
            first,
            last,
            master: Address::new(host, u16::try_from(*port).ok()?),
        })
    }
}

/// The slot of a key (the Redis Cluster specification): that of the tag in braces, if it has one.
pub(crate) fn slot(key: &[u8]) -> usize {
    let find = |byte: u8, within: &[u8]| within.iter().position(|it| *it == byte);
    let tag = find(b'{', key).and_then(|open| {
        let rest = &key[open + 1..];
        find(b'}', rest).map(|close| &rest[..close])
    });
    let tag = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    usize::from(crc16(tag)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut crc = (at as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                let carry = crc & 0x8000 != 0;
                crc <<= 1;
                if carry {
                    crc ^= 0x1021;
                }
                bit += 1;
            }
            table[at] = crc;
            at += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc, byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` says.
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"ziggurat:limit:{foo}:a"), 12182);
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
    }

    #[test]
    fn what_a_cluster_says_is_read_and_what_it_cannot_say_is_refused() {
        let asked = Address::new("me", 1);
        let text = |it: &str| Value::BulkString(it.as_bytes().to_vec());
        let range = |first, last, host: Value, port| {
            let master = Value::Array(vec![host, Value::Int(port), text("id")]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let of = |ranges: Vec<Value>| Range::read(&Value::Array(ranges), &asked);
        let good = of(vec![
            range(0, 99, text("a"), 7),
            range(100, 16_383, Value::Nil, 8),
        ]);
        let good: Vec<_> = good
            .expect("is right")
            .into_iter()
            .map(|it| it.master)
            .collect();
        assert_eq!(good, [Address::new("a", 7), Address::new("me", 8)]);
        for wrong in [
            vec![],
            vec![Value::Nil],
            vec![range(5, 4, text("a"), 7)],
            vec![range(-1, 4, text("a"), 7)],
            vec![range(0, 16_384, text("a"), 7)],
            vec![range(0, 1, text("a"), 70_000)],
            vec![range(0, 1, Value::Int(3), 7)],
        ] {
            assert_eq!(of(wrong.clone()), None, "{wrong:?}");
        }
    }
}
