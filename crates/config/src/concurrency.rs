//! How many attempts may be in flight at a deployment.

use std::num::NonZeroU32;

use ziggurat_core::{Concurrency, ConcurrencyMode};

use crate::{
    problem::Report,
    read::{self, Found, Range, Section},
    source::Facts,
    tables::CONCURRENCY,
    yaml::Value,
};

const KEY: &str = "concurrency";

/// What stands there.
#[derive(Default)]
struct Said {
    mode: Option<Found<ConcurrencyMode>>,
    min: Option<Found<NonZeroU32>>,
    initial: Option<Found<NonZeroU32>>,
    max: Option<Found<NonZeroU32>>,
}

/// Reads `ziggurat_settings.concurrency`.
pub(crate) fn of_all(own: &Section<'_>, facts: &mut Facts, report: &mut Report) -> Concurrency {
    let said = read(own, report);
    let mode = facts.settle("concurrency.mode", said.mode, ConcurrencyMode::Fixed);
    Concurrency {
        mode: Some(mode),
        min: facts.maybe("concurrency.min", said.min),
        initial: facts.maybe("concurrency.initial", said.initial),
        max: facts.maybe("concurrency.max", said.max),
    }
}

/// Reads `model_info.concurrency`.
pub(crate) fn of_deployment(
    info: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> Concurrency {
    let said = read(info, report);
    Concurrency {
        mode: facts.take("concurrency.mode", said.mode),
        min: facts.take("concurrency.min", said.min),
        initial: facts.take("concurrency.initial", said.initial),
        max: facts.take("concurrency.max", said.max),
    }
}

/// A mapping; or the mode alone; or the number of a fixed limit.
fn read(section: &Section<'_>, report: &mut Report) -> Said {
    let Some(field) = section.field(KEY) else {
        return Said::default();
    };
    if let Value::Map(_) = field.node.value {
        return mapping(&section.child(KEY, &CONCURRENCY, report), report);
    }
    let what = "a mapping, a whole number over 0, `off`, `aimd` or `gradient`";
    let found = field.read(what, report, |text| {
        let number = || read::whole(text).and_then(|n| NonZeroU32::new(u32::try_from(n).ok()?));
        match mode(text).filter(|mode| *mode != ConcurrencyMode::Fixed) {
            Some(mode) => Some((mode, None)),
            None => Some((ConcurrencyMode::Fixed, Some(number()?))),
        }
    });
    let max = found.clone().and_then(|found| {
        let max = found.value.1?;
        Some(found.map(|_| max))
    });
    Said {
        mode: found.map(|found| found.map(|(mode, _)| mode)),
        max,
        ..Said::default()
    }
}

fn mapping(section: &Section<'_>, report: &mut Report) -> Said {
    let mode = section.field("mode").and_then(|field| {
        let what = "`off`, `fixed`, `aimd` or `gradient`";
        field.read(what, report, mode)
    });
    let mut number = |key| {
        let found = section.whole::<u32>(key, Range::OverZero, report)?;
        let number = NonZeroU32::new(found.value)?;
        Some(found.map(|_| number))
    };
    let (min, initial, max) = (number("min"), number("initial"), number("max"));
    let pairs = [(&min, &initial), (&initial, &max), (&min, &max)];
    for (low, high) in pairs {
        if let (Some(low), Some(high)) = (low, high)
            && low.value > high.value
        {
            let message = format!("`{}` is more than `{}`", low.path, high.path);
            report.error(low.at, message);
        }
    }
    Said {
        mode,
        min,
        initial,
        max,
    }
}

fn mode(text: &str) -> Option<ConcurrencyMode> {
    if read::is_off(text) {
        return Some(ConcurrencyMode::Off);
    }
    let mut modes = ConcurrencyMode::ALL.into_iter();
    modes.find(|mode| mode.as_str() == text)
}
