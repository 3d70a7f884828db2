//! The sixteen faults of `docs/failover.md`, end to end and in virtual time, on every shape of answer
//! on which they make sense, and over the dialects of the providers.
//!
//! [`shapes::SHAPES`] × [`faults::FAULTS`] is run by [`run::run`]; what must hold stands in [`rules`].
//! The last test holds that the page tells what happened.

mod clients;
mod dialects;
mod faults;
mod page;
mod rules;
mod run;
mod seen;
mod shapes;

use crate::failover::{
    faults::{FAULTS, fault},
    run::run,
};

/// Holds that a fault is answered as its rule says.
async fn holds(number: &str) {
    let cells = run(fault(number)).await;
    assert!(cells.iter().any(Option::is_some), "no shape has been tried");
}

#[tokio::test(start_paused = true)]
async fn fault_01_a_429_that_says_when_is_waited_for_if_that_is_soon() {
    holds("1").await;
}

#[tokio::test(start_paused = true)]
async fn fault_01_a_429_that_says_when_is_waited_for_where_nobody_else_can_answer() {
    holds("1a").await;
}

#[tokio::test(start_paused = true)]
async fn fault_02_a_429_for_ever_is_left_for_the_fallback() {
    holds("2").await;
}

#[tokio::test(start_paused = true)]
async fn fault_02_a_429_for_ever_is_told_after_two_retries_where_nobody_else_can_answer() {
    holds("2a").await;
}

#[tokio::test(start_paused = true)]
async fn fault_03_a_500_is_tried_again_on_the_same_deployment() {
    holds("3").await;
}

#[tokio::test(start_paused = true)]
async fn fault_04_a_provider_that_is_down_is_left_after_two_retries() {
    holds("4").await;
}

#[tokio::test(start_paused = true)]
async fn fault_05_a_reset_before_any_byte_is_tried_again() {
    holds("5").await;
}

#[tokio::test(start_paused = true)]
async fn fault_06_a_provider_that_never_answers_is_left_after_its_clock_and_not_asked_again() {
    holds("6").await;
}

#[tokio::test(start_paused = true)]
async fn fault_07_a_first_token_that_is_late_comes_from_the_fallback() {
    holds("7").await;
}

#[tokio::test(start_paused = true)]
async fn fault_08_a_stream_that_dies_is_gone_on_with() {
    holds("8").await;
}

#[tokio::test(start_paused = true)]
async fn fault_08_a_stream_that_ends_too_early_is_not_taken_for_whole() {
    holds("8a").await;
}

#[tokio::test(start_paused = true)]
async fn fault_09_a_stream_that_falls_silent_is_gone_on_with() {
    holds("9").await;
}

#[tokio::test(start_paused = true)]
async fn fault_10_a_broken_event_is_left_out() {
    holds("10").await;
}

#[tokio::test(start_paused = true)]
async fn fault_10_a_broken_event_of_a_stream_that_is_held_back_is_left_out() {
    holds("10a").await;
}

#[tokio::test(start_paused = true)]
async fn fault_11_a_stream_without_its_last_event_ends_at_once() {
    holds("11").await;
}

#[tokio::test(start_paused = true)]
async fn fault_12_a_request_that_is_too_long_goes_to_a_larger_model() {
    holds("12").await;
}

#[tokio::test(start_paused = true)]
async fn fault_13_a_refusal_of_the_content_is_told_with_its_reason() {
    holds("13").await;
}

#[tokio::test(start_paused = true)]
async fn fault_14_a_stream_that_nobody_can_go_on_with_ends_with_an_error() {
    holds("14").await;
}

#[tokio::test(start_paused = true)]
async fn fault_14_a_stream_that_is_held_back_dies_unseen() {
    holds("14a").await;
}

#[tokio::test(start_paused = true)]
async fn fault_14_a_prefill_that_is_refused_does_not_hide_why_the_stream_ended() {
    holds("14b").await;
}

#[tokio::test(start_paused = true)]
async fn fault_15_a_provider_that_is_down_for_a_minute_is_spared_and_comes_back() {
    holds("15").await;
}

#[tokio::test(start_paused = true)]
async fn fault_16_an_answer_tells_who_gave_it_and_failed_attempts_cost_nothing() {
    holds("16").await;
}

#[tokio::test(start_paused = true)]
async fn the_page_tells_what_happened() {
    let mut rows = Vec::with_capacity(FAULTS.len());
    for fault in &FAULTS {
        rows.push(run(fault).await);
    }
    page::tell(&rows);
}
