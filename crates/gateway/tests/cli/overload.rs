//! What the gateway bears: bodies and connections.

use std::{
    convert::Infallible,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all, stream};
use http::{Request, Response, header::RETRY_AFTER};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, oneshot},
    time::Instant,
};
use tower::{ServiceExt as _, service_fn};
use ziggurat::{
    ByteBudget, Deployment, Deployments, Error, LlmRequest, LlmResponse, Operation, Router,
    config::Plan,
};
use ziggurat_gateway::{Connections, DEFAULT_BODY_BUDGET, Endpoint, Gateway, Server, serve};

use crate::serve::soon;

const MIB: usize = 1 << 20;
/// More than sockets take.
const LONG: usize = 16 * MIB;

/// A body of a mebibyte, all at once or in pieces.
fn body(in_pieces: bool) -> Body {
    let text = format!(
        r#"{{"model":"gpt","messages":[],"user":"{}"}}"#,
        "x".repeat(MIB - 39)
    );
    let text = Bytes::from(text);
    assert_eq!(text.len(), MIB);
    if !in_pieces {
        return Body::from(text);
    }
    let pieces: Vec<_> = text.chunks(64 * 1024).map(Bytes::copy_from_slice).collect();
    // Other requests get their turn between two pieces.
    let pieces = stream::iter(pieces).then(|piece| async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(piece)
    });
    Body::from_stream(pieces)
}

#[tokio::test]
async fn of_twice_the_bodies_that_there_is_room_for_some_are_refused_and_all_room_comes_back() {
    for in_pieces in [false, true] {
        // An eighth of it is for small ones.
        let budget = ByteBudget::new(10 * MIB as u64);
        let leave = Arc::new(Semaphore::new(0));
        let (held, waits) = (budget.clone(), Arc::clone(&leave));
        let stack = service_fn(move |request: LlmRequest| {
            let (held, waits) = (held.clone(), Arc::clone(&waits));
            async move {
                assert!(held.used() <= held.limit(), "{held:?}");
                drop(waits.acquire().await);
                drop(request);
                Ok::<_, Error>(LlmResponse::complete(r#"{"choices": []}"#, None))
            }
        });
        let deployments: Deployments = [Deployment::new("a", "gpt", "m")].into_iter().collect();
        let gateway = Gateway::new(deployments).body_budget(budget.clone());
        let service = gateway.service(&stack);
        let ask = || {
            let request = Request::post("/v1/chat/completions").body(body(in_pieces));
            service.clone().oneshot(request.expect("is a request"))
        };
        let refused = Arc::new(Semaphore::new(0));
        let answers = (0..16).map(|_| async {
            let Ok(answer) = ask().await;
            if answer.status() == 503 {
                assert!(answer.headers().contains_key(RETRY_AFTER));
                refused.add_permits(1);
            }
            assert!(budget.used() <= budget.limit());
            answer.status().as_u16()
        });
        let release = async {
            // In pieces all may have begun, and none of them fits.
            let refusals = refused.acquire_many(8).await.expect("is open");
            refusals.forget();
            leave.add_permits(16);
        };
        let (statuses, ()) = tokio::join!(join_all(answers), release);
        let count = |status| statuses.iter().filter(|it| **it == status).count();
        assert_eq!(count(200) + count(503), 16, "{statuses:?}");
        assert!(
            count(503) >= 8 && (in_pieces || count(200) == 8),
            "{statuses:?}"
        );
        assert_eq!(budget.used(), 0, "in pieces: {in_pieces}");

        let Ok(answer) = ask().await;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn bodies_leave_room_to_those_of_better_priorities_and_long_ones_to_small_ones() {
    let file = "
model_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: sk-upstream}}]
ziggurat_settings:
  overload: {body_bytes: 1048576}
  keys:
    - {name: high, key: sk-high-0123456789, priority: 0}
    - {name: low, key: sk-low-0123456789, priority: 10}
";
    let plan = Plan::parse(file, "config.yaml", |_| None).expect("is valid");
    let gateway = Gateway::over(&Router::from_plan(&plan).expect("is valid"));
    for (whose, length, held, also) in [
        // Of a mebibyte three quarters are left to who has not the best priority, less an eighth of
        // all for long bodies.
        ("low", 50_000, 15, "high"),
        ("low", 100_000, 6, "high"),
        ("high", 100_000, 9, "high"),
    ] {
        let leave = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&leave);
        let stack = service_fn(move |request: LlmRequest| {
            let waits = Arc::clone(&waits);
            async move {
                if request.user().is_some() {
                    drop(waits.acquire().await);
                }
                Ok::<_, Error>(LlmResponse::complete(r#"{"choices": []}"#, None))
            }
        });
        let service = gateway.service(&stack);
        let ask = |whose, body: String| {
            let request = Request::post("/v1/chat/completions");
            let request = request.header("x-api-key", format!("sk-{whose}-0123456789"));
            let request = request.body(Body::from(body)).expect("is a request");
            service.clone().oneshot(request).map(|answer| {
                let Ok(answer) = answer;
                answer.status().as_u16()
            })
        };
        let long = || {
            let user = "x".repeat(length);
            ask(
                whose,
                format!(r#"{{"model":"gpt","messages":[],"user":"{user}"}}"#),
            )
        };
        let mut waiting: Vec<_> = (0..held).map(|_| Box::pin(long())).collect();
        for waits in &mut waiting {
            assert!(waits.now_or_never().is_none(), "{whose} {length}");
        }
        assert_eq!(long().await, 503, "{whose} {length}");
        let small = r#"{"model":"gpt","messages":[]}"#;
        assert_eq!(ask(also, small.to_owned()).await, 200, "{whose} {length}");
        leave.add_permits(held);
        assert_eq!(join_all(waiting).await, vec![200; held]);
        assert_eq!(gateway.bodies().used(), 0);
    }
}

#[tokio::test]
async fn what_a_plan_no_longer_says_of_bodies_is_as_usual_again() {
    let plan = |settings: &str| {
        let model = "{model_name: gpt, litellm_params: {model: openai/m, api_key: sk-upstream}}";
        let file = format!("model_list: [{model}]\n{settings}");
        Plan::parse(&file, "config.yaml", |_| None).expect("is valid")
    };
    let said = plan("ziggurat_settings: {overload: {body_bytes: 1000}}");
    let router = Router::from_plan(&said).expect("is valid");
    let gateway = Gateway::over(&router);
    let own = Gateway::over(&router).body_budget(ByteBudget::new(7));
    assert_eq!(
        (gateway.bodies().limit(), own.bodies().limit()),
        (1000, 1000)
    );
    for (plan, bytes) in [
        (plan(""), (DEFAULT_BODY_BUDGET, 7)),
        (said, (1000, 1000)),
        (plan(""), (DEFAULT_BODY_BUDGET, 7)),
    ] {
        for gateway in [&gateway, &own] {
            gateway.reload(&plan).expect("is valid");
        }
        assert_eq!((gateway.bodies().limit(), own.bodies().limit()), bytes);
    }
}

/// A server whose requests wait for leave to be answered.
struct Serving {
    address: SocketAddr,
    leave: Arc<Semaphore>,
    counts: Connections,
}

async fn serving(server: Server) -> Serving {
    serving_until(server, std::future::pending()).await
}

#[expect(clippy::disallowed_methods, reason = "the server")]
async fn serving_until(server: Server, stop: impl Future<Output = ()> + Send + 'static) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("is bound");
    let leave = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&leave);
    let service = service_fn(move |request: Request<Body>| {
        let waits = Arc::clone(&waits);
        async move {
            if request.uri().path() == "/waits" {
                drop(waits.acquire().await);
            }
            let answer = match request.uri().path() {
                "/long" => Body::from(vec![b'x'; LONG]),
                _ => Body::from("served"),
            };
            drop(request.into_body().collect().await);
            Ok::<_, Infallible>(Response::new(answer))
        }
    });
    let counts = server.counts();
    tokio::spawn(server.serve(listener, service, stop));
    Serving {
        address,
        leave,
        counts,
    }
}

impl Serving {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("listens")
    }

    /// A connection with a request.
    async fn ask(&self, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        _ = stream.write_all(head.as_bytes()).await;
        stream
    }

    async fn until(&self, what: &str, holds: impl Fn(&Connections) -> bool) {
        soon(what, async {
            while !holds(&self.counts) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Reads to the end of the first answer, or of the connection.
async fn answer(stream: &mut TcpStream) -> String {
    let mut seen = String::new();
    let mut piece = [0; 1024];
    while !seen.ends_with("served") {
        match soon("an answer", stream.read(&mut piece)).await {
            Ok(0) | Err(_) => break,
            Ok(read) => seen += &String::from_utf8_lossy(&piece[..read]),
        }
    }
    seen
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("is over zero")
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_there_is_room_again_later() {
    let serving = serving(Server::new().connections(some(2))).await;
    let mut open = [serving.ask("/waits").await, serving.ask("/waits").await];
    serving.until("both are open", |it| it.open() == 2).await;
    let mut late = serving.ask("/").await;
    let refusal = answer(&mut late).await;
    assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
    for part in [
        "retry-after: 1\r\n",
        "connection: close\r\n",
        "too_many_connections",
    ] {
        assert!(refusal.contains(part), "{refusal}");
    }
    serving.leave.add_permits(2);
    for stream in &mut open {
        assert!(answer(stream).await.starts_with("HTTP/1.1 200 "));
    }
    drop(open);
    serving.until("both are gone", |it| it.open() == 0).await;
    assert!(answer(&mut serving.ask("/").await).await.contains("served"));
    assert_eq!(serving.counts.refused(), 1);
}

#[tokio::test]
async fn connections_without_a_request_make_room_for_those_with_one() {
    let serving = serving(Server::new().connections(some(8))).await;
    let mut working = serving.ask("/waits").await;
    serving.until("it is open", |it| it.open() == 1).await;
    let mut idle = Vec::new();
    for text in ["", "GET / HT"].repeat(20) {
        let mut stream = serving.connect().await;
        _ = stream.write_all(text.as_bytes()).await;
        idle.push(stream);
        assert!(serving.counts.open() <= 8);
    }
    // While they are told, others may be refused.
    soon("somebody is served", async {
        while !answer(&mut serving.ask("/").await).await.contains("served") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    serving.leave.add_permits(1);
    let served = answer(&mut working).await;
    assert!(
        served.starts_with("HTTP/1.1 200 "),
        "what works is left alone: {served}"
    );
}

#[tokio::test]
async fn an_answer_on_its_way_comes_whole_at_the_end_and_where_its_place_is_needed() {
    for at_the_end in [true, false] {
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new().connections(some(1));
        let serving = serving_until(server, async { _ = stopped.await }).await;
        let mut slow = serving.ask("/long").await;
        // Hyper has it all then, and the socket what it takes.
        let first = soon("an answer", slow.read(&mut [0; 1024])).await;
        let first = first.expect("is answered");
        match at_the_end {
            true => _ = stop.send(()),
            false => assert!(answer(&mut serving.ask("/").await).await.contains(" 503 ")),
        }
        // Longer than who has no request has to leave in.
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(5)).await;
        tokio::time::resume();
        let mut rest = Vec::new();
        let read = soon("the rest", slow.read_to_end(&mut rest)).await;
        read.expect("it is not cut off");
        assert!(first + rest.len() > LONG, "{at_the_end} {}", rest.len());
    }
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may_have() {
    let most = NonZeroU32::new(1);
    let serving = serving(Server::new().connections_per_address(most)).await;
    let first = serving.ask("/waits").await;
    serving.until("it is open", |it| it.open() == 1).await;
    let refusal = answer(&mut serving.ask("/").await).await;
    assert!(refusal.starts_with("HTTP/1.1 429 "), "{refusal}");
    drop(first);
    serving.until("it is gone", |it| it.open() == 0).await;
    assert!(answer(&mut serving.ask("/").await).await.contains("served"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_or_nothing_more_is_closed() {
    let serving = serving(Server::new()).await;
    for text in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nhost",
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let began = Instant::now();
        let mut stream = serving.connect().await;
        stream.write_all(text.as_bytes()).await.expect("is taken");
        // HTTP/2 begins with settings.
        let mut seen = Vec::new();
        // Without a clock of its own: time would go on to that before the connection is accepted.
        drop(stream.read_to_end(&mut seen).await);
        assert!(began.elapsed() >= Duration::from_secs(30), "{text:?}");
        serving.until("it is gone", |it| it.open() == 0).await;
    }
}

#[tokio::test]
async fn a_long_request_is_read_by_another_thread_and_a_short_one_at_once() {
    let stack = service_fn(async |_: LlmRequest| {
        Ok::<_, Error>(LlmResponse::complete(r#"{"choices": []}"#, None))
    });
    for (length, at_once) in [(1_000, true), (MIB, false)] {
        let text = format!(
            r#"{{"model":"gpt","messages":[],"user":"{}"}}"#,
            "x".repeat(length)
        );
        let endpoint = Endpoint::new(stack, Operation::ChatCompletions);
        let request = Request::post("/")
            .body(Body::from(text))
            .expect("is a request");
        let mut answer = Box::pin(endpoint.oneshot(request));
        // Body and stack are ready, so nothing else is waited for.
        let first = answer.as_mut().now_or_never();
        assert_eq!(first.is_some(), at_once, "{length}");
        let answer = match first {
            Some(answer) => answer,
            None => soon("an answer", answer).await,
        };
        let Ok(answer) = answer;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn who_has_connected_before_it_closes_is_served() {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    let bound = socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    bound.expect("a port is free");
    let listener = socket.listen(1_024).expect("listens");
    let address = listener.local_addr().expect("is bound");
    let mut waiting = Vec::new();
    // More than Tokio accepts in one turn.
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.expect("listens");
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sent.expect("is taken");
        waiting.push(stream);
    }
    let service = service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::from("served")))
    });
    let serving = serve(
        listener,
        service,
        std::future::ready(()),
        Duration::from_secs(30),
    );
    let reading = join_all(waiting.iter_mut().map(answer));
    let (served, answers) = soon("all are served", async { tokio::join!(serving, reading) }).await;
    served.expect("never fails");
    assert!(
        answers.iter().all(|it| it.contains("served")),
        "{answers:?}"
    );
    assert!(TcpStream::connect(address).await.is_err(), "it is closed");
}
