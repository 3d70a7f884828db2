//! Whole stacks under test: the gateway on a real socket over simulated providers that misbehave.

mod form;
mod frame;
mod virtual_world;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use ziggurat::{Router, config::Plan};
use ziggurat_gateway::{Gateway, serve};
use ziggurat_testkit::provider::Simulator;

pub use self::{
    form::Form,
    frame::event_frame,
    virtual_world::{Answer, VirtualWorld},
};

/// How long a test waits for what must happen anyway, before it says that it did not.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that runs over a simulator, and a client of it.
#[derive(Debug)]
pub struct World {
    /// The providers.
    pub providers: Arc<Simulator>,
    /// The router inside the gateway.
    pub router: Router,
    /// The gateway, built as `ziggurat serve` builds it.
    pub gateway: Gateway,
    /// Where the gateway listens.
    pub address: SocketAddr,
    /// A client without retries of its own.
    pub client: reqwest::Client,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    background: tokio::task::JoinHandle<()>,
}

/// What came back of a request.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as far as it came.
    pub text: String,
    /// Whether the body broke off at the level of the transport.
    pub broken: bool,
}

impl World {
    /// Starts a gateway with a configuration in which `{a}`, `{b}`, … stand for the base URLs of
    /// simulated providers of that name.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start(config: &str) -> Self {
        let providers = Arc::new(Simulator::start().await.expect("a port is free"));
        let plan = plan(config, &providers);
        let router = Router::from_plan(&plan).expect("the plan is valid");
        let gateway = Gateway::over(&router);
        let service = gateway.service(&router);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        #[expect(
            clippy::disallowed_methods,
            reason = "the gateway runs beside the test"
        )]
        let (server, background) = {
            let background = router.background().expect("the router is new");
            let serving = serve(listener, service, std::future::pending(), Duration::ZERO);
            (tokio::spawn(serving), tokio::spawn(background))
        };
        // A second test in the same process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .retry(reqwest::retry::never())
            .build()
            .expect("has no bad option");
        Self {
            providers,
            router,
            gateway,
            address,
            client,
            server,
            background,
        }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Carries out another configuration, with names of providers as in [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// If it is not valid.
    pub fn reload(&self, config: &str) {
        let plan = plan(config, &self.providers);
        self.gateway.reload(&plan).expect("the plan is valid");
    }

    /// Sends a request, and reads the answer to its end.
    ///
    /// # Panics
    ///
    /// If the gateway gives no answer at all.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = tokio::time::timeout(PATIENCE, request.send())
            .await
            .expect("answers in time")
            .expect("answers");
        Reply::read(response).await
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.client.get(self.url(path))).await
    }

    /// Sends a body to a path, and reads the answer to its end.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.client.post(self.url(path)).json(body)).await
    }

    /// Sends a form to a path, and reads the answer to its end.
    pub async fn post_form(&self, path: &str, form: &Form) -> Reply {
        let request = self.client.post(self.url(path));
        let request = request.header("content-type", Form::CONTENT_TYPE);
        self.send(request.body(form.to_bytes())).await
    }

    /// Sends a chat request with a header.
    pub async fn chat_with(&self, header: (&str, &str), model: &str, more: Value) -> Reply {
        let request = self.client.post(self.url("/v1/chat/completions"));
        let request = request.header(header.0, header.1);
        self.send(request.json(&chat(model, more))).await
    }

    /// Sends a chat request.
    pub async fn chat(&self, model: &str, more: Value) -> Reply {
        self.post("/v1/chat/completions", &chat(model, more)).await
    }
}

/// Reads a configuration over providers. `{a}` is the base of OpenAI's API at provider `a`, `{a/}`
/// what comes before any API.
fn plan(config: &str, providers: &Simulator) -> Plan {
    let mut text = config.to_owned();
    for name in 'a'..='z' {
        let name = name.to_string();
        text = text.replace(&format!("{{{name}}}"), &providers.base_url(&name));
        text = text.replace(&format!("{{{name}/}}"), &providers.root_url(&name));
    }
    match Plan::parse(&text, "test.yaml", |_| None) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

/// A chat request with further fields.
///
/// # Panics
///
/// If `more` is no object.
#[must_use]
pub fn chat(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    let Value::Object(more) = more else {
        panic!("further fields are an object")
    };
    body.as_object_mut().expect("it is one").extend(more);
    body
}

impl Reply {
    /// Reads a response to its end.
    ///
    /// # Panics
    ///
    /// If the end does not come in time.
    pub async fn read(mut response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        let broken = loop {
            match tokio::time::timeout(PATIENCE, response.chunk())
                .await
                .expect("a body goes on or ends")
            {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        Self {
            status,
            headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            broken,
        }
    }

    /// A header, empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The data of each event of a stream.
    #[must_use]
    pub fn events(&self) -> Vec<&str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim)
            .collect()
    }

    /// The text of the answer, buffered or streamed.
    #[must_use]
    pub fn answer(&self) -> String {
        if let Some(text) = self.json()["choices"][0]["message"]["content"].as_str() {
            return text.to_owned();
        }
        let events = self
            .events()
            .into_iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok());
        events
            .filter_map(|event| {
                event["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    }

    /// Whether a stream came to its proper end.
    #[must_use]
    pub fn is_whole_stream(&self) -> bool {
        !self.broken && self.events().last() == Some(&"[DONE]")
    }

    /// Whether a stream ended with an error event.
    #[must_use]
    pub fn ends_in_error(&self) -> bool {
        !self.broken
            && self
                .events()
                .last()
                .is_some_and(|event| event.starts_with("{\"error\""))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
        self.background.abort();
    }
}
