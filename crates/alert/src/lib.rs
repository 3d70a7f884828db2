//! Tells webhooks when something is wrong, and when it is well again: [`Alerts`].
//!
//! An [`Event`] is told by whoever notices it, by [`Alerts::notify`], which never waits. A driver,
//! [`Alerting::run`], which the application spawns once, sends messages to [`Webhook`]s. It notices
//! some things itself: each second it looks which deployments are out, and which requests hang. Slow
//! attempts and outages are noticed at settlement: `Alerts` is a
//! [`SettlementSink`](ziggurat_settle::SettlementSink). No request ever waits for any of it.
//!
//! # What is told, and how often
//!
//! An event is told at once. When the same happens to the same subject again within five minutes, it
//! is counted, and told with its number when they are over. A webhook gets at most 20 messages in any
//! minute; what exceeds that is summed up in one message, as soon as there is room for it. So every
//! event is told, or counted in a message. Budgets are told once a day. All these numbers are those
//! of an [`AlertPolicy`].
//!
//! A message that is not taken is sent again up to three times, with pauses of 1, 5 and 20 seconds or
//! as long as `Retry-After` says, up to a minute. 64 messages may wait for a webhook; what finds no
//! room is lost, and [counted](Alerts::undelivered). A redirect is not followed.
//!
//! A message holds names from the configuration, numbers and times: nothing of what was asked or
//! answered, and no credential. The address of a webhook is a [`Secret`](ziggurat_core::Secret).
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use tower::service_fn;
//! use ziggurat_alert::{AlertPolicy, Alerts, Event, Format, Webhook};
//! use ziggurat_core::Secret;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Stands for an HTTP client.
//! let (sender, mut messages) = tokio::sync::mpsc::channel(8);
//! let client = service_fn(move |request: Request<Bytes>| {
//!     let sender = sender.clone();
//!     async move {
//!         sender.send(request.into_body()).await?;
//!         Ok::<_, ziggurat_core::BoxError>(Response::new(()))
//!     }
//! });
//!
//! let webhook = Webhook::new(Secret::new("https://hooks.example.com/x"), Format::Slack)?;
//! let (alerts, alerting) = Alerts::new(AlertPolicy::new().webhook(webhook));
//! tokio::spawn(alerting.run(client, Vec::new));
//!
//! alerts.notify(Event::store_lost("redis"));
//! let message = messages.recv().await.expect("one was sent");
//! assert!(message.starts_with(br#"{"text":"[warning] ziggurat: store `redis` is lost"#));
//! # Ok(())
//! # }
//! ```

mod alerts;
mod driver;
mod event;
pub mod future;
mod gate;
mod kind;
mod lane;
mod layer;
mod message;
mod outage;
mod policy;
mod send;
mod service;
mod waiting;
mod watch;
mod webhook;

pub use self::{
    alerts::Alerts,
    driver::Alerting,
    event::Event,
    kind::{Kind, Severity},
    layer::WatchRequestsLayer,
    policy::AlertPolicy,
    service::WatchRequests,
    watch::Seen,
    webhook::{BadAddress, Format, Webhook},
};
