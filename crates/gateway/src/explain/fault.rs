//! What providers do to the attempts of a replay.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use ziggurat::{DeploymentId, config::Plan};
use ziggurat_testkit::provider::Step;

/// How long a provider takes to answer, and to fail, unless it is said otherwise.
const ANSWER: Duration = Duration::from_millis(300);
const FAILURE: Duration = Duration::from_millis(100);
/// How long it takes from one word of a stream to the next.
const WORD: Duration = Duration::from_millis(100);

const LONGEST: f64 = 86_400.0;
const MOST: u32 = 1_000;
/// How many names an error lists.
const LISTED: usize = 20;

/// What a provider does to one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    kind: Kind,
    /// As it was asked for.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Answer(Duration),
    Status(u16, Option<Duration>),
    Hang,
    Connect,
    ContextWindow,
    ContentPolicy,
    Break,
    Empty,
}

const NAMES: &str = "a status from 400 to 599, timeout, connect, context_window, content_policy, break, empty or ok";

impl Fault {
    fn healthy() -> Self {
        Self {
            kind: Kind::Answer(ANSWER),
            text: "ok".into(),
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let (name, time) = match text.split_once(':') {
            Some((name, time)) => (name, Some(seconds(time)?)),
            None => (text, None),
        };
        let kind = match (name, time) {
            ("ok", time) => Kind::Answer(time.unwrap_or(ANSWER)),
            ("timeout" | "hang", None) => Kind::Hang,
            ("connect", None) => Kind::Connect,
            ("context_window", None) => Kind::ContextWindow,
            ("content_policy", None) => Kind::ContentPolicy,
            ("break", None) => Kind::Break,
            ("empty", None) => Kind::Empty,
            (name, time) => match name.parse() {
                Ok(status @ 400..=599) => Kind::Status(status, time),
                _ if time.is_some() => {
                    return Err(format!("`{text}`: only `ok` and a status have a time"));
                }
                _ => return Err(format!("`{text}` is no fault; it is {NAMES}")),
            },
        };
        let text = text.to_owned();
        Ok(Self { kind, text })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether no connection can be made.
    pub(crate) fn refuses(&self) -> bool {
        self.kind == Kind::Connect
    }

    /// What the simulated provider is told.
    pub(crate) fn step(&self) -> Step {
        let answer = |after| Step::ok().text("a simulated answer").delay(after);
        let error = |status| Step::status(status).delay(FAILURE);
        match self.kind {
            Kind::Answer(after) => answer(after).chunk_delay(WORD),
            Kind::Status(status, wait) => {
                let step = error(status).error_message(format!("a simulated {status}"));
                match wait {
                    Some(wait) => step.header("retry-after-ms", &wait.as_millis().to_string()),
                    None => step,
                }
            }
            Kind::Hang | Kind::Connect => Step::ok().hang(),
            Kind::ContextWindow => error(400)
                .error_code("context_length_exceeded")
                .error_message("the request is longer than the simulated context window"),
            Kind::ContentPolicy => error(400)
                .error_code("content_policy_violation")
                .error_message("the simulated provider declines the content"),
            Kind::Break => answer(ANSWER).cut_after(1),
            Kind::Empty => answer(ANSWER).empty_answer(),
        }
    }
}

/// A time such as `2s`, `300ms`, `1m`, or a number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        _ => {
            return Err(format!(
                "`{text}` is no time; it is one such as 2s or 300ms"
            ));
        }
    };
    let number = text[..text.len() - unit.len()].parse::<f64>();
    match number.map(|number| number * factor) {
        Ok(seconds) if seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) => Err(format!("`{text}` is longer than a day")),
        Err(_) => Err(format!(
            "`{text}` is no time; it is one such as 2s or 300ms"
        )),
    }
}

/// The faults of one deployment, in order; then it is healthy.
#[derive(Clone, Debug, Default, PartialEq)]
struct Script {
    faults: VecDeque<Fault>,
    for_ever: Option<Fault>,
}

impl Script {
    fn read(mut self, list: &str) -> Result<Self, String> {
        for text in list.split(',').map(str::trim) {
            if let Some(last) = &self.for_ever {
                let last = &last.text;
                return Err(format!("`{last}*` never ends: nothing comes after it"));
            }
            if let Some(text) = text.strip_suffix('*') {
                self.for_ever = Some(Fault::read(text)?);
                continue;
            }
            let repeated = text.rsplit_once('x').and_then(|(text, times)| {
                let times = times.parse::<u32>().ok()?;
                Some((text, times))
            });
            let (text, times) = repeated.unwrap_or((text, 1));
            if times == 0 || times as usize + self.faults.len() > MOST as usize {
                return Err(format!("a deployment has from 1 to {MOST} faults"));
            }
            let fault = Fault::read(text)?;
            let faults = std::iter::repeat_n(fault, times as usize);
            self.faults.extend(faults);
        }
        Ok(self)
    }

    fn next(&mut self) -> Fault {
        let next = self.faults.pop_front().or_else(|| self.for_ever.clone());
        next.unwrap_or_else(Fault::healthy)
    }
}

/// Whom a list of faults is for: who is named more closely goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    All,
    Group,
    Deployment,
}

/// The faults of all deployments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(HashMap<DeploymentId, (Named, Script)>);

impl Faults {
    /// Reads `DEPLOYMENT=FAULT,…`, `GROUP=FAULT,…` and `*=FAULT,…`.
    pub(crate) fn read(texts: &[String], plan: &Plan) -> Result<Self, String> {
        let mut faults = Self::default();
        for text in texts {
            let wrong = |message: String| format!("--fault {text}: {message}");
            let Some((target, list)) = text.rsplit_once('=') else {
                return Err(wrong("it is DEPLOYMENT=FAULT[,FAULT…]".into()));
            };
            let (named, ids) = find(target, plan).map_err(wrong)?;
            for id in ids {
                let (known, script) = faults.0.remove(&id).unwrap_or((named, Script::default()));
                let kept = match known.cmp(&named) {
                    std::cmp::Ordering::Greater => (known, script),
                    std::cmp::Ordering::Equal => (named, script.read(list).map_err(wrong)?),
                    std::cmp::Ordering::Less => {
                        (named, Script::default().read(list).map_err(wrong)?)
                    }
                };
                faults.0.insert(id, kept);
            }
        }
        Ok(faults)
    }

    /// What the next attempt at a deployment meets.
    pub(crate) fn next(&mut self, id: &DeploymentId) -> Fault {
        let script = self.0.get_mut(id).map(|(_, script)| script);
        script.map_or_else(Fault::healthy, Script::next)
    }
}

fn find(name: &str, plan: &Plan) -> Result<(Named, Vec<DeploymentId>), String> {
    let all = || plan.deployments.iter();
    let ids = |group: Option<&str>| {
        let of_group = all().filter(|it| group.is_none_or(|group| it.group() == group));
        of_group.map(|it| it.id().clone()).collect::<Vec<_>>()
    };
    if let Some(deployment) = all().find(|it| it.id().as_str() == name) {
        return Ok((Named::Deployment, vec![deployment.id().clone()]));
    }
    let snapshot = plan.snapshot();
    let of_group = ids(Some(snapshot.unalias(name)));
    match name {
        _ if !of_group.is_empty() => Ok((Named::Group, of_group)),
        "*" => Ok((Named::All, ids(None))),
        _ => Err(unknown(name, plan)),
    }
}

fn unknown(name: &str, plan: &Plan) -> String {
    const NEAR: f64 = 0.5;
    let ids = || plan.deployments.iter().map(|it| it.id().as_str());
    let groups = plan.deployments.iter().map(ziggurat::Deployment::group);
    let near = ids()
        .chain(groups)
        .map(|it| (strsim::normalized_damerau_levenshtein(name, it), it))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let meant = match near {
        Some((_, near)) => format!("; did you mean `{near}`?"),
        None => ".".into(),
    };
    let mut listed = ids().take(LISTED).collect::<Vec<_>>().join(", ");
    if plan.deployments.len() > LISTED {
        listed += ", …";
    }
    format!("`{name}` is no deployment and no model group{meant} Deployments: {listed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(list: &str) -> Result<Script, String> {
        Script::default().read(list)
    }

    fn texts(list: &str, attempts: usize) -> Vec<String> {
        let mut script = script(list).expect("is valid");
        let next = |_| script.next().text;
        (0..attempts).map(next).collect()
    }

    #[test]
    fn faults_come_in_order_and_then_health() {
        assert_eq!(texts("429:2s,500", 3), ["429:2s", "500", "ok"]);
        assert_eq!(texts("500x2,ok:3s", 4), ["500", "500", "ok:3s", "ok"]);
        assert_eq!(
            texts("503,connect*", 4),
            ["503", "connect", "connect", "connect"]
        );
        assert_eq!(texts("context_windowx2", 2), ["context_window"; 2]);
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("2s", 2_000),
            ("300ms", 300),
            ("1.5", 1_500),
            ("1m", 60_000),
        ] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "2h", "1e9s", "NaN", "86401s", "1.2.3s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_fault_is_told() {
        for (list, words) in [
            ("", "is no fault"),
            ("200", "is no fault"),
            ("nonsense", "content_policy"),
            ("timeout:3s", "only `ok` and a status"),
            ("500*,429", "nothing comes after it"),
            ("500x0", "from 1 to 1000"),
            ("500x1000,500", "from 1 to 1000"),
            ("429:soon", "is no time"),
        ] {
            let error = script(list).expect_err(list);
            assert!(error.contains(words), "{list}: {error}");
        }
    }

    #[test]
    fn who_is_named_more_closely_has_its_own_faults() {
        let deployment = |group: &str, id: &str| {
            format!(
                "  - {{model_name: {group}, litellm_params: {{model: openai/m, api_key: k}}, model_info: {{id: {id}}}}}\n"
            )
        };
        let (a, b, c) = (
            deployment("gpt", "a"),
            deployment("gpt", "b"),
            deployment("big", "c"),
        );
        let plan = format!(
            "model_list:\n{a}{b}{c}router_settings: {{model_group_alias: {{smart: gpt}}}}\n"
        );
        let plan = Plan::parse(&plan, "test.yaml", |_| None).expect("is valid");
        let texts = ["a=401", "smart=500", "*=503", "a=404"].map(str::to_owned);
        let mut faults = Faults::read(&texts, &plan).expect("are valid");
        let mut next = |id: &str| faults.next(&id.into()).text;
        assert_eq!([next("a"), next("a"), next("a")], ["401", "404", "ok"]);
        assert_eq!([next("b"), next("b")], ["500", "ok"]);
        assert_eq!(next("c"), "503");
        let error = Faults::read(&["gtp=500".into()], &plan).expect_err("is unknown");
        assert!(
            error.contains("did you mean `gpt`?") && error.ends_with("Deployments: a, b, c"),
            "{error}"
        );
    }
}
