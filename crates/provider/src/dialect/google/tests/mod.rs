mod answered;
mod asked;
mod embedded;
mod recorded;
mod vertex;

use ziggurat_core::{Deployment, Secret};

use super::*;
use crate::dialect::trial::{CANARY, Trial};

/// A chat with a model of AI Studio.
fn studio(model: &'static str, body: Value) -> Trial {
    let deployment = move |_| {
        Deployment::new("a", "g", model)
            .with_provider("gemini")
            .with_credential(Secret::new(CANARY))
    };
    Trial::chat(&GEMINI, body).with(deployment)
}

/// A chat with a model of Vertex AI.
fn vertex(model: &'static str, body: Value) -> Trial {
    Trial::chat(&VERTEX, body).with(move |_| on_vertex(model))
}

fn on_vertex(model: &str) -> Deployment {
    Deployment::new("a", "g", model)
        .with_provider("vertex_ai")
        .with_credential(Secret::new(CANARY))
        .with_param("vertex_project", Secret::new("p-1"))
        .with_param("vertex_location", Secret::new("europe-west4"))
}
