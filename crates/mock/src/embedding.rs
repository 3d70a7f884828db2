//! Made-up embeddings.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// How many inputs get a vector: as many as OpenAI takes.
const MOST_INPUTS: usize = 2048;

/// The vector of every input.
const VECTOR: [f64; 3] = [0.1, 0.2, 0.3];

/// The vectors for an input, as it stands in the body.
pub(crate) fn vectors(input: &str) -> Vec<Value> {
    let vector = |index| json!({"object": "embedding", "index": index, "embedding": VECTOR});
    (0..inputs(input).min(MOST_INPUTS)).map(vector).collect()
}

/// How many inputs there are: a list of numbers is one, its tokens.
fn inputs(input: &str) -> usize {
    let list = input.trim_start().strip_prefix('[').unwrap_or_default();
    if !list.trim_start().starts_with(['"', '[']) {
        return 1;
    }
    serde_json::from_str::<Vec<IgnoredAny>>(input).map_or(1, |inputs| inputs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_input_gets_a_vector() {
        for (input, count) in [
            (r#""hi""#, 1),
            (r#"["a", "b,c", "d"]"#, 3),
            ("[1, 2, 3]", 1),
            ("[[1, 2], [3]]", 2),
            ("[]", 1),
            ("", 1),
        ] {
            assert_eq!(vectors(input).len(), count, "{input}");
        }
        let many = format!("[{}]", ["[]"; 5_000].join(","));
        assert_eq!(vectors(&many).len(), MOST_INPUTS);
    }
}
