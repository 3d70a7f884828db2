//! How much thought an effort is worth.

/// The tokens that a word for an effort allows for thought; `None` for one that is not known, and
/// for `none`. The numbers are those of LiteLLM.
pub(crate) fn budget(effort: &str) -> Option<u64> {
    Some(match effort {
        "minimal" => 128,
        "low" => 1024,
        "medium" => 2048,
        "high" => 4096,
        "xhigh" => 8192,
        "max" => 16_384,
        _ => return None,
    })
}

/// The effort that goes with so much thinking.
pub(crate) fn of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..2048 => "low",
        2048..4096 => "medium",
        _ => "high",
    }
}
