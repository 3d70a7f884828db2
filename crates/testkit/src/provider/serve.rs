use std::{
    convert::Infallible,
    future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
    request::Parts,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

use super::{
    Shared, Step,
    answer::{self, Plan},
    body::Play,
    dialect,
    realtime::{self, Session},
    refusal,
    step::Reply,
    store::{Store, Wish},
};

const MAX_REQUEST: usize = 256 << 20;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A connection as seen by those who may want to cut it.
#[derive(Debug, Default)]
pub(super) struct Line {
    end: AtomicU8,
    notify: Notify,
    /// What is played once the connection is no longer one of HTTP.
    session: Mutex<Option<Session>>,
}

const CLOSE: u8 = 1;
const RESET: u8 = 2;

impl Line {
    pub(super) fn close(&self) {
        self.cut(CLOSE);
    }

    pub(super) fn reset(&self) {
        self.cut(RESET);
    }

    fn cut(&self, end: u8) {
        self.end.store(end, Ordering::Release);
        self.notify.notify_one();
    }

    /// Waits until it is cut.
    pub(super) async fn cut_off(&self) {
        self.notify.notified().await;
    }

    pub(super) fn is_reset(&self) -> bool {
        self.end.load(Ordering::Acquire) == RESET
    }

    /// Whether it was this side that ended the connection.
    pub(super) fn is_cut(&self) -> bool {
        self.end.load(Ordering::Acquire) != 0
    }
}

/// Accepts connections until it is stopped; they end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // It fails only if the peer is gone, which the next read tells.
                    _ = stream.set_nodelay(true);
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                // The process is out of file descriptors, or the peer is gone already.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            () = shared.stop.notified() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// A connection whose end can be told from a proper one.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Makes that it ends with a reset when it is dropped, where that is known.
    fn reset(&self) {}
}

impl Wire for TcpStream {
    fn reset(&self) {
        // A socket that must not linger is closed by a reset.
        _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Wire for DuplexStream {}

pub(super) async fn connection(stream: impl Wire, shared: Arc<Shared>) {
    let line = Arc::new(Line::default());
    let service = service_fn(|request| {
        let (shared, line) = (Arc::clone(&shared), Arc::clone(&line));
        async move { Ok::<_, Infallible>(handle(&shared, &line, request).await) }
    });
    let mut conn = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        () = line.cut_off() => {}
        _ = &mut conn => {
            let session = line.session.lock().take();
            let Some(session) = session else { return };
            let parts = conn.into_parts();
            let stream = parts.io.into_inner();
            return realtime::play(session, stream, parts.read_buf, &line).await;
        }
    }
    // It holds its line, which would hold it for ever.
    drop(line.session.lock().take());
    let stream = conn.into_parts().io.into_inner();
    if line.is_reset() {
        stream.reset();
    }
}

async fn handle(shared: &Shared, line: &Arc<Line>, request: Request<Incoming>) -> Response<Play> {
    let (head, body) = request.into_parts();
    let (name, path) = split(&head);
    let provider = shared.provider(&name);
    let is_kept = Store::keeps(&head.method, &path);
    let upgrade = realtime::key(&head).map(|key| (key, realtime::protocol(&head)));
    if head.method != Method::POST && !is_kept && upgrade.is_none() {
        if provider.killed() {
            line.reset();
            future::pending::<()>().await;
        }
        return look_up(&head, &name, &path);
    }
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return unreadable(error.is::<LengthLimitError>()),
    };

    let (method, headers) = (head.method.clone(), is_kept.then(|| head.headers.clone()));
    let (in_flight, step) = provider.begin(head, path.clone(), body.clone(), line);
    if !step.delay.is_zero() {
        tokio::time::sleep(step.delay).await;
    }
    match step.reply {
        Reply::Hang => future::pending::<()>().await,
        Reply::Reset => {
            line.reset();
            future::pending::<()>().await;
        }
        Reply::Answer | Reply::Error | Reply::Raw(..) => {}
    }
    let serial = in_flight.serial();
    if let Some((key, protocol)) = upgrade.filter(|_| realtime::accepts(&step)) {
        let mut response = Response::new(Play::new(Vec::new(), None, None));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = realtime::headers(&key, protocol);
        add_headers(response.headers_mut(), &step);
        *line.session.lock() = Some(Session {
            step,
            name,
            path,
            in_flight,
        });
        return response;
    }
    let kept = headers.filter(|_| matches!(step.reply, Reply::Answer));
    let kept = kept.and_then(|headers| {
        let wish = Wish {
            method: &method,
            path: &path,
            headers: &headers,
            body: &body,
            name: format!("{name}-{serial}"),
        };
        provider.store().plan(&step, &wish)
    });
    let plan = match kept {
        Some(plan) => plan,
        None => answer::plan(&step, provider.store(), &name, &path, serial, &body),
    };
    let Plan {
        status,
        content_type,
        acts,
        length,
        headers: own,
        without,
    } = plan;
    let body = Play::new(acts, length, Some(in_flight));
    let mut response = respond(status, content_type, body);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(format!("req_{name}_{serial}")) {
        headers.insert(REQUEST_ID, id);
    }
    add_headers(headers, &step);
    if let Some(unknown) = without {
        headers.remove(unknown);
    }
    headers.extend(own);
    response
}

/// Later headers of one name are added to the earlier ones, but replace what was there by itself.
fn add_headers(headers: &mut HeaderMap, step: &Step) {
    for (name, _) in &step.headers {
        headers.remove(name);
    }
    for (name, value) in &step.headers {
        headers.append(name, value.clone());
    }
}

/// Splits the name of the provider from the path and query behind it.
fn split(head: &Parts) -> (String, String) {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.strip_prefix('/').unwrap_or(path);
    let end = path.find(['/', '?']).unwrap_or(path.len());
    (path[..end].to_owned(), path[end..].to_owned())
}

fn look_up(head: &Parts, name: &str, path: &str) -> Response<Play> {
    let models = (head.method == Method::GET)
        .then(|| dialect::models(name, path, &head.headers))
        .flatten();
    let (status, json) = match models {
        Some(models) => (StatusCode::OK, models.to_string().into()),
        None => (
            StatusCode::NOT_FOUND,
            refusal::unknown_url(head.method.as_str(), path),
        ),
    };
    respond(status, answer::JSON, Play::whole(json))
}

fn unreadable(too_long: bool) -> Response<Play> {
    let (status, body) = if too_long {
        (StatusCode::PAYLOAD_TOO_LARGE, refusal::too_long())
    } else {
        (StatusCode::BAD_REQUEST, Bytes::new())
    };
    respond(status, answer::JSON, Play::whole(body))
}

fn respond(status: StatusCode, content_type: HeaderValue, body: Play) -> Response<Play> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
