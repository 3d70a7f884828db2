use futures_util::FutureExt as _;

use super::*;

fn places(most: usize, per_address: Option<u32>) -> Arc<Places> {
    let most = NonZeroUsize::new(most).expect("is over zero");
    let per_address = per_address.and_then(NonZeroU32::new);
    Arc::new(Places::new(most, per_address, Connections::default()))
}

/// An address of its own for each number.
fn address(number: u32) -> IpAddr {
    IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn take(places: &Arc<Places>, from: IpAddr, now: Instant) -> Result<Arc<Place>, NoPlace> {
    places.take(from, now).map(Arc::new)
}

fn is_told(place: &Place) -> bool {
    place.is_needed().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn there_are_never_more_than_there_may_be_and_all_come_back() {
    let places = places(16, None);
    let now = Instant::now();
    let taken: Vec<_> = (0..40)
        .map(|n| {
            let place = take(&places, address(n), now)?;
            // With a request, so that it cannot be told to go.
            let busy = place.busy();
            Ok::<_, NoPlace>((place, busy))
        })
        .collect();
    assert_eq!(taken.iter().filter(|it| it.is_ok()).count(), 16);
    assert_eq!(taken[39].as_ref().err(), Some(&NoPlace::Full));
    let counts = places.counts.clone();
    assert_eq!((counts.open(), counts.refused()), (16, 24));
    drop(taken);
    assert_eq!(counts.open(), 0);
    let taken = places.taken.lock();
    assert!(taken.connections.is_empty() && taken.by_address.is_empty());
    assert_eq!(taken.leaving, 0);
}

#[tokio::test(start_paused = true)]
async fn those_of_several_listeners_are_counted_together() {
    let one = places(16, None);
    let most = NonZeroUsize::new(16).expect("is over zero");
    let other = Arc::new(Places::new(most, None, one.counts.clone()));
    let first = take(&one, address(1), Instant::now()).expect("there is room");
    let second = take(&other, address(2), Instant::now()).expect("there is room");
    assert_eq!(one.counts.open(), 2);
    drop(second);
    assert_eq!(one.counts.open(), 1);
    drop(first);
    assert_eq!(one.counts.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_never_asked_goes_first_then_who_is_idle_for_longest_and_who_asks_stays() {
    let places = places(64, None);
    let mut open = Vec::new();
    for n in 0..48 {
        let place = take(&places, address(n), Instant::now()).expect("there is room");
        // The first sixteen ask, and twelve of them have been answered.
        let busy = (n < 16).then(|| place.busy()).filter(|_| n >= 12);
        open.push((place, busy));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let told = |open: &[(Arc<Place>, Option<Busy>)]| -> Vec<usize> {
        let all = open.iter().enumerate();
        all.filter(|(_, (place, _))| place.state.leaves.load(Relaxed))
            .map(|(n, _)| n)
            .collect()
    };
    assert_eq!(told(&open), [0; 0], "there is room");
    places.press(Instant::now());
    assert_eq!(told(&open), [16, 17, 18, 19], "a sixteenth");
    assert!(is_told(&open[16].0) && !is_told(&open[0].0));
    for _ in 0..16 {
        tokio::time::advance(LOOK_EVERY).await;
        places.press(Instant::now());
    }
    let all_idle = (0..12).chain(16..48);
    assert_eq!(
        told(&open),
        all_idle.collect::<Vec<_>>(),
        "all but who asks"
    );
    drop(open);
    assert_eq!(places.taken.lock().leaving, 0);
}

#[tokio::test(start_paused = true)]
async fn one_address_leaves_the_last_eighth_to_others() {
    let places = places(64, None);
    let now = Instant::now();
    let of_one = || {
        let place = take(&places, address(0), now)?;
        let busy = place.busy();
        Ok::<_, NoPlace>((place, busy))
    };
    let flood: Vec<_> = (0..1_000).map_while(|_| of_one().ok()).collect();
    assert_eq!(flood.len(), 56);
    assert_eq!(of_one().expect_err("has enough"), NoPlace::Enough);
    let others: Vec<_> = (1..=8).map(|n| take(&places, address(n), now)).collect();
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(take(&places, address(9), now).err(), Some(NoPlace::Full));
    drop(flood);
    assert!(of_one().is_ok());
}

#[test]
fn an_address_has_as_many_as_it_may_have() {
    let places = places(64, Some(2));
    let now = Instant::now();
    let six = |text: &str| -> IpAddr { text.parse().expect("is an address") };
    for (from, same) in [
        (address(1), "::ffff:10.0.0.1"),
        (six("2001:db8:0:1::1"), "2001:db8:0:1:ffff::2"),
    ] {
        let first = take(&places, from, now).expect("there is room");
        let second = take(&places, six(same), now).expect("there is room");
        assert_eq!(take(&places, from, now).err(), Some(NoPlace::Enough));
        drop(first);
        assert!(take(&places, from, now).is_ok());
        drop(second);
    }
    assert!(take(&places, six("2001:db8:0:2::1"), now).is_ok());
}
