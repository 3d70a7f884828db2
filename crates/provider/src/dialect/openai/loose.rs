//! JSON values of which little is known: a member of an unexpected type is no reason to lose the
//! whole answer.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// As much of a JSON value as routing asks for; never allocates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Loose<'a> {
    /// Absent, `null`, `false`, or an empty string, list or object.
    #[default]
    Empty,
    /// A number; a fraction is cut off, and what is below zero is zero.
    Count(u64),
    /// A string without escapes.
    Text(&'a str),
    /// Anything else.
    Full,
}

impl<'a> Loose<'a> {
    pub(super) fn is_full(self) -> bool {
        self != Self::Empty
    }

    pub(super) fn count(self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(count),
            Self::Empty | Self::Text(_) | Self::Full => None,
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Empty | Self::Count(_) | Self::Full => None,
        }
    }

    fn full_if(full: bool) -> Self {
        if full { Self::Full } else { Self::Empty }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Loose::full_if(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Loose::Count(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Loose::Count(value.try_into().unwrap_or_default()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Loose::Count(value as u64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Loose::full_if(!value.is_empty()))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(match value {
            "" => Loose::Empty,
            text => Loose::Text(text),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut full = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            full = true;
        }
        Ok(Loose::full_if(full))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut full = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            full = true;
        }
        Ok(Loose::full_if(full))
    }
}

/// How many members a list has; one of anything else that is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Length(pub(super) u64);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(OneVisitor)
            .map(|one| Self(one.length))
    }
}

/// A number of seconds, if it is one that can be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seconds(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let one = deserializer.deserialize_any(OneVisitor)?;
        let time = one.number.map(Duration::try_from_secs_f64);
        Ok(Self(time.and_then(Result::ok)))
    }
}

/// Any value: how much there is of it.
#[derive(Default)]
struct One {
    length: u64,
    number: Option<f64>,
}

impl One {
    fn full_if(full: bool) -> Self {
        Self {
            length: full.into(),
            number: None,
        }
    }

    fn number(number: f64) -> Self {
        Self {
            length: 1,
            number: Some(number),
        }
    }
}

struct OneVisitor;

impl<'de> Visitor<'de> for OneVisitor {
    type Value = One;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(One::default())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(One::full_if(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(One::number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(One::number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(One::number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(One::full_if(!value.is_empty()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut one = One::default();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            one.length += 1;
        }
        Ok(one)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let value = LooseVisitor.visit_map(map)?;
        Ok(One::full_if(value.is_full()))
    }
}

/// An object, if it is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Maybe<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaybeVisitor(PhantomData))
    }
}

struct MaybeVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MaybeVisitor<T> {
    type Value = Maybe<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Maybe(Some(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        LooseVisitor.visit_seq(seq).map(|_| Maybe(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Maybe(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Read<'a> {
        #[serde(borrow)]
        a: Loose<'a>,
        b: Maybe<Inner<'a>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        c: Loose<'a>,
    }

    #[test]
    fn every_type_of_value_is_taken() {
        for (value, expected) in [
            ("null", Loose::Empty),
            ("false", Loose::Empty),
            ("\"\"", Loose::Empty),
            ("[]", Loose::Empty),
            ("{}", Loose::Empty),
            ("true", Loose::Full),
            ("[null]", Loose::Full),
            ("{\"x\":[1,{}]}", Loose::Full),
            ("\"\\n\"", Loose::Full),
            ("\"x\"", Loose::Text("x")),
            ("7", Loose::Count(7)),
            ("7.9", Loose::Count(7)),
            ("-7", Loose::Count(0)),
            ("1e300", Loose::Count(u64::MAX)),
        ] {
            let json = format!("{{\"z\":{value},\"a\":{value},\"b\":{value}}}");
            let read: Read<'_> = serde_json::from_str(&json).expect("is taken");
            assert_eq!(read.a, expected, "{value}");
            assert_eq!(read.b.0.is_some(), value.starts_with('{'), "{value}");
        }
        let read: Read<'_> = serde_json::from_str("{\"b\":{\"c\":\"y\"}}").expect("is taken");
        assert_eq!(read.b.0.expect("is an object").c, Loose::Text("y"));
    }
}
