//! The spans of a request and its attempts.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use tower::ServiceExt;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};
use ziggurat_core::{Error, ErrorKind, HasLedger, LlmRequest, Routed};

use super::support::{block_on, complete, stack};

/// Name, parent and fields of each span, in the order in which they began.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

#[derive(Debug)]
struct Span {
    id: Id,
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Span {
    fn record_str(&mut self, field: &Field, value: &str) {
        let twice = self.fields.insert(field.name(), value.to_owned());
        assert_eq!(twice, None, "`{field}` is recorded once");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> registry::LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut span = Span {
            id: id.clone(),
            name: attributes.metadata().name(),
            parent: context.lookup_current().map(|parent| parent.name()),
            fields: BTreeMap::new(),
        };
        attributes.record(&mut span);
        self.0.lock().push(span);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock();
        let span = spans.iter_mut().rev().find(|span| span.id == *id);
        values.record(span.expect("has begun"));
    }
}

#[test]
fn a_request_is_one_span_and_each_attempt_is_one_in_it() {
    let spans = Spans::default();
    // With one subscriber alone, a span that another test enters first is taken to interest nobody.
    let _another = tracing::Dispatch::new(registry::Registry::default());
    let subscriber = registry::Registry::default().with(spans.clone());
    tracing::subscriber::with_default(subscriber, || {
        block_on(async {
            let stack = stack(
                |request, attempts| async move {
                    let _ = attempts.clone().to("gpt", request.clone()).await;
                    request.ledger().expect("has one").note_retry();
                    // As the queue says it.
                    tracing::Span::current().record("queue_ms", 12);
                    attempts.to("gpt", request).await
                },
                |routed: Routed<LlmRequest>| async move {
                    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
                    match routed.ledger().expect("has one").retries() {
                        0 => Err(Error::new(ErrorKind::RateLimited, "slow down")),
                        _ => Ok(complete()),
                    }
                },
            );
            let request = LlmRequest::chat("gpt", "hi");
            stack.oneshot(request).await.expect("is answered");
        });
    });
    let spans = spans.0.lock();
    let fields = |span: &Span| {
        let fields = span
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        fields.collect::<Vec<_>>().join(" ")
    };
    let spans: Vec<_> = spans
        .iter()
        .map(|span| (span.name, span.parent, fields(span)))
        .collect();
    let attempt = |outcome| {
        let fields = format!("deployment=a ms=250 outcome={outcome}");
        ("attempt", Some("request"), fields)
    };
    let request = "attempts=2 fallbacks=0 group=gpt ms=500 operation=chat_completions outcome=ok \
                   queue_ms=12 retries=1 trail=a=rate_limited/250ms, a=ok/250ms";
    assert_eq!(
        spans,
        [
            ("request", None, request.to_owned()),
            attempt("rate_limited"),
            attempt("ok")
        ]
    );
}
