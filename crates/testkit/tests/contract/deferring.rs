//! A deferring layer passes, and each of its mistakes is seen.

use ziggurat_testkit::contract::Law;

use crate::{
    assert_breaks,
    gate::{Fault, contract},
};

#[test]
fn a_layer_that_keeps_the_laws_passes() {
    contract(Fault::None).run();
}

#[test]
fn a_deferring_layer_that_forwards_readiness_is_seen() {
    assert_breaks(Law::Readiness, &contract(Fault::AsksTheInnerService));
}

#[test]
fn calling_a_clone_that_is_not_ready_is_seen() {
    assert_breaks(Law::Receiver, &contract(Fault::NeverReadiesIt));
}

#[test]
fn a_request_that_is_sent_twice_is_seen() {
    assert_breaks(Law::Receiver, &contract(Fault::SendsTwice));
}

#[test]
fn holding_readiness_that_is_not_used_is_seen() {
    assert_breaks(Law::Foreign, &contract(Fault::ReadiesASpare));
}

#[test]
fn holding_readiness_while_waiting_is_seen() {
    assert_breaks(Law::Guard, &contract(Fault::ReadiesBeforeItWaits));
}

#[test]
fn a_waiting_request_that_is_not_woken_is_seen() {
    assert_breaks(Law::Guard, &contract(Fault::ForgetsTheWaker));
}

#[test]
fn a_turn_that_was_given_to_a_dropped_request_is_seen() {
    assert_breaks(Law::Guard, &contract(Fault::LosesATurn));
}

#[test]
fn a_place_in_the_queue_that_outlives_its_request_is_seen() {
    assert_breaks(Law::Guard, &contract(Fault::StaysInTheQueue));
}

#[test]
fn room_that_is_given_back_at_the_head_is_seen() {
    assert_breaks(Law::Guard, &contract(Fault::HoldsUntilTheHead));
}
