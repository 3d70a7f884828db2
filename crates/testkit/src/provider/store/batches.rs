use http::Method;
use serde_json::{Value, json};

use super::{Given, Place, Shelves, Wish, files, list};
use crate::provider::render::{CREATED, Kind, Shape, healthy_text};

/// A batch is begun when somebody looks at it for the first time, and done at the second.
pub(super) fn answer(shelves: &mut Shelves, place: Place<'_>, wish: &Wish<'_>) -> Given {
    let unknown = |id| Given::unknown("batch", id);
    match (wish.method, place.id, place.action) {
        (&Method::POST, None, None) => create(shelves, wish),
        (&Method::GET, None, None) => list(wish.path, shelves.batches.all()),
        (&Method::GET, Some(id), None) => {
            run(shelves, id);
            match shelves.batches.get(id) {
                Some((batch, ())) => Given::Json(batch.clone()),
                None => unknown(id),
            }
        }
        (&Method::POST, Some(id), Some("cancel")) => match shelves.batches.get_mut(id) {
            Some(batch) if is_open(batch) => {
                batch["status"] = "cancelling".into();
                batch["cancelling_at"] = CREATED.into();
                Given::Json(batch.clone())
            }
            Some(batch) => {
                let status = &batch["status"];
                Given::no(format!("Cannot cancel a batch with status {status}."))
            }
            None => unknown(id),
        },
        _ => Given::no("there is no such method for batches"),
    }
}

fn create(shelves: &mut Shelves, wish: &Wish<'_>) -> Given {
    let asked: Value = serde_json::from_slice(wish.body).unwrap_or_default();
    let Some(input) = asked["input_file_id"].as_str() else {
        return Given::no("'input_file_id' is a required property");
    };
    if shelves.files.get(input).is_none() {
        return Given::unknown("File object", input);
    }
    let batch = json!({
        "id": format!("batch_{}", wish.name),
        "object": "batch",
        "endpoint": asked["endpoint"],
        "errors": null,
        "input_file_id": input,
        "completion_window": asked["completion_window"],
        "status": "validating",
        "output_file_id": null,
        "error_file_id": null,
        "created_at": CREATED,
        "completed_at": null,
        "cancelling_at": null,
        "cancelled_at": null,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": asked["metadata"],
    });
    shelves.batches.put(batch.clone(), ());
    Given::Json(batch)
}

fn is_open(batch: &Value) -> bool {
    batch["status"] == "validating" || batch["status"] == "in_progress"
}

/// Takes a batch a step further.
fn run(shelves: &mut Shelves, id: &str) {
    let Some(batch) = shelves.batches.get_mut(id) else {
        return;
    };
    if batch["status"] == "cancelling" {
        batch["status"] = "cancelled".into();
        batch["cancelled_at"] = CREATED.into();
    }
    if batch["status"] == "validating" {
        batch["status"] = "in_progress".into();
        return;
    }
    if batch["status"] != "in_progress" {
        return;
    }
    let input = batch["input_file_id"].as_str().unwrap_or_default();
    let Some((_, content)) = shelves.files.get(input) else {
        batch["status"] = "failed".into();
        return;
    };
    let lines = content.split(|byte| *byte == b'\n');
    let lines: Vec<Value> = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let output_id = format!("file-output-{id}");
    let count = lines.len();
    batch["status"] = "completed".into();
    batch["completed_at"] = CREATED.into();
    batch["output_file_id"] = output_id.clone().into();
    batch["request_counts"] = json!({"total": count, "completed": count, "failed": 0});
    let outputs = lines.iter().enumerate();
    let outputs: String = outputs
        .map(|(at, line)| format!("{}\n", output(id, at, line)))
        .collect();
    files::put(
        shelves,
        &output_id,
        "output.jsonl",
        "batch_output",
        outputs.into(),
    );
}

/// The line of one request.
fn output(batch: &str, at: usize, line: &Value) -> Value {
    let kind = line["url"]
        .as_str()
        .and_then(Kind::of)
        .unwrap_or(Kind::Chat);
    let name = batch.strip_prefix("batch_").unwrap_or(batch);
    let shape = Shape {
        kind,
        id: format!("{}-{name}-{at}", kind.id_prefix()),
        model: line["body"]["model"].as_str().unwrap_or("unknown"),
        usage: (10, 5),
        usage_asked: false,
    };
    let body = match kind {
        Kind::Embeddings => shape.embeddings(1, false),
        Kind::Chat | Kind::Text => shape.whole(&healthy_text(name, 1), true),
    };
    let body: Value = serde_json::from_slice(&body).expect("what is written is JSON");
    json!({
        "id": format!("batch_req_{name}_{at}"),
        "custom_id": line["custom_id"],
        "response": {"status_code": 200, "request_id": format!("req_{name}_{at}"), "body": body},
        "error": null,
    })
}
