//! What a server tells of a partition.

use std::time::Duration;

use ziggurat_cache::Vector;

use crate::{StoreError, Value, read};

/// What has come to a partition since it was asked last.
#[derive(Debug)]
pub(super) struct News {
    /// Which partition it is: another one after it was lost.
    pub(super) epoch: u64,
    /// The numbers of the oldest and of the last that there are.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The number of the first that is told, and how many are.
    pub(super) from: u64,
    pub(super) told: u64,
    /// Those that are vectors, with their numbers.
    pub(super) items: Vec<(u64, Told)>,
}

/// A vector, how old it is, and for how long it holds.
#[derive(Debug)]
pub(super) struct Told {
    /// The name of its answer.
    pub(super) name: u64,
    pub(super) vector: Vector,
    pub(super) age: Duration,
    pub(super) left: Duration,
}

impl News {
    /// Reads an answer; `None` if the partition is empty.
    pub(super) fn read(answer: Value) -> Result<Option<Self>, StoreError> {
        type Parts = (u64, u64, u64, u64, u64, Vec<Option<Vec<u8>>>);
        if answer == Value::Nil {
            return Ok(None);
        }
        let (epoch, first, last, from, now, vectors): Parts = read(answer)?;
        let told = vectors.len() as u64;
        if first == 0 || from < first || from.checked_add(told).is_none_or(|end| end > last + 1) {
            return Err(StoreError::Garbled);
        }
        let items = (from..)
            .zip(vectors)
            .filter_map(|(number, bytes)| Some((number, item(&bytes?, now)?)));
        Ok(Some(Self {
            epoch,
            first,
            last,
            from,
            told,
            items: items.collect(),
        }))
    }

    /// The last number that is told.
    pub(super) const fn to(&self) -> u64 {
        self.from + self.told - 1
    }
}

/// What is kept of an answer, read at that time; `None` if it is none, or its time is up.
fn item(bytes: &[u8], now: u64) -> Option<Told> {
    let mut parts = bytes.splitn(5, |byte| *byte == b' ');
    let mut number = || -> Option<u64> { std::str::from_utf8(parts.next()?).ok()?.parse().ok() };
    let [since, until, _size, name] = [number()?, number()?, number()?, number()?];
    let (numbers, rest) = parts.next()?.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let numbers = numbers.iter().map(|it| f32::from_le_bytes(*it));
    let left = until.checked_sub(now).filter(|left| *left > 0)?;
    Some(Told {
        name,
        vector: Vector::new(numbers.collect())?,
        age: Duration::from_millis(now.saturating_sub(since)),
        left: Duration::from_millis(left),
    })
}

/// A vector as it is kept.
pub(super) fn bytes(vector: &Vector) -> Vec<u8> {
    let numbers = vector.numbers().iter();
    numbers.flat_map(|it| it.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: i64, last: i64, from: i64, vectors: Vec<Value>) -> Value {
        Value::Array(vec![
            Value::BulkString(b"7".to_vec()),
            Value::Int(first),
            Value::Int(last),
            Value::Int(from),
            Value::Int(1_000),
            Value::Array(vectors),
        ])
    }

    fn kept(head: &str, vector: &[u8]) -> Value {
        Value::BulkString([head.as_bytes(), vector].concat())
    }

    #[test]
    fn what_is_kept_is_read_with_its_age() {
        let vector = Vector::new(vec![3.0, 4.0]).expect("is one");
        let good = kept("900 1500 99 8 ", &bytes(&vector));
        let news = News::read(answer(3, 9, 4, vec![Value::Nil, good])).expect("is an answer");
        let news = news.expect("is not empty");
        assert_eq!((news.epoch, news.to(), news.items.len()), (7, 5, 1));
        let (number, told) = &news.items[0];
        assert_eq!((*number, told.name, &told.vector), (5, 8, &vector));
        let millis = [told.age, told.left].map(|it| it.as_millis());
        assert_eq!(millis, [100, 500]);
        assert!(News::read(Value::Nil).is_ok_and(|it| it.is_none()));
    }

    #[test]
    fn what_somebody_else_wrote_is_no_vector_and_no_partition() {
        let one = bytes(&Vector::new(vec![1.0]).expect("is one"));
        for wrong in [
            kept("900 1500 99 8 ", &one[..3]),
            kept("900 1500 99 8 ", &f32::NAN.to_le_bytes()),
            kept("900 1500 99 8 ", b""),
            kept("900 1500 99 8", b""),
            kept("900 1000 99 8 ", &one),
            kept("900 -1 99 8 ", &one),
            kept("900 99999999999999999999 99 8 ", &one),
            kept("900 1500 99 ", &one),
            kept("", b"\xff"),
        ] {
            let news = News::read(answer(1, 1, 1, vec![wrong])).expect("is an answer");
            assert!(news.expect("is not empty").items.is_empty());
        }
        for (first, last, from, n) in [(0, 1, 1, 1), (2, 3, 1, 1), (1, 1, 1, 2), (-1, 1, 1, 1)] {
            let vectors = vec![Value::Nil; n];
            assert!(News::read(answer(first, last, from, vectors)).is_err());
        }
        assert!(News::read(answer(1, i64::MAX, i64::MAX, vec![])).is_ok());
        assert!(News::read(Value::Int(1)).is_err());
    }
}
