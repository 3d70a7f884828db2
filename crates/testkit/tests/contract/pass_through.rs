//! A pass-through layer passes, and each of its mistakes is seen.

use ziggurat_testkit::contract::Law;

use crate::{
    assert_breaks,
    counting::{Fault, contract},
};

fn count(work: &mut dyn FnMut()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn a_layer_that_keeps_the_laws_passes() {
    contract(Fault::None).run();
    // It boxes its future.
    contract(Fault::None).allocations(1, count).run();
}

#[test]
fn an_allocation_that_was_not_told_is_seen() {
    assert_breaks(
        Law::Allocations,
        &contract(Fault::None).allocations(0, count),
    );
}

#[test]
fn a_counter_that_is_never_zero_is_not_idle() {
    assert_breaks(Law::Readiness, &contract(Fault::None).idle(|_| false));
}

#[test]
fn calling_a_clone_that_is_not_ready_is_seen() {
    assert_breaks(Law::Receiver, &contract(Fault::CallsAClone));
}

#[test]
fn being_ready_without_asking_is_seen() {
    assert_breaks(Law::Receiver, &contract(Fault::ReadyWithoutAsking));
}

#[test]
fn a_readiness_error_that_becomes_pending_is_seen() {
    assert_breaks(Law::Readiness, &contract(Fault::ReadinessErrorIsPending));
}

#[test]
fn a_future_that_wakes_itself_is_seen() {
    assert_breaks(Law::WakeUp, &contract(Fault::WakesItself));
}

#[test]
fn a_future_that_looks_again_and_again_is_seen() {
    assert_breaks(Law::WakeUp, &contract(Fault::LooksEveryTwoMillis));
}

#[test]
fn a_count_that_a_dropped_future_leaves_behind_is_seen() {
    assert_breaks(Law::Guard, &contract(Fault::CountsDownOnlyWhenAnswered));
}

#[test]
fn a_count_that_ends_at_the_head_is_seen() {
    assert_breaks(Law::Settlement, &contract(Fault::CountsUntilTheHead));
}

#[test]
fn a_count_that_is_given_back_twice_is_seen() {
    assert_breaks(Law::Settlement, &contract(Fault::CountsDownTwice));
}

#[test]
fn a_stream_that_breaks_and_seems_whole_is_seen() {
    assert_breaks(Law::Settlement, &contract(Fault::HidesABreak));
}

#[test]
fn an_item_that_is_changed_is_seen() {
    assert_breaks(Law::Settlement, &contract(Fault::DropsUsage));
}

#[test]
fn a_refusal_that_becomes_a_failure_is_seen() {
    assert_breaks(Law::Admission, &contract(Fault::RefusalIsAFailure));
}

#[test]
fn a_count_that_a_refusal_leaves_behind_is_seen() {
    assert_breaks(Law::Admission, &contract(Fault::KeepsTheRefused));
}

#[test]
fn a_failure_that_becomes_another_is_seen() {
    assert_breaks(Law::Errors, &contract(Fault::FailureIsAnother));
}

#[test]
fn a_refusal_that_is_lost_in_a_boxed_error_is_seen() {
    assert_breaks(Law::Foreign, &contract(Fault::KnowsOnlyItsOwnErrors));
}
