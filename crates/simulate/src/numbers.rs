//! Numbers and lists that cannot be out of range: what is wrong is told where it stands.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// A month: nothing in a scenario takes longer.
pub(crate) const LONGEST: f64 = 2_592_000.0;

macro_rules! number {
    ($(#[doc = $doc:literal])* $name:ident, $range:expr, $default:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
        #[serde(try_from = "f64")]
        pub(crate) struct $name(pub(crate) f64);

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(value: f64) -> Result<Self, String> {
                let range = $range;
                if range.contains(&value) {
                    Ok(Self(value))
                } else {
                    let (least, most) = (range.start(), range.end());
                    Err(format!("{value} is not between {least} and {most}"))
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }
    };
}

number!(
    /// A part of a whole.
    Share, 0.0..=1.0, 0.0
);
number!(
    /// Seconds, up to a month.
    Seconds, 0.0..=LONGEST, 0.0
);
number!(
    /// Arrivals a second.
    Rate, 0.0..=1e6, 0.0
);
number!(
    /// How often one of some classes is meant.
    Weight, 1e-6..=1e6, 1.0
);
number!(
    /// How many times longer.
    Factor, 1.0..=1e6, 5.0
);
number!(
    /// How many requests at full speed; a millionth is as good as none.
    Capacity, 1e-3..=1e9, 1e9
);

/// Something whose parts have to fit together, and of which there are not many.
pub(crate) trait Checked {
    /// How many of them there may be.
    const MOST: usize;

    /// What is wrong with it.
    fn check(&self) -> Result<(), String>;
}

impl Checked for String {
    const MOST: usize = 64;

    fn check(&self) -> Result<(), String> {
        name(self)
    }
}

/// A name is not empty and not long.
pub(crate) fn name(name: &str) -> Result<(), String> {
    match name.len() {
        1..=256 => Ok(()),
        0 => Err("a name is empty".to_owned()),
        _ => Err("a name is longer than 256 bytes".to_owned()),
    }
}

/// Reads a list of such things.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Checked,
{
    struct Listed<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Checked> Visitor<'de> for Listed<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element::<T>()? {
                item.check().map_err(A::Error::custom)?;
                if items.len() == T::MOST {
                    let most = T::MOST;
                    return Err(A::Error::custom(format!("more than {most} entries")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Listed(PhantomData))
}
