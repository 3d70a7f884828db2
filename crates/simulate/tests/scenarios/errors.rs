//! What is wrong with a scenario is told with its place.

use ziggurat_simulate::{Scenario, run};

fn refused(text: &str, told: &str) {
    let error = match Scenario::parse(text, "mix.yaml") {
        Err(error) => error.to_string(),
        Ok(scenario) => match run(&scenario) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("this was simulated: {text}"),
        },
    };
    assert!(error.contains(told), "{error}\n  does not say\n{told}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn a_mistake_in_the_file_names_line_and_column() {
    for (text, told) in [
        (
            "requests: 5\narival: {rate: 1}",
            "mix.yaml:2:1: unknown field `arival`",
        ),
        ("arrival: {rate: fast}", "mix.yaml:1:"),
        (
            "arrival: {rate: -1}",
            "mix.yaml:1:17: -1 is not between 0 and 1000000",
        ),
        (
            "classes:\n  - {model: chat}\n  - {model: chat, input_tokens: {median: 5}}",
            "mix.yaml:3:",
        ),
        ("classes:\n  - {share: 2}", "mix.yaml:2:"),
        ("classes: [{model: ''}]", "a name is empty"),
        (
            "providers: {a: {outages: [{from: 5, to: 1, kind: slow}]}}",
            "an outage ends before it begins",
        ),
        (
            "providers: {a: {failures: [{share: 0.6, kind: hang}, {share: 0.6, kind: internal}]}}",
            "`providers.a`: the shares",
        ),
        (
            "providers: {a: {failures: [{share: 2, kind: hang}]}}",
            "2 is not between 0 and 1",
        ),
        (
            "providers: {a: {failures: [{share: 1, kind: sleep}]}}",
            "unknown variant `sleep`",
        ),
        ("providers: {a: {rpm: 0}}", "`providers.a`: a limit is 0"),
        (
            "requests: 5000001",
            "`requests` must be between 1 and 5000000",
        ),
        ("requests: 5\nrequests: 6", "mix.yaml:2:1: "),
        ("arrival: {clients: 5, rate: 3}", "`arrival` must have"),
        ("arrival: {rate: 0}", "`arrival` must have"),
        (
            "arrival: {profile: [{at: 5, rate: 1}, {at: 5, rate: 2}]}",
            "not in the order of time",
        ),
        ("{\"requests\": 5,\n \"seed\": -1}", "mix.yaml:2:"),
        (
            "config: |\n  model_list: 5",
            "mix.yaml: config:1:13: error:",
        ),
        ("[", "mix.yaml:"),
    ] {
        refused(text, told);
    }
}

#[test]
fn what_does_not_fit_together_is_told_before_anything_is_simulated() {
    let fine = "requests: 1\narrival: {rate: 1}\nclasses: [{model: chat}]\n";
    for (text, told) in [
        ("{}".to_owned(), "`classes` is missing"),
        ("classes: [{model: chat}]".to_owned(), "`arrival` is missing"),
        ("classes: [{model: chat}]\narrival: {rate: 1}".to_owned(), "`requests` or `duration` is missing"),
        ("classes: [{model: caht}]".to_owned(), "`classes[0].model`: no group serves `caht`"),
        ("classes: [{model: chat, key: nobody}]".to_owned(), "`classes[0].key`: no key of the configuration is named `nobody`"),
        (format!("{fine}providers: {{sloow: {{rpm: 1}}}}"), "`providers.sloow` matches no deployment"),
        (format!("{fine}strategies: [fastest]"), "`fastest`"),
        ("classes: [{model: chat}]\narrival: {rate: 1000000}\nduration: 1000".to_owned(), "set `requests`"),
        ("classes: [{model: chat}]\nrequests: 9\narrival: {profile: [{at: 0, rate: 1}, {at: 1, rate: 0}]}".to_owned(), "`duration` must be given"),
    ] {
        refused(&text, told);
    }
}

#[test]
fn a_file_that_is_not_there_or_too_long_is_told_of() {
    let error = Scenario::load("/nowhere/mix.yaml").expect_err("is not there");
    assert!(
        error
            .to_string()
            .contains("/nowhere/mix.yaml: cannot be read"),
        "{error}"
    );
    let long = " ".repeat((1 << 20) + 1);
    let error = Scenario::parse(&long, "long.yaml").expect_err("is too long");
    assert!(
        error.to_string().contains("long.yaml: is longer"),
        "{error}"
    );
}
