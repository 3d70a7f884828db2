//! Counting a prompt where the estimate of its size does not decide.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use ziggurat_catalog::tokens;
use ziggurat_core::{LlmRequest, Snapshot};
use ziggurat_load_balance::ExactInputTokens;

/// How many prompts are counted at a time: it is work for a processor, and there are others.
const AT_A_TIME: usize = 2;

/// Prompts of fewer tokens than this, by estimate, fit everywhere.
const SMALL: u64 = 1_000;

/// A request whose prompt is to be counted, and the model whose tokens count.
pub(crate) struct Uncounted {
    request: LlmRequest,
    model: Arc<str>,
}

impl Uncounted {
    /// A request that may or may not fit into the window of a member of its group: the estimate is
    /// within 3/4 and 3/2 of it. Others are given back.
    pub(crate) fn new(request: LlmRequest, snapshot: &Snapshot) -> Result<Self, LlmRequest> {
        let estimate = request.estimated_input_tokens();
        if estimate < SMALL {
            return Err(request);
        }
        let near = |window: u64| {
            estimate.saturating_mul(4) >= window.saturating_mul(3)
                && estimate.saturating_mul(2) <= window.saturating_mul(3)
        };
        let group = snapshot.resolve(request.group().as_str());
        let mut members = group.into_iter().flat_map(|group| group.members());
        match members.find(|member| member.max_input_tokens().is_some_and(near)) {
            Some(member) => Ok(Self {
                model: Arc::from(member.model()),
                request,
            }),
            None => Err(request),
        }
    }

    /// Counts on a thread for such work, and attaches the number.
    pub(crate) async fn count(self) -> LlmRequest {
        static ROOM: Semaphore = Semaphore::const_new(AT_A_TIME);
        let Self { mut request, model } = self;
        let counted = request.clone();
        let counting = in_line(&ROOM, move || {
            let text = text(counted.prompt());
            exactly(&model, &text).unwrap_or_else(|| tokens::estimate(&text))
        });
        if let Some(tokens) = counting.await {
            request.extensions_mut().insert(ExactInputTokens(tokens));
        }
        request
    }
}

/// Does work on a thread for it when there is room. The room is taken until the work is done, also
/// if nobody waits for it any more. `None` if the work fails.
async fn in_line<T: Send + 'static>(
    room: &'static Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let room = room.acquire().await.ok()?;
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(room);
        done
    });
    working.await.ok()
}

#[cfg(feature = "exact-tokens")]
fn exactly(model: &str, text: &str) -> Option<u64> {
    ziggurat_catalog::exact::count(model, text)
}

#[cfg(not(feature = "exact-tokens"))]
fn exactly(_: &str, _: &str) -> Option<u64> {
    None
}

/// What a model reads of a prompt: its texts, and nothing of the JSON around them.
fn text(prompt: &str) -> String {
    let mut text = String::with_capacity(prompt.len());
    if let Ok(value) = serde_json::from_str(prompt) {
        collect(&value, &mut text);
    }
    text
}

fn collect(value: &Value, text: &mut String) {
    match value {
        // Data is not read as text.
        Value::String(part) if !part.starts_with("data:") => {
            text.push_str(part);
            text.push('\n');
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, text)),
        Value::Object(members) => members.values().for_each(|part| collect(part, text)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use ziggurat_core::Deployment;
    use ziggurat_testkit::one_thread::OneThread;

    use super::*;

    fn asks(words: usize) -> LlmRequest {
        LlmRequest::chat("gpt", &"word ".repeat(words))
    }

    fn snapshot(window: u64) -> Snapshot {
        Snapshot::new([Deployment::new("a", "gpt", "gpt-4o").with_max_input_tokens(window)])
    }

    #[test]
    fn only_what_is_near_a_window_is_counted() {
        for (words, window, counted) in [
            (8_000, 10_000, true),
            (8_000, 8_192, true),
            (8_000, 128_000, false),
            (8_000, 2_000, false),
            (100, 128, false),
        ] {
            let near = Uncounted::new(asks(words), &snapshot(window)).is_ok();
            assert_eq!(near, counted, "{words} words, {window} tokens");
        }
    }

    #[tokio::test]
    async fn the_count_is_attached_to_the_request() {
        let Ok(uncounted) = Uncounted::new(asks(8_000), &snapshot(8_192)) else {
            panic!("is near");
        };
        let request = uncounted.count().await;
        let counted = request.extensions().get::<ExactInputTokens>();
        let tokens = counted.expect("was counted").0;
        assert!((7_900..9_000).contains(&tokens), "{tokens}");
    }

    #[test]
    fn it_is_not_counted_on_the_thread_that_serves() {
        let Ok(uncounted) = Uncounted::new(asks(8_000), &snapshot(8_192)) else {
            panic!("is near");
        };
        let (at_once, request) = OneThread::new().run_at_once(uncounted.count());
        assert!(!at_once);
        assert!(request.extensions().get::<ExactInputTokens>().is_some());
    }

    #[tokio::test]
    async fn what_is_counted_for_nobody_takes_its_room_until_it_is_done() {
        static ROOM: Semaphore = Semaphore::const_new(1);
        let (end, ended) = mpsc::channel();
        let mut counting = Box::pin(in_line(&ROOM, move || ended.recv()));
        assert!((&mut counting).now_or_never().is_none());
        drop(counting);
        assert_eq!(ROOM.available_permits(), 0);
        end.send(()).expect("it is waited for");
        assert_eq!(in_line(&ROOM, || 7).await, Some(7));
    }
}
