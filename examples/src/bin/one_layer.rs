//! One layer alone, around a service that knows nothing of LLMs: a priority queue.
//!
//! Run with `cargo run -p ziggurat-examples --bin one_layer`.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
use ziggurat::{Priority, priority_queue::PriorityQueueLayer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let one_at_a_time = NonZeroUsize::MIN;
    let service = ServiceBuilder::new()
        // The request is a `&str`, so a closure says what its priority is: lower is sooner.
        .layer(
            PriorityQueueLayer::new(one_at_a_time).priority_by(|request: &&'static str| {
                Priority(if request.starts_with("urgent") { 0 } else { 9 })
            }),
        )
        .service(service_fn(async |request: &'static str| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            println!("served {request}");
            Ok::<_, BoxError>(request)
        }));

    let requests = ["report 1", "report 2", "report 3", "urgent question"];
    let mut answers: FuturesUnordered<_> = requests
        .into_iter()
        .map(|request| service.clone().oneshot(request))
        .collect();
    let mut order = Vec::new();
    while let Some(answer) = answers.next().await {
        order.push(answer?);
    }
    // The first report was already being served when the urgent question came.
    assert_eq!(
        order,
        ["report 1", "urgent question", "report 2", "report 3"]
    );
    Ok(())
}
