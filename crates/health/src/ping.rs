//! The request of a check.

use std::sync::Arc;

use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error, LlmRequest, Mode, Operation};

/// What is said to a model.
const WORD: &str = "ping";

/// The deployment as it is asked: for its model to ask, if it names one.
pub(crate) fn asked(deployment: &Arc<Deployment>) -> Arc<Deployment> {
    match &deployment.health_check().model {
        Some(model) => Arc::new(deployment.for_model(model)),
        None => Arc::clone(deployment),
    }
}

/// The smallest request that a deployment answers, if there is one.
///
/// # Errors
///
/// If the fields that are configured for it make no request.
pub(crate) fn request(deployment: &Deployment) -> Option<Result<LlmRequest, Error>> {
    if deployment.model().contains('*') {
        return None;
    }
    let check = deployment.health_check();
    let max_tokens = check.max_tokens.unwrap_or(1);
    let (operation, mut body) = match deployment.mode().unwrap_or(Mode::Chat) {
        Mode::Chat => {
            let messages = json!([{"role": "user", "content": WORD}]);
            let body = json!({"messages": messages, "max_tokens": max_tokens});
            (Operation::ChatCompletions, body)
        }
        Mode::Completion => {
            let body = json!({"prompt": WORD, "max_tokens": max_tokens});
            (Operation::Completions, body)
        }
        Mode::Embedding => (Operation::Embeddings, json!({"input": WORD})),
        _ => return None,
    };
    for (name, value) in &check.params {
        body[name] = value.clone();
    }
    body["model"] = Value::from(deployment.group());
    Some(LlmRequest::from_value(operation, &body))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::HealthCheck;

    use super::*;

    fn body(deployment: &Deployment) -> Value {
        let request = request(deployment)
            .expect("can be called")
            .expect("is valid");
        serde_json::from_slice(request.body()).expect("is JSON")
    }

    #[test]
    fn a_request_costs_one_token_unless_the_deployment_says_more() {
        let deployment = Deployment::new("a", "gpt", "m");
        assert_eq!(body(&deployment)["max_tokens"], 1);
        let mut check = HealthCheck::default();
        check.max_tokens = Some(16);
        check.params.insert("seed".to_owned(), json!(7));
        check.params.insert("model".to_owned(), json!("no"));
        let body = body(&deployment.with_health_check(check));
        assert_eq!(
            (&body["max_tokens"], &body["seed"], &body["model"]),
            (&json!(16), &json!(7), &json!("gpt"))
        );
    }

    #[test]
    fn each_mode_has_its_operation_or_none() {
        for mode in Mode::ALL {
            let deployment = Deployment::new("a", "gpt", "m").with_mode(*mode);
            let operation = request(&deployment).map(|it| it.expect("is valid").operation());
            let expected = match mode {
                Mode::Chat => Some(Operation::ChatCompletions),
                Mode::Completion => Some(Operation::Completions),
                Mode::Embedding => Some(Operation::Embeddings),
                _ => None,
            };
            assert_eq!(operation, expected, "{mode}");
        }
    }

    #[test]
    fn a_wildcard_is_called_for_the_model_it_names_or_not_at_all() {
        let wild = Arc::new(Deployment::new("a", "any/*", "*"));
        assert!(request(&asked(&wild)).is_none());
        let mut check = HealthCheck::default();
        check.model = Some(Arc::from("small"));
        let wild = Arc::new(Deployment::clone(&wild).with_health_check(check));
        let asked = asked(&wild);
        assert_eq!(asked.model(), "small");
        assert!(request(&asked).is_some_and(|request| request.is_ok()));
    }

    #[test]
    fn fields_that_make_no_request_are_an_error() {
        let mut check = HealthCheck::default();
        check.params.insert("stream".to_owned(), json!("yes"));
        let deployment = Deployment::new("a", "gpt", "m").with_health_check(check);
        assert!(request(&deployment).expect("can be called").is_err());
    }
}
