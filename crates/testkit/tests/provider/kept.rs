//! Files, batches and responses, each kept by the provider that got it.

use http::Method;
use serde_json::{Value, json};
use ziggurat_testkit::provider::{Simulator, Step};

use super::support::{Answer, get, post, send_as};

const FORM: &str = "multipart/form-data; boundary=line";

async fn upload(sim: &Simulator, name: &str, content: &str) -> Answer {
    let body = format!(
        "--line\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--line\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{content}\r\n--line--\r\n"
    );
    send_as(sim, Method::POST, name, "/v1/files", FORM, body).await
}

async fn delete(sim: &Simulator, name: &str, path: &str) -> Answer {
    send_as(sim, Method::DELETE, name, path, "text/plain", String::new()).await
}

fn id(answer: &Answer) -> String {
    let json = answer.json();
    json["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{json}"))
        .to_owned()
}

#[tokio::test]
async fn a_file_is_there_until_it_is_deleted_and_nowhere_else() {
    let sim = Simulator::start().await.unwrap();
    let file = upload(&sim, "a", "one\r\n\r\ntwo").await;
    let json = file.json();
    assert_eq!(
        (&json["object"], &json["bytes"]),
        (&json!("file"), &json!(10))
    );
    assert_eq!(
        (&json["filename"], &json["purpose"]),
        (&json!("in.jsonl"), &json!("batch"))
    );
    let path = format!("/v1/files/{}", id(&file));
    assert_eq!(get(&sim, "a", &path).await.json(), json);
    let content = get(&sim, "a", &format!("{path}/content")).await;
    assert_eq!(content.text(), "one\r\n\r\ntwo");
    assert_eq!(get(&sim, "b", &path).await.status, 404);
    let second = upload(&sim, "a", "x").await;
    let page = get(&sim, "a", "/v1/files?limit=1").await.json();
    assert_eq!(
        (&page["data"][0]["id"], &page["has_more"]),
        (&json!(id(&second)), &json!(true))
    );
    let after = format!("/v1/files?after={}", id(&second));
    assert_eq!(get(&sim, "a", &after).await.json()["data"], json!([json]));
    assert_eq!(delete(&sim, "a", &path).await.json()["deleted"], true);
    assert_eq!(get(&sim, "a", &path).await.status, 404);
    assert_eq!(delete(&sim, "a", &path).await.status, 404);
}

#[tokio::test]
async fn a_batch_is_begun_and_then_done_when_it_is_looked_at() {
    let sim = Simulator::start().await.unwrap();
    let line = json!({"custom_id": "one", "url": "/v1/chat/completions", "body": {"model": "m"}});
    let file = id(&upload(&sim, "a", &format!("{line}\n{line}\n")).await);
    let asked = json!({"input_file_id": file, "endpoint": "/v1/chat/completions"});
    let create = || post(&sim, "a", "/v1/batches", &asked);
    let batch = create().await;
    assert_eq!(batch.json()["status"], "validating");
    let path = format!("/v1/batches/{}", id(&batch));
    assert_eq!(get(&sim, "a", &path).await.json()["status"], "in_progress");
    let done = get(&sim, "a", &path).await.json();
    assert_eq!(
        (&done["status"], &done["request_counts"]["completed"]),
        (&json!("completed"), &json!(2))
    );
    let output = done["output_file_id"].as_str().unwrap();
    let output = get(&sim, "a", &format!("/v1/files/{output}/content"))
        .await
        .text();
    let lines: Vec<Value> = output
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[0]["custom_id"]), (2, &json!("one")));
    assert_eq!(lines[1]["response"]["body"]["object"], "chat.completion");

    let other = id(&create().await);
    let path = format!("/v1/batches/{other}");
    let none = json!({});
    let cancelled = post(&sim, "a", &format!("{path}/cancel"), &none).await;
    assert_eq!(cancelled.json()["status"], "cancelling");
    assert_eq!(get(&sim, "a", &path).await.json()["status"], "cancelled");
    assert_eq!(
        post(&sim, "a", &format!("{path}/cancel"), &none)
            .await
            .status,
        400
    );
    assert_eq!(
        get(&sim, "a", "/v1/batches").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        post(&sim, "b", "/v1/batches", &asked).await.status,
        404,
        "it has no such file"
    );
}

#[tokio::test]
async fn a_response_is_kept_for_its_client() {
    let sim = Simulator::start().await.unwrap();
    let ask = async |more: Value| {
        let mut body = json!({"model": "m", "input": "hi"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        post(&sim, "a", "/v1/responses", &body).await
    };
    let response = ask(json!({})).await;
    let path = format!("/v1/responses/{}", id(&response));
    assert_eq!(get(&sim, "a", &path).await.json(), response.json());
    let items = get(&sim, "a", &format!("{path}/input_items")).await.json();
    assert_eq!(items["data"][0]["content"][0]["text"], "hi");
    assert_eq!(get(&sim, "b", &path).await.status, 404);
    let next = ask(json!({"previous_response_id": id(&response)})).await;
    assert_eq!(next.status, 200);
    let lost = ask(json!({"previous_response_id": "resp_other"})).await;
    assert_eq!(
        (lost.status, &lost.json()["error"]["code"]),
        (400, &json!("previous_response_not_found"))
    );
    let none = json!({});
    assert_eq!(
        post(&sim, "a", &format!("{path}/cancel"), &none)
            .await
            .status,
        400
    );
    assert_eq!(delete(&sim, "a", &path).await.json()["deleted"], true);
    assert_eq!(get(&sim, "a", &path).await.status, 404);

    let background = id(&ask(json!({"background": true})).await);
    let path = format!("/v1/responses/{background}/cancel");
    assert_eq!(
        post(&sim, "a", &path, &none).await.json()["status"],
        "cancelled"
    );
    let forgotten = id(&ask(json!({"store": false})).await);
    let path = format!("/v1/responses/{forgotten}");
    assert_eq!(get(&sim, "a", &path).await.status, 404);
    let streamed = ask(json!({"stream": true})).await.text();
    let (_, rest) = streamed.split_once("\"id\":\"resp_").unwrap();
    let streamed = format!("/v1/responses/resp_{}", rest.split('"').next().unwrap());
    assert_eq!(get(&sim, "a", &streamed).await.status, 200);
}

#[tokio::test]
async fn what_is_kept_is_asked_for_in_calls_that_may_fail() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", [Step::status(500), Step::ok()]);
    assert_eq!(get(&sim, "a", "/v1/files").await.status, 500);
    assert_eq!(get(&sim, "a", "/v1/files").await.status, 200);
    let calls = sim.calls("a");
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (&calls[0].method, &*calls[0].path),
        (&Method::GET, "/v1/files")
    );
}

#[tokio::test]
async fn models_are_listed_in_every_dialect() {
    let sim = Simulator::start().await.unwrap();
    assert_eq!(
        get(&sim, "a", "/v1/models/a").await.json()["object"],
        "model"
    );
    assert_eq!(get(&sim, "a", "/v1/models/b").await.status, 404);
    let google = get(&sim, "a", "/v1beta/models?pageSize=9").await.json();
    assert_eq!(google["models"][0]["name"], "models/a");
    assert_eq!(
        get(&sim, "a", "/api/tags").await.json()["models"][0]["model"],
        "a"
    );
    assert_eq!(sim.count("a"), 0);
}
