//! A stream passes unchanged, and the request is over when it is.

use futures_util::StreamExt;
use ziggurat_core::{ErrorKind, Item, Items};

use crate::contract::{
    Answer, Contract, Ended, Foreign, Law, Lawful, Probe, Watched, item,
    rig::{HOUR, Rig},
};

const ITEMS: u32 = 3;
const KIND: ErrorKind = ErrorKind::StreamBroken;

/// Streams that end, break and hang, each read to each depth and dropped.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let streams = [
        ("that ends", Answer::stream(ITEMS), Some(Ended::Complete)),
        (
            "that breaks",
            Answer::stream(ITEMS).breaking(KIND),
            Some(Ended::Failed(KIND)),
        ),
        ("that hangs", Answer::stream(ITEMS).hanging(), None),
    ];
    for (name, answer, end) in streams {
        for depth in 0..=ITEMS + 1 {
            let probe = Probe::new().with_answer(answer.clone().yielding(1));
            let rig = Rig::new(contract, Law::Settlement, probe);
            let when = format!("a stream {name}, read {depth} times");
            let reaches_end = depth > ITEMS;
            if reaches_end && end.is_none() {
                continue;
            }
            let response = rig.pass(rig.service(), &when).await;
            rig.assert_in_flight(1, format_args!("{when}, before its first item is read"));
            let mut items = response.into_parts().1;
            read(&rig, &mut items, depth.min(ITEMS), &when).await;
            rig.assert_in_flight(1, format_args!("{when}, before its end"));
            let expected = match end {
                Some(end) if reaches_end => {
                    read_end(&rig, &mut items, end, &when).await;
                    rig.assert_at_rest(format_args!("{when}, at its end, while it is kept"));
                    end
                }
                _ => Ended::Abandoned,
            };
            drop(items);
            rig.assert_at_rest(format_args!("{when} and dropped"));
            let ends = rig.probe.ends();
            if ends != [expected] {
                rig.broken(format_args!(
                    "{when}: beneath the layer it ended as {ends:?} instead of {expected:?}"
                ));
            }
        }
    }

    let rig = Rig::new(contract, Law::Settlement, Probe::new());
    let response = rig.pass(rig.service(), "a complete answer").await;
    rig.assert_at_rest("with a complete answer, while it is kept");
    if response.bytes().is_none_or(|bytes| bytes != "{}") {
        rig.broken(format_args!("a complete answer became {response:?}"));
    }
}

async fn next<L, R>(
    rig: &Rig<'_, L, R>,
    items: &mut Items,
) -> Option<Result<Item, ziggurat_core::Error>>
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    match Watched::new(items.next()).within(HOUR).await {
        Ok(next) => next,
        Err(stuck) => rig.broken(format_args!("a stream hangs: {stuck}")),
    }
}

/// Reads items, which must be the probe's.
async fn read<L, R>(rig: &Rig<'_, L, R>, items: &mut Items, count: u32, when: &str)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    for number in 0..count {
        let expected = item(number, ITEMS);
        match next(rig, items).await {
            Some(Ok(seen))
                if seen.bytes == expected.bytes
                    && seen.events == expected.events
                    && seen.usage == expected.usage => {}
            other => rig.broken(format_args!("{when}: item {number} became {other:?}")),
        }
    }
}

/// Reads the end, which must be that.
async fn read_end<L, R>(rig: &Rig<'_, L, R>, items: &mut Items, end: Ended, when: &str)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    match (next(rig, items).await, end) {
        (None, Ended::Complete) => {}
        (Some(Err(error)), Ended::Failed(kind)) if error.kind() == kind => {}
        (other, _) => rig.broken(format_args!("{when}: its end became {other:?}")),
    }
}
